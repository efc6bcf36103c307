"""NVIDIA GPUs for the PyTorch and ONNX Runtime adapters: finding a device, copies, and waiting for results.

    launch --> launch --> launch --> copy to the host --> event     the queue stays full within one predict
                                                            |
                                             the host waits for it: all work before it is done by then

Kernels are queued and run later. `predict` returns when the copy of its logits has arrived, so that its work
is done when the clock is read; after loading, `synchronise` waits. The copy is queued together with the
kernels: queued later, it would be behind whatever was launched meanwhile.
"""

import importlib
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from harness.common.errors import DeviceError
from harness.workload.tasks.example import Logits

if TYPE_CHECKING:
    import torch

NO_GPU = "needs an NVIDIA GPU, and this machine shows none (see `bench doctor --device cuda`)"

TRANSFER = "inside the clock: inputs to the device, and logits back, which ends a call"
"""How records describe the copies between host and device."""


def sees_gpu(nvml: ModuleType | None = None) -> bool:
    """Return whether the driver lists a GPU, without loading an engine; `nvml` replaces pynvml."""
    try:
        nvml = nvml or importlib.import_module("pynvml")
    except ImportError:
        return False
    try:
        nvml.nvmlInit()
        return int(nvml.nvmlDeviceGetCount()) > 0
    except nvml.NVMLError:
        return False


def cuda_index(device: str) -> int:
    """Return the index of the device `cuda` (0) or `cuda:N`; DeviceError for any other device."""
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise DeviceError(f"not a CUDA device: {device}.", remedy="Use --device cuda, or cuda:N.")
    return int(match[1] or 0)


def require_cuda(name: str, device: str) -> None:
    """Raise DeviceError if the device of a variant that needs CUDA is another."""
    if not device.startswith("cuda"):
        raise DeviceError(f"{name} runs on CUDA only, not on {device}.", remedy="Use --device cuda.")


def require_cpu(name: str, device: str) -> None:
    """Raise DeviceError if the device of a variant that needs the CPU is another."""
    if device != "cpu":
        raise DeviceError(f"{name} runs on the CPU only, not on {device}.", remedy="Use --device cpu.")


def synchronise(device: "torch.device") -> None:
    """Wait until a CUDA device has finished all queued work; other devices have no queue."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def to_device(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """Return a copy of a host tensor on the device, without waiting for work that is queued there.

    A copy from pageable memory would wait. PyTorch keeps the pinned pages until the copy is over.
    """
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def fill(target: "torch.Tensor", tensor: "torch.Tensor") -> None:
    """Copy a host tensor into one on the device, without waiting, as `to_device` does."""
    if target.device.type == "cpu":
        target.copy_(tensor)
    else:
        target.copy_(tensor.pin_memory(), non_blocking=True)


def on_host(parts: "Sequence[torch.Tensor]", torch: ModuleType | None = None) -> Callable[[], Logits]:
    """Concatenate tensors and start one copy to the host; the returned function waits for it."""
    torch = torch or importlib.import_module("torch")
    concatenated = torch.cat(list(parts))
    if concatenated.device.type == "cpu":
        return lambda: _array(concatenated)
    host = torch.empty(concatenated.shape, dtype=concatenated.dtype, pin_memory=True)
    host.copy_(concatenated, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(concatenated.device))

    def wait() -> Logits:
        arrived.synchronize()
        return _array(host)

    return wait


def _array(tensor: "torch.Tensor") -> Logits:
    logits: Logits = tensor.numpy()
    return logits


def find_device(name: str) -> "torch.device":
    """Return torch's device of this name; DeviceError if there is none."""
    import torch

    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise DeviceError(
            f"expected the device cpu, cuda or cuda:N, got {name!r}.", remedy="Use --device cpu or cuda."
        )
    if name == "cpu":
        return torch.device("cpu")
    index, count = int(match[1] or 0), torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise DeviceError(
            f"{name} is not there: this PyTorch ({torch.__version__}) sees {count} CUDA devices.",
            remedy="`bench doctor` lists devices; CUDA needs a CUDA build of PyTorch, cpu does not.",
        )
    return torch.device("cuda", index)
