"""PyTorch's own ways to be faster on a CPU: compiled by Inductor, and int8 matrix products.

Rivals with their best documented settings: weights frozen into the compiled graph, autocast to bfloat16 where
the CPU has it, shapes left dynamic. Compiling needs a C++ compiler, and happens when the system is loaded and
at the first lengths it sees; nothing of it is inside the clock's windows unless a length is new.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from baselines.artifacts import cache_key, cpu_has_bf16, library_versions, missing
from baselines.batching import Batching, Run, pad
from baselines.folder import read_config
from baselines.labels import label_columns
from baselines.pytorch import PyTorchSystem, find_device, limit_threads
from baselines.text import TextEncoder, check_length
from harness.errors import DeviceError
from harness.system import Artifact, EncodedSequence, Placement, Settings, Sources, Workshop
from harness.tasks.base import Task

Method = Literal["compile", "compile-bf16", "int8"]

COMPILERS = ("g++", "clang++", "c++")
"""What Inductor compiles its C++ with, unless the environment names one as `CXX`."""

_FIRST_LENGTHS = (16, 48, 112)
"""Lengths the compiled graph sees while it is loaded, so that its shapes are dynamic before any request."""


class RefinedSystem(PyTorchSystem):
    """A transformers classifier behind another forward pass."""

    def __init__(self, facts: Mapping[str, Any], *plain: Any) -> None:  # noqa: ANN401 -- as PyTorchSystem's
        super().__init__(*plain)
        self._facts_of_method = facts

    def describe(self) -> Mapping[str, Any]:
        """Read back what PyTorch uses, and how the model was refined."""
        return {**super().describe(), **self._facts_of_method}


@dataclass(frozen=True, slots=True)
class RefinedVariant:
    """PyTorch without padding, made faster by `method`; the artifact is the checkpoint itself."""

    name: str
    summary: str
    method: Method

    def unavailable(self) -> str | None:
        """Say what is not installed, or what the machine lacks."""
        if self.method != "int8" and not _has_compiler():
            return f"needs a C++ compiler ({', '.join(COMPILERS)}) on PATH, or named by CXX"
        if self.method == "compile-bf16" and not cpu_has_bf16():
            return "needs a CPU with bfloat16 instructions (avx512_bf16, amx_bf16, or bf16 on Arm)"
        return missing("torch", "transformers")

    def prepare(self, task: Task, sources: Sources, settings: Settings, workshop: Workshop) -> Artifact:
        """Return the checkpoint itself as the artifact: it is refined when it is loaded."""
        del workshop
        checkpoint = sources.checkpoint
        config = read_config(checkpoint.folder)
        label_columns(config, task, checkpoint.name)
        check_length(config, settings.max_length)
        libraries = library_versions("torch", "transformers", "tokenizers")
        parents = [checkpoint.fingerprint]
        key = cache_key(self.name, 1, task, parents, libraries=libraries)
        manifest = {"recipe": self.name, "version": 1, "parents": parents, "libraries": libraries, "key": key}
        return Artifact(checkpoint.folder, key, {**manifest, "seconds": 0.0})

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> RefinedSystem:
        """Load the checkpoint and refine it; DeviceError for anything but the CPU."""
        from baselines.classifier import load_classifier

        if placement.device != "cpu":
            raise DeviceError(
                f"{self.name} runs on the CPU, not on {placement.device}.", remedy="Use --device cpu."
            )
        find_device(placement.device)
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        columns = label_columns(read_config(artifact.folder), task, artifact.folder.name)
        batching = Batching(settings.batch, encoder.pad_id, columns)
        model = load_classifier(artifact.folder)
        refined, facts = _METHODS[self.method](model)
        run = _run_of(model, refined, facts)
        _warm(run, encoder.pad_id, settings.max_length, spans=task.head == "span")
        return RefinedSystem(facts, model, run, encoder, batching)


def _has_compiler() -> bool:
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in ((named,) if named else COMPILERS))


def _compiled(model: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 -- transformers has no types
    import torch
    import torch._inductor.config

    # weights become constants, packed for their product; torch has no public name for it
    torch._inductor.config.freezing = True  # noqa: SLF001
    made = torch.compile(model, dynamic=True)
    return made, {"compiled": "inductor, frozen, dynamic shapes"}


def _compiled_bf16(model: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 -- transformers has no types
    made, facts = _compiled(model)
    return made, {**facts, "autocast": "bfloat16"}


def _int8(model: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 -- transformers has no types
    import torch

    # deprecated, and still the CPU path that PyTorch ships: its successor is another distribution
    with _quiet():
        made = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    return made, {
        "weights": "int8, per tensor",
        "activations": "int8, one scale for a call",
        "quantized_engine": torch.backends.quantized.engine,
    }


_METHODS: dict[Method, Callable[[Any], tuple[Any, dict[str, Any]]]] = {
    "compile": _compiled,
    "compile-bf16": _compiled_bf16,
    "int8": _int8,
}


def _run_of(model: Any, refined: Any, facts: Mapping[str, Any]) -> Run:  # noqa: ANN401
    import torch

    from baselines.classifier import input_names, logits_of, tensors_of

    names = input_names(model)
    bf16 = "autocast" in facts

    def run(padded: Any) -> Any:  # noqa: ANN401 -- Padded to Logits
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return logits_of(refined, tensors_of(padded, names)).float().numpy()

    return run


def _warm(run: Run, pad_id: int, most: int, *, spans: bool) -> None:
    """Let the compiler see lengths that differ: it specialises on the first and generalises at the second."""
    with _quiet():
        for length in sorted({min(length, most) for length in _FIRST_LENGTHS}):
            ids = np.full(length, max(1, pad_id + 1), dtype=np.int64)
            marks = ((0, 1), (1, 2)) if spans else ()
            run(pad([EncodedSequence(ids, np.zeros_like(ids), marks)], pad_id))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Inductor's, about what it chose
        yield


VARIANTS = (
    RefinedVariant("pytorch-compiled", "torch.compile fp32, weights frozen, no padding", "compile"),
    RefinedVariant(
        "pytorch-compiled-bf16", "torch.compile with bfloat16 autocast, frozen, no padding", "compile-bf16"
    ),
    RefinedVariant("pytorch-int8", "PyTorch's own dynamic int8, no padding", "int8"),
)
