"""Devices by name: `cpu`, `cuda`, `cuda:N`; a run checks that they are available before it prepares anything.

`cuda` is short for `cuda:0`. Several devices are a list, `cpu,cuda:0`: one run measures them one after
another.

CUDA numbers the boards in `CUDA_VISIBLE_DEVICES` from 0, and so does `cuda:N` here; the driver numbers all
boards. The meter resolves the number in the same way (harness/measurement/machine/gpu_boards.py), so it reads
the board that is measured.
"""

import os
import re
from collections.abc import Callable

from harness.common.errors import DeviceError, UsageError

REMEDY = "`bench doctor` lists the devices of this machine; `--device cpu` needs none."
VISIBLE = "CUDA_VISIBLE_DEVICES"


def count_gpus() -> int:
    """Return the number of NVIDIA GPUs that the driver lists; 0 without a driver."""
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


def devices_of(text: str) -> tuple[str, ...]:
    """Return the devices of `cuda:0,cuda:1`, with `cuda` as `cuda:0`; UsageError if one occurs twice."""
    devices = tuple("cuda:0" if name.strip() == "cuda" else name.strip() for name in text.split(","))
    repeated = [name for name in dict.fromkeys(devices) if devices.count(name) > 1]
    if repeated:
        raise UsageError(
            f"{repeated[0]} is named twice.",
            where="--device",
            remedy="Name each device once; cuda is short for cuda:0.",
        )
    return devices


def device_kind(device: str) -> str:
    """Return the kind of a device: `cpu` or `cuda`."""
    return device.partition(":")[0]


def one_device(text: str) -> str:
    """Return the only device in a list; UsageError if there are several."""
    devices = devices_of(text)
    if len(devices) > 1:
        raise UsageError(
            f"this command takes one device, got {len(devices)}: {text}.",
            where="--device",
            remedy="Name one device; `bench run` and `bench ladder` measure several, one after another.",
        )
    return devices[0]


def check_device(
    name: str, gpus: Callable[[], int] = count_gpus, visible: Callable[[], str | None] | None = None
) -> None:
    """Raise UsageError for an unknown name, and DeviceError for a device that is not available.

    `gpus` returns the number of NVIDIA GPUs. `visible` returns the value of `CUDA_VISIBLE_DEVICES`, by
    default the environment's.
    """
    if name == "cpu":
        return
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if not match:
        raise UsageError(f"unknown device {name!r}.", remedy="Devices are cpu, cuda and cuda:N.")
    installed = gpus()
    variable = visible() if visible else os.environ.get(VISIBLE)
    visible_count = installed if variable is None else min(installed, _visible_count(variable, installed))
    if int(match[1] or 0) < visible_count:
        return
    if installed == 0:
        raise DeviceError(f"{name} is not available: this machine shows no NVIDIA GPU.", remedy=REMEDY)
    if variable is not None:
        shown = f"{VISIBLE}={variable} shows {visible_count} of {installed} NVIDIA GPU(s) to CUDA"
        raise DeviceError(
            f"{name} is not available: {shown}.",
            remedy=f"Count from cuda:0 among those, or change or unset {VISIBLE}.{_mig_limit(variable)}",
        )
    raise DeviceError(
        f"{name} is not available: this machine has {installed} NVIDIA GPU(s), counted from cuda:0.",
        remedy=REMEDY,
    )


def _mig_limit(visible: str) -> str:
    return " CUDA shows one MIG instance to a process." if visible.startswith("MIG-") else ""


def _visible_count(visible: str, installed: int) -> int:
    """Return the number of devices that the variable makes visible: CUDA stops at the first unknown one.

    A process sees one MIG instance, however many are named (NVIDIA's MIG user guide, "CUDA device
    enumeration").
    """
    from harness.measurement.machine.gpu_boards import boards_of

    names = boards_of(None, visible) or ()
    if names and str(names[0]).startswith("MIG-"):
        return 1
    unknown = [at for at, name in enumerate(names) if isinstance(name, int) and name >= installed]
    return unknown[0] if unknown else len(names)
