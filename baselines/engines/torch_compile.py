"""PyTorch's own optimisations: compilation by Inductor, and dynamic int8 on the CPU.

Shapes are dynamic, and a rung's option `mode` has Inductor time more kernels. On the CPU weights are frozen
into the compiled graph, and bfloat16 is used through autocast; on CUDA the weights themselves have 16 bits.
Compiling needs a C++ compiler and happens when the system is loaded, so it is part of the record's load time.
No compilation falls into a timed window unless a shape is new.
"""

import contextlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from baselines.checkpoints.artifacts import missing_modules
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching, Launch, Padded, dummy_batch
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.device_queue import queued
from baselines.engines.pytorch import (
    PyTorchSystem,
    check_precision,
    checkpoint_itself,
    limit_threads,
    without_bf16,
)
from baselines.models.cuda import find_device, on_host, require_cpu, synchronise, to_device
from harness.common.errors import UsageError
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
)
from harness.workload.tasks.base import Task

if TYPE_CHECKING:
    import torch

Method = Literal["compile", "compile-bf16", "int8"]

Mode = Literal["default", "max-autotune"]

_MODES: dict[str, str] = {"default": "default", "max-autotune": "max-autotune-no-cudagraphs"}
"""Inductor's names. Without its CUDA graphs: the next call overwrites their outputs, and calls overlap."""

COMPILERS = ("g++", "clang++", "c++")
"""The C++ compilers that Inductor looks for, unless the environment variable `CXX` names one."""

_WARM_UP_LENGTHS = (16, 48, 112)
"""Lengths that are run while the system is loaded, so that shapes are dynamic before the first request."""


class RefinedSystem(PyTorchSystem):
    """A transformers classifier with another forward pass; `facts` are added to its description."""

    def __init__(
        self,
        facts: Mapping[str, Any],
        model: "torch.nn.Module",
        run: Launch,
        encoder: TextEncoder,
        batching: Batching,
    ) -> None:
        super().__init__(model, run, encoder, batching)
        self._facts = facts

    def describe(self) -> Mapping[str, Any]:
        """Return the settings that PyTorch reports, and how the model was changed."""
        return {**super().describe(), **self._facts}


@dataclass(frozen=True, slots=True)
class RefinedVariant:
    """PyTorch without padding, made faster by `method`; the artifact is the checkpoint itself.

    With the mode `max-autotune` the compiler times several kernels for each product, which takes long.
    """

    name: str
    summary: str
    method: Method
    mode: Mode = "default"

    def __post_init__(self) -> None:
        """Raise UsageError for a mode that is not there, or of a method that does not compile."""
        modes = ("default",) if self.method == "int8" else tuple(_MODES)
        if self.mode not in modes:
            raise UsageError(f"mode must be {' or '.join(modes)}, got {self.mode!r}.", where=self.name)

    def unavailable(self) -> str | None:
        """Return what is not installed, or what the machine lacks, or None."""
        if self.method != "int8" and (problem := without_compiler()):
            return problem
        return without_bf16(self._precision) or missing_modules("torch", "transformers")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Return the checkpoint itself as the artifact: `method` is applied when it is loaded."""
        del context
        return checkpoint_itself(self.name, task, sources, settings)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the checkpoint and apply `method`; DeviceError for int8 on any device but the CPU."""
        from baselines.models.classifier import load_classifier

        if self.method == "int8":
            require_cpu(self.name, placement.device)
        check_precision(self.name, self._precision, placement.device)
        device = find_device(placement.device)
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        columns = label_columns(read_config(artifact.folder), task, artifact.folder.name)
        batching = Batching(settings.batch, encoder.pad_id, columns, collect=on_host)
        model = load_classifier(artifact.folder).to(device)
        refined, facts = _METHODS[self.method](model, _MODES[self.mode])
        run = _launcher(model, refined, bf16="autocast" in facts)
        # a batch of one sequence and one of several are compiled as two graphs, even with dynamic shapes
        counts = (1, 2) if settings.batch > 1 else (1,)
        started = time.perf_counter()
        warm_compiler(run, encoder.pad_id, settings.max_length, counts, spans=task.head == "span")
        synchronise(device)
        if "compiled" in facts:
            facts["compiled_in_s"] = round(time.perf_counter() - started, 3)
        return queued(RefinedSystem(facts, model, run, encoder, batching), device.type)

    @property
    def _precision(self) -> str:
        return "bfloat16" if self.method == "compile-bf16" else "float32"


def without_compiler() -> str | None:
    """Return that a C++ compiler is needed and how to name one; None if there is one."""
    named = os.environ.get("CXX")
    if any(shutil.which(name) for name in ((named,) if named else COMPILERS)):
        return None
    return f"needs a C++ compiler ({', '.join(COMPILERS)}) on PATH, or named by CXX"


def _compiled(model: "torch.nn.Module", mode: str) -> "tuple[torch.nn.Module, dict[str, Any]]":
    import torch
    import torch._inductor.config

    frozen = model.device.type == "cpu"
    if frozen:
        # weights become constants that are packed for their product; torch has no public name for this
        torch._inductor.config.freezing = True  # noqa: SLF001
    facts = (
        "inductor",
        *(["frozen"] if frozen else []),
        "dynamic shapes",
        *([mode] if mode != "default" else []),
    )
    return torch.compile(model, dynamic=True, mode=mode), {"compiled": ", ".join(facts)}


def _compiled_bf16(model: "torch.nn.Module", mode: str) -> "tuple[torch.nn.Module, dict[str, Any]]":
    if model.device.type == "cuda":
        import torch

        return _compiled(model.to(torch.bfloat16), mode)
    compiled, facts = _compiled(model, mode)
    return compiled, {**facts, "autocast": "bfloat16"}


def _int8(model: "torch.nn.Module", mode: str) -> "tuple[torch.nn.Module, dict[str, Any]]":
    import torch

    del mode  # nothing is compiled
    # deprecated, but the only int8 that PyTorch itself ships: its successor is another distribution
    with quiet():
        quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    return quantised, {
        "weights": "int8, per tensor",
        "activations": "int8, one scale for a call",
        "quantized_engine": torch.backends.quantized.engine,
    }


_METHODS: "dict[Method, Callable[[torch.nn.Module, str], tuple[torch.nn.Module, dict[str, Any]]]]" = {
    "compile": _compiled,
    "compile-bf16": _compiled_bf16,
    "int8": _int8,
}


def _launcher(model: "torch.nn.Module", refined: "torch.nn.Module", *, bf16: bool) -> Launch:
    """Return the function that launches `refined` on a padded batch, under bfloat16 autocast with `bf16`."""
    import torch

    from baselines.models.classifier import input_names, logits_of, tensors_of

    names = input_names(model)

    def launch(padded: Padded) -> torch.Tensor:
        device = model.device
        inputs = {name: to_device(tensor, device) for name, tensor in tensors_of(padded, names).items()}
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return logits_of(refined, inputs).float()

    return launch


def warm_compiler(run: Launch, pad_id: int, max_length: int, counts: Sequence[int], *, spans: bool) -> None:
    """Run batches of different lengths, each with these numbers of sequences.

    The compiler specialises on the first length, and makes the length dynamic at the second.
    """
    with quiet():
        for length in sorted({min(length, max_length) for length in _WARM_UP_LENGTHS}):
            for count in counts:
                run(dummy_batch(length, count, pad_id, spans=spans))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of PyTorch's compiler and quantisers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Inductor's, about what it chose
        yield


VARIANTS = (
    RefinedVariant("pytorch-compiled", "torch.compile fp32, weights frozen on a CPU, no padding", "compile"),
    RefinedVariant("pytorch-compiled-bf16", "torch.compile in bfloat16, else the same", "compile-bf16"),
    RefinedVariant("pytorch-int8", "PyTorch's own dynamic int8, no padding", "int8"),
)
