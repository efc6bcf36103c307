"""PyTorch's own ways to be faster: compiled by Inductor, and on the CPU int8 matrix products.

Rivals with their best documented settings, shapes left dynamic. On the CPU weights are frozen into the
compiled graph, and bfloat16 is autocast to; on CUDA the weights themselves have 16 bits. Compiling needs a
C++ compiler, and happens when the system is loaded: it is in the record's load time. Nothing of it is inside
the clock's windows unless a shape is new.
"""

import contextlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from baselines.checkpoints.artifacts import missing_modules
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching, Launch, pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.device_queue import queued
from baselines.engines.pytorch import (
    PyTorchSystem,
    check_precision,
    checkpoint_itself,
    limit_threads,
    without_bf16,
)
from baselines.models.cuda import find_device, on_host, synchronise, to_device
from harness.common.errors import DeviceError
from harness.systems.interface import (
    Artifact,
    EncodedSequence,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
)
from harness.workload.tasks.base import Task

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
        if self.method != "int8" and (problem := without_compiler()):
            return problem
        return without_bf16(self._precision) or missing_modules("torch", "transformers")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Return the checkpoint itself as the artifact: it is refined when it is loaded."""
        del workshop
        return checkpoint_itself(self.name, task, sources, settings)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the checkpoint and refine it on its device; DeviceError for int8 anywhere but on the CPU."""
        from baselines.models.classifier import load_classifier

        if placement.device != "cpu" and self.method == "int8":
            raise DeviceError(
                f"{self.name} runs on the CPU, not on {placement.device}.", remedy="Use --device cpu."
            )
        check_precision(self.name, self._precision, placement.device)
        device = find_device(placement.device)
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        columns = label_columns(read_config(artifact.folder), task, artifact.folder.name)
        batching = Batching(settings.batch, encoder.pad_id, columns, collect=on_host)
        model = load_classifier(artifact.folder).to(device)
        refined, facts = _METHODS[self.method](model)
        run = _run_of(model, refined, facts)
        # one sequence and several are two graphs, whatever else is dynamic
        together = (1, 2) if settings.batch > 1 else (1,)
        begun = time.perf_counter()
        warm_compiler(run, encoder.pad_id, settings.max_length, together, spans=task.head == "span")
        synchronise(device)
        spent = {"compiled_in_s": round(time.perf_counter() - begun, 3)} if "compiled" in facts else {}
        return queued(RefinedSystem(facts | spent, model, run, encoder, batching), device.type)

    @property
    def _precision(self) -> str:
        return "bfloat16" if self.method == "compile-bf16" else "float32"


def without_compiler() -> str | None:
    """Say that there is no C++ compiler and how to name one, or None."""
    named = os.environ.get("CXX")
    if any(shutil.which(name) for name in ((named,) if named else COMPILERS)):
        return None
    return f"needs a C++ compiler ({', '.join(COMPILERS)}) on PATH, or named by CXX"


def _compiled(model: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 -- transformers has no types
    import torch
    import torch._inductor.config

    if model.device.type == "cuda":
        return torch.compile(model, dynamic=True), {"compiled": "inductor, dynamic shapes"}
    # weights become constants, packed for their product; torch has no public name for it
    torch._inductor.config.freezing = True  # noqa: SLF001
    made = torch.compile(model, dynamic=True)
    return made, {"compiled": "inductor, frozen, dynamic shapes"}


def _compiled_bf16(model: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 -- transformers has no types
    if model.device.type == "cuda":
        import torch

        return _compiled(model.to(torch.bfloat16))
    made, facts = _compiled(model)
    return made, {**facts, "autocast": "bfloat16"}


def _int8(model: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401 -- transformers has no types
    import torch

    # deprecated, and still the CPU path that PyTorch ships: its successor is another distribution
    with quiet():
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


def _run_of(model: Any, refined: Any, facts: Mapping[str, Any]) -> Launch:  # noqa: ANN401
    import torch

    from baselines.models.classifier import input_names, logits_of, tensors_of

    names = input_names(model)
    bf16 = "autocast" in facts

    def run(padded: Any) -> Any:  # noqa: ANN401 -- Padded to logits on the device
        device = model.device
        inputs = {name: to_device(tensor, device) for name, tensor in tensors_of(padded, names).items()}
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return logits_of(refined, inputs).float()

    return run


def warm_compiler(run: Launch, pad_id: int, most: int, together: Sequence[int], *, spans: bool) -> None:
    """Let the compiler see lengths that differ: it specialises on the first and generalises at the second."""
    with quiet():
        for length in sorted({min(length, most) for length in _FIRST_LENGTHS}):
            ids = np.full(length, max(1, pad_id + 1), dtype=np.int64)
            marks = ((0, 1), (1, 2)) if spans else ()
            for count in together:
                run(pad([EncodedSequence(ids, np.zeros_like(ids), marks)] * count, pad_id))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back the warnings of PyTorch's compiler and quantisers while they work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Inductor's, about what it chose
        yield


VARIANTS = (
    RefinedVariant("pytorch-compiled", "torch.compile fp32, weights frozen on a CPU, no padding", "compile"),
    RefinedVariant("pytorch-compiled-bf16", "torch.compile in bfloat16, else the same", "compile-bf16"),
    RefinedVariant("pytorch-int8", "PyTorch's own dynamic int8, no padding", "int8"),
)
