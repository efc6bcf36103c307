"""Devices by name: `cpu`, `cuda`, `cuda:N`; whether one is there is asked before anything is prepared."""

import re
from collections.abc import Callable

from harness.errors import DeviceError, UsageError

REMEDY = "`bench doctor` lists the devices of this machine; `--device cpu` needs none."


def count_gpus() -> int:
    """Return how many NVIDIA GPUs the driver shows; 0 where there is no driver."""
    try:
        import pynvml
    except ImportError:
        return 0
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def check_device(name: str, gpus: Callable[[], int] = count_gpus) -> None:
    """Raise UsageError for a name that is no device, DeviceError for a device that is not there."""
    if name == "cpu":
        return
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if not match:
        raise UsageError(f"unknown device {name!r}.", remedy="Devices are cpu, cuda and cuda:N.")
    found = gpus()
    if int(match[1] or 0) >= found:
        seen = "no NVIDIA GPU" if found == 0 else f"{found} NVIDIA GPU(s), counted from cuda:0"
        raise DeviceError(f"{name} is not there: this machine shows {seen}.", remedy=REMEDY)
