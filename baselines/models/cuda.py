"""What the PyTorch and ONNX Runtime adapters share on NVIDIA boards: is there one, which, and waiting for it.

    launch --> launch --> launch --> copy to the host --> event     the queue stays full within one predict
                                                            |
                                             waited for: all before it is done, and no more than that

Kernels are queued and run later. A predict ends when the copy of its logits has arrived, so nothing is left
in the queue when the clock is read; what loading queues is waited for by name. The copy is queued with the
work itself: asked for later, it would stand behind whatever was launched meanwhile.
"""

import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any

from harness.common.errors import DeviceError
from harness.workload.tasks.example import Logits

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


def fill(target: Any, tensor: Any) -> None:  # noqa: ANN401 -- torch.Tensors
    """Copy a tensor of the host into one of the device, as `to_device` does."""
    if target.device.type == "cpu":
        target.copy_(tensor)
    else:
        target.copy_(tensor.pin_memory(), non_blocking=True)


def on_host(parts: Sequence[Any], torch: Any = None) -> Callable[[], Logits]:  # noqa: ANN401 -- a module
    """Begin the one copy of tensors to the host, one below the other; what is returned waits for it."""
    torch = torch or importlib.import_module("torch")
    together = torch.cat(list(parts))
    if together.device.type == "cpu":
        return lambda: _array(together)
    host = torch.empty(together.shape, dtype=together.dtype, pin_memory=True)
    host.copy_(together, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(together.device))

    def waited() -> Logits:
        arrived.synchronize()
        return _array(host)

    return waited


def _array(tensor: Any) -> Logits:  # noqa: ANN401 -- a torch.Tensor
    logits: Logits = tensor.numpy()
    return logits


TRANSFER = "inside the clock: inputs to the device, and logits back, which ends a call"
"""What records say of copies."""


def find_device(name: str) -> Any:  # noqa: ANN401 -- a torch.device
    """Return torch's device of this name; DeviceError if it is not there."""
    import torch

    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise DeviceError(f"PyTorch here knows no device {name!r}.", remedy="Devices: cpu, cuda, cuda:N.")
    if name == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        raise DeviceError(
            f"{name} is not there: this PyTorch ({torch.__version__}) sees {count} CUDA devices.",
            remedy="`bench doctor` lists devices; CUDA needs a CUDA build of PyTorch, cpu does not.",
        )
    return torch.device("cuda", int(match[1] or 0))
