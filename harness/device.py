"""Devices by name: `cpu`, `cuda`, `cuda:N`; whether one is there is asked before anything is prepared.

CUDA numbers the boards that `CUDA_VISIBLE_DEVICES` shows, from 0, and so does `cuda:N` here; the driver
numbers all there are. The meter goes the same way (harness/meters/boards.py) and reads the board that works.
"""

import os
import re
from collections.abc import Callable

from harness.errors import DeviceError, UsageError

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
        several = " Several at once are several runs." if "," in name else ""
        raise UsageError(f"unknown device {name!r}.", remedy=f"Devices are cpu, cuda and cuda:N.{several}")
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
            remedy=f"Count from cuda:0 among those, or change or unset {VISIBLE}.",
        )
    raise DeviceError(
        f"{name} is not there: this machine shows {found} NVIDIA GPU(s), counted from cuda:0.", remedy=REMEDY
    )


def _shown(visible: str, found: int) -> int:
    """Return how many boards a value of the variable shows: CUDA stops at the first that is not there."""
    from harness.meters.boards import boards_of

    names = boards_of(None, visible) or ()
    absent = [at for at, name in enumerate(names) if isinstance(name, int) and name >= found]
    return absent[0] if absent else len(names)
