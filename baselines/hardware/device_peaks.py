"""What a board can do at most, measured with PyTorch: matrix products by precision, and copies of its memory.

Unlike a CPU's (baselines/hardware/peaks.py), these are not of registers: on a GPU, a large product of the
vendor's
library is as near to the limit as software comes. A rate is taken over several launches between two waits for
the device, or the host's own time to launch them would be in it.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from baselines.hardware.c_program import Run, run_command
from baselines.models.cuda import synchronise

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
COPIED = 512 * 2**20
"""Bytes that are copied at a time: more than any board's caches hold."""

_LAUNCHES = 10


def measure_device(device: str, shapes: Sequence[Sequence[int]], *, run: Run = run_command) -> dict[str, Any]:
    """Return a board's peaks, measured in a process of its own, which frees the memory it took.

    {"device", "name", "products": [{"precision", "shape": [rows, inner, columns], "per_second"}],
    "copy_bytes_per_second"}; a copy counts what is read and what is written.
    """
    words = json.dumps({"shapes": [list(shape) for shape in shapes], "device": device})
    found: dict[str, Any] = json.loads(
        run([sys.executable, "-P", "-m", "baselines.hardware.device_peaks", words])
    )
    return found


def device_here(
    device: str,
    shapes: Sequence[Sequence[int]],
    *,
    copied: int = COPIED,
    seconds: float = 0.2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Measure a device from this process; DeviceError if it is not there."""
    import torch

    from baselines.models.cuda import find_device

    place = find_device(device)
    timed = partial(_best_time, wait=partial(synchronise, place), seconds=seconds, clock=clock)
    products = []
    for rows, inner, columns in shapes:
        for precision, name in PRECISIONS.items():
            kind = getattr(torch, name)
            left = torch.randn(rows, inner, device=place).to(kind)
            right = torch.randn(columns, inner, device=place).to(kind).t()
            rate = 2 * rows * inner * columns / timed(partial(torch.matmul, left, right))
            products.append({"precision": precision, "shape": [rows, inner, columns], "per_second": rate})
    source = torch.zeros(copied, dtype=torch.uint8, device=place)
    target = torch.empty_like(source)
    rate = 2 * copied / timed(partial(target.copy_, source))
    known = torch.cuda.get_device_name(place) if place.type == "cuda" else device
    return {"device": device, "name": known, "products": products, "copy_bytes_per_second": rate}


def _best_time(
    work: Callable[[], Any], *, wait: Callable[[], None], seconds: float, clock: Callable[[], float]
) -> float:
    """Return the least seconds of one piece of work, over launches that are waited for together."""
    work()
    wait()
    best, begun = float("inf"), clock()
    while clock() - begun < seconds:
        started = clock()
        for _ in range(_LAUNCHES):
            work()
        wait()
        best = min(best, (clock() - started) / _LAUNCHES)
    return best


def _main(words: Mapping[str, Any]) -> None:
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as in the workers of a run
    sys.stdout.write(json.dumps(device_here(words["device"], words["shapes"])))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
