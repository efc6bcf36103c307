"""Peak rates of a GPU board, measured with PyTorch: matrix products by precision, and copies of its memory.

A CPU's peaks (baselines/hardware/peaks.py) are of arithmetic in registers. On a GPU, a large product of the
vendor's library is as near to the limit as software comes. A rate is taken over several launches between two
synchronisations with the device, so that the host's time to launch them is not part of it.
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
"""Bytes of one copy: more than any board's caches hold."""

_LAUNCHES = 10


def measure_device(device: str, shapes: Sequence[Sequence[int]], *, run: Run = run_command) -> dict[str, Any]:
    """Return a board's peaks, measured in a separate process, whose end frees the board's memory.

    {"device", "name", "products": [{"precision", "shape": [rows, inner, columns], "per_second"}],
    "copy_bytes_per_second"}; the bytes of a copy are those read plus those written.
    """
    arguments = json.dumps({"shapes": [list(shape) for shape in shapes], "device": device})
    command = [sys.executable, "-P", "-m", "baselines.hardware.device_peaks", arguments]
    peaks: dict[str, Any] = json.loads(run(command))
    return peaks


def device_here(
    device: str,
    shapes: Sequence[Sequence[int]],
    *,
    copied: int = COPIED,
    seconds: float = 0.2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Measure a device in this process; DeviceError if it does not exist."""
    import torch

    from baselines.models.cuda import find_device

    torch_device = find_device(device)
    timed = partial(_best_time, wait=partial(synchronise, torch_device), seconds=seconds, clock=clock)
    products = []
    for rows, inner, columns in shapes:
        for precision, name in PRECISIONS.items():
            dtype = getattr(torch, name)
            left = torch.randn(rows, inner, device=torch_device).to(dtype)
            right = torch.randn(columns, inner, device=torch_device).to(dtype).t()
            rate = 2 * rows * inner * columns / timed(partial(torch.matmul, left, right))
            products.append({"precision": precision, "shape": [rows, inner, columns], "per_second": rate})
    source = torch.zeros(copied, dtype=torch.uint8, device=torch_device)
    target = torch.empty_like(source)
    rate = 2 * copied / timed(partial(target.copy_, source))
    board = torch.cuda.get_device_name(torch_device) if torch_device.type == "cuda" else device
    return {"device": device, "name": board, "products": products, "copy_bytes_per_second": rate}


def _best_time(
    work: Callable[[], Any], *, wait: Callable[[], None], seconds: float, clock: Callable[[], float]
) -> float:
    """Return the shortest seconds of one launch of `work`, among batches that end with one wait."""
    work()
    wait()
    best, start = float("inf"), clock()
    while clock() - start < seconds:
        batch_start = clock()
        for _ in range(_LAUNCHES):
            work()
        wait()
        best = min(best, (clock() - batch_start) / _LAUNCHES)
    return best


def _main(arguments: Mapping[str, Any]) -> None:
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as in the workers of a run
    sys.stdout.write(json.dumps(device_here(arguments["device"], arguments["shapes"])))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
