"""Plain PyTorch, the baseline of every comparison, and its variants without padding or in half precision.

fp32, transformers' default attention kernel, not compiled. `pytorch-fixed` pads every sequence to the maximum
length and is the baseline. `pytorch-dynamic` pads to the longest sequence of a call, which for one request is
no padding. In half precision both weights and activations have 16 bits. With a budget of tokens, the
sequences of a call are sorted by length and batched within the budget. The artifact of each variant is the
checkpoint itself: nothing is copied, and weights are rounded when they are loaded.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from baselines.checkpoints.artifacts import cache_key, cpu_has_bf16, library_versions, missing_modules
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching, Launch, check_budget
from baselines.encoding.tokenizer import TextEncoder, check_length
from baselines.engines.adapter import Adapter
from baselines.engines.device_queue import queued
from baselines.engines.profiles import torch_profile
from baselines.models.cuda import TRANSFER, find_device, on_host, sees_gpu, synchronise
from baselines.models.flops import work_facts
from harness.common.errors import DeviceError
from harness.systems.interface import (
    Artifact,
    Placement,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    System,
)
from harness.workload.tasks.base import Task

if TYPE_CHECKING:
    import torch

Padding = Literal["fixed", "dynamic"]
Precision = Literal["float32", "bfloat16", "float16"]


class PyTorchSystem(Adapter):
    """A transformers classifier with its own forward pass."""

    def __init__(
        self, model: "torch.nn.Module", run: Launch, encoder: TextEncoder, batching: Batching
    ) -> None:
        super().__init__(run, encoder, batching)
        self._model = model

    def describe(self) -> Mapping[str, Any]:
        """Return the settings that PyTorch reports."""
        import torch

        config = self._model.config
        device = self._model.device
        length = self._batching.length
        return {
            "engine": "pytorch",
            "engine_version": torch.__version__,
            "device": str(device),
            "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
            **({"transfer": TRANSFER} if device.type == "cuda" else {}),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "attention": config._attn_implementation,  # noqa: SLF001 -- there is no public attribute
            "padding": f"to {length}" if length else "to the longest of a call",
            "batch": self._batching.rule,
            "max_length": self._encoder.max_length,
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "mkldnn": bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "parameters": sum(parameter.numel() for parameter in self._model.parameters()),
            **work_facts(config.to_dict()),
        }

    def profile(self, requests: Sequence[Request]) -> Mapping[str, float]:
        """Return seconds by class of operator."""
        return torch_profile(lambda: self.predict(requests))

    def close(self) -> None:
        """Release the model."""
        self._model = None


@dataclass(frozen=True, slots=True)
class PyTorchVariant:
    """Plain PyTorch, padded to the maximum length or not."""

    name: str
    summary: str
    padding: Padding
    precision: Precision = "float32"
    tokens: int = 0
    """The budget of a batch that is sorted by length; 0 for the batch size of the run, unsorted."""

    def unavailable(self) -> str | None:
        """Return what is not installed, or what the machine lacks, or None."""
        return without_bf16(self.precision) or missing_modules("torch", "transformers")

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Return the checkpoint itself as the artifact."""
        del context
        if self.tokens:
            check_budget(self.tokens, settings.max_length)
        return checkpoint_itself(self.name, task, sources, settings)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        """Load the checkpoint onto the device; DeviceError if there is no such device."""
        import torch

        from baselines.models.classifier import launcher, load_classifier

        check_precision(self.name, self.precision, placement.device)
        device = find_device(placement.device)
        limit_threads(placement.threads)
        encoder = TextEncoder(artifact.folder, settings.max_length)
        columns = label_columns(read_config(artifact.folder), task, artifact.folder.name)
        length = settings.max_length if self.padding == "fixed" else None
        batching = Batching(settings.batch, encoder.pad_id, columns, length, self.tokens, on_host)
        model = load_classifier(artifact.folder).to(device, getattr(torch, self.precision))
        synchronise(device)
        return queued(PyTorchSystem(model, launcher(model), encoder, batching), device.type)


def checkpoint_itself(name: str, task: Task, sources: PreparationSources, settings: Settings) -> Artifact:
    """Return the checkpoint as the artifact of a variant that transforms it only when it is loaded."""
    checkpoint = sources.checkpoint
    config = read_config(checkpoint.folder)
    label_columns(config, task, checkpoint.name)
    check_length(config, settings.max_length)
    libraries = library_versions("torch", "transformers", "tokenizers")
    parents = [checkpoint.fingerprint]
    key = cache_key(name, 1, task, parents, libraries=libraries)
    manifest = {"recipe": name, "version": 1, "parents": parents, "libraries": libraries, "key": key}
    return Artifact(checkpoint.folder, key, {**manifest, "seconds": 0.0})


def without_bf16(precision: str) -> str | None:
    """Return that bfloat16 needs a CPU with instructions for it or a GPU; None if one is there."""
    if precision != "bfloat16" or cpu_has_bf16() or sees_gpu():
        return None
    return "needs a CPU with bfloat16 instructions (avx512_bf16, amx_bf16, or bf16 on Arm), or an NVIDIA GPU"


def check_precision(name: str, precision: str, device: str) -> None:
    """Raise DeviceError for a 16-bit precision that is slow on this CPU."""
    if device != "cpu":
        return
    if precision == "float16":
        raise DeviceError(
            f"{name} runs on CUDA only: PyTorch has no fast float16 on CPUs.",
            remedy="Use --device cuda, or pytorch-bf16 on a CPU that has bfloat16.",
        )
    if precision == "bfloat16" and not cpu_has_bf16():
        raise DeviceError(
            f"{name} would be slow on this CPU, which has no bfloat16 instructions.",
            remedy="Use --device cuda, or a variant in fp32 or int8.",
        )


def limit_threads(threads: int) -> None:
    """Set PyTorch's threads within an operation to `threads`, and those across operations to one."""
    import torch

    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        # torch allows this once, before parallel work; `describe` reports the actual value
        with contextlib.suppress(RuntimeError):
            torch.set_num_interop_threads(1)


VARIANTS = (
    PyTorchVariant("pytorch-fixed", "PyTorch fp32, every sequence padded to the maximum length", "fixed"),
    PyTorchVariant("pytorch-dynamic", "PyTorch fp32, no more padding than a call needs", "dynamic"),
)

HALF_PRECISION = (
    PyTorchVariant(
        "pytorch-bf16", "PyTorch bfloat16, no more padding than a call needs", "dynamic", "bfloat16"
    ),
    PyTorchVariant(
        "pytorch-fp16",
        "PyTorch float16, on CUDA only, no more padding than a call needs",
        "dynamic",
        "float16",
    ),
)

TOKENS = 16_384
"""The default budget, meant to keep a data-centre GPU busy with BERT-base; it has not been tuned."""

SORTED = (
    PyTorchVariant(
        "pytorch-sorted-bf16",
        "PyTorch bfloat16, batches sorted by length within a budget of tokens",
        "dynamic",
        "bfloat16",
        TOKENS,
    ),
    PyTorchVariant(
        "pytorch-sorted-fp16", "PyTorch float16, the same, on CUDA only", "dynamic", "float16", TOKENS
    ),
)
