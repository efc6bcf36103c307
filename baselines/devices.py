"""The kinds of devices that each variant runs on, by its name; loading this imports no library."""

from collections.abc import Iterable

from baselines.checkpoints.artifacts import cpu_has_bf16

KINDS = ("cpu", "cuda")

CPU_ONLY = (
    "onnx-",
    "openvino-",
    "ctranslate2-",
    "native-",
    "fastest",
    "pytorch-int8",
    "pytorch-compiled-int8",
)
"""Beginnings of the names of variants that run on a CPU only; `onnx-cuda` is an exception."""

CUDA_ONLY = ("onnx-cuda", "pytorch-graphs-")
"""Beginnings of the names of variants that run on CUDA only."""


def devices_by_variant(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the kinds of devices that each of these variants runs on, on this machine."""
    bf16 = cpu_has_bf16()
    return {name: _kinds(name, bf16=bf16) for name in names}


def _kinds(name: str, *, bf16: bool) -> tuple[str, ...]:
    needs_bf16 = name.startswith("pytorch-") and name.endswith("-bf16")
    slow_on_cpu = name.endswith("-fp16") or (needs_bf16 and not bf16)
    if name.startswith(CUDA_ONLY) or slow_on_cpu:
        return ("cuda",)
    return ("cpu",) if name.startswith(CPU_ONLY) else KINDS
