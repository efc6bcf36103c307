"""Devices by name: `cpu`, `cuda`, `cuda:N`; whether one is there is asked before anything is prepared.

`cuda` is short for `cuda:0`, and several are a list, `cpu,cuda:0`: one run measures them one after the other.

CUDA numbers the boards that `CUDA_VISIBLE_DEVICES` shows, from 0, and so does `cuda:N` here; the driver
numbers all there are. The meter goes the same way (harness/measurement/machine/gpu_boards.py) and reads the
board that works.
"""

import os
import re
from collections.abc import Callable

from harness.common.errors import DeviceError, UsageError

REMEDY = "`bench doctor` lists the devices of this machine; `--device cpu` needs none."
VISIBLE = "CUDA_VISIBLE_DEVICES"


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


def devices_of(words: str) -> tuple[str, ...]:
    """Return the devices of `cuda:0,cuda:1`, `cuda` written out; UsageError for one that is named twice."""
    found = tuple("cuda:0" if word.strip() == "cuda" else word.strip() for word in words.split(","))
    twice = [name for name in dict.fromkeys(found) if found.count(name) > 1]
    if twice:
        raise UsageError(
            f"{twice[0]} is named twice.",
            where="--device",
            remedy="Name each device once; cuda is short for cuda:0.",
        )
    return found


def device_kind(device: str) -> str:
    """Return `cpu` or `cuda`."""
    return device.partition(":")[0]


def one_device(words: str) -> str:
    """Return the only device named; UsageError where there are several."""
    found = devices_of(words)
    if len(found) > 1:
        raise UsageError(
            f"this works on one device, and {words!r} names {len(found)}.",
            where="--device",
            remedy="Name one here; `bench run` and `bench ladder` measure several, one after the other.",
        )
    return found[0]


def check_device(
    name: str, gpus: Callable[[], int] = count_gpus, visible: Callable[[], str | None] | None = None
) -> None:
    """Raise UsageError for a name that is no device, DeviceError for a device that is not there.

    `visible` returns `CUDA_VISIBLE_DEVICES`, which is the environment's unless given.
    """
    if name == "cpu":
        return
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if not match:
        raise UsageError(f"unknown device {name!r}.", remedy="Devices are cpu, cuda and cuda:N.")
    found = gpus()
    shown = visible() if visible else os.environ.get(VISIBLE)
    seen = found if shown is None else min(found, _shown(shown, found))
    if int(match[1] or 0) < seen:
        return
    if found == 0:
        raise DeviceError(f"{name} is not there: this machine shows no NVIDIA GPU.", remedy=REMEDY)
    if shown is not None:
        raise DeviceError(
            f"{name} is not there: {VISIBLE}={shown} shows {seen} of {found} NVIDIA GPU(s) to CUDA.",
            remedy=f"Count from cuda:0 among those, or change or unset {VISIBLE}.{_why_one(shown)}",
        )
    raise DeviceError(
        f"{name} is not there: this machine shows {found} NVIDIA GPU(s), counted from cuda:0.", remedy=REMEDY
    )


def _why_one(visible: str) -> str:
    return " CUDA shows a process one MIG instance." if visible.startswith("MIG-") else ""


def _shown(visible: str, found: int) -> int:
    """Return how many devices a value of the variable shows: CUDA stops at the first that is not there.

    Of MIG instances a process is shown one, however many are named (NVIDIA's MIG user guide, "CUDA device
    enumeration").
    """
    from harness.measurement.machine.gpu_boards import boards_of

    names = boards_of(None, visible) or ()
    if names and str(names[0]).startswith("MIG-"):
        return 1
    absent = [at for at, name in enumerate(names) if isinstance(name, int) and name >= found]
    return absent[0] if absent else len(names)
