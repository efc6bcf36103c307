"""What the PyTorch and ONNX Runtime adapters share on NVIDIA boards: is there one, which, and waiting for it.

    launch --> launch --> launch --> collect     the device's queue stays full within one predict
                                        |
                       copies the logits to the host, and so waits for all of them

Kernels are queued and run later. A predict ends with a copy to the host, which waits, so nothing is left in
the queue when the clock is read; what loading queues is waited for by name.
"""

import importlib
import re
from collections.abc import Sequence
from typing import Any

from harness.errors import DeviceError
from harness.system import Logits

NO_GPU = "needs an NVIDIA GPU, and this machine shows none (`bench doctor --device cuda` says why)"


def sees_gpu(nvml: Any = None) -> bool:  # noqa: ANN401 -- the module pynvml, or one shaped like it
    """Say whether the driver shows a board; no engine is loaded to ask."""
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
    """Return CUDA's number of `cuda` or `cuda:N`; DeviceError for any other device."""
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise DeviceError(f"{device} is no CUDA device.", remedy="Use --device cuda, or cuda:N.")
    return int(match[1] or 0)


def require_cuda(name: str, device: str) -> None:
    """Raise DeviceError where a variant that knows CUDA alone is asked to run elsewhere."""
    if not device.startswith("cuda"):
        raise DeviceError(f"{name} runs on CUDA only, not on {device}.", remedy="Use --device cuda.")


def synchronise(device: Any) -> None:  # noqa: ANN401 -- a torch.device
    """Wait until a CUDA device has done all that was queued; other devices queue nothing."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def to_device(tensor: Any, device: Any) -> Any:  # noqa: ANN401 -- a torch.Tensor, a torch.device
    """Return a tensor of the host on the device, without waiting for what is queued there.

    A copy from pageable memory would wait; PyTorch keeps the pinned pages until the copy is over.
    """
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def on_host(parts: Sequence[Any]) -> Logits:
    """Return tensors one below the other as an array on the host: the one copy, and the one wait."""
    import torch

    logits: Logits = torch.cat(list(parts)).cpu().numpy()
    return logits
