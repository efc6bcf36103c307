"""Peak rates of this machine's cores, measured by a small C program and by matrix products of PyTorch.

The program (peak.c) computes in registers and reads memory; it needs a C compiler. The products of a
library are what is reached when weights and activations have to be loaded.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from baselines.hardware.c_program import NO_COMPILER, Run, build, compiler, run_command


def measure_cores(
    threads: Sequence[int], *, seconds: float = 0.1, repeats: int = 3, run: Run = run_command
) -> dict[str, Any] | str:
    """Return the best rates of `repeats` runs for each number of threads, or the reason why there are none.

    {"1": {"arithmetic": {"int8": {"instruction", "per_second"}, ...}, "bytes_per_second": {"131072": ...}}}
    Other processes can only make the program slower, so the best run is the nearest to the limit.
    """
    compiler_path = compiler()
    if compiler_path is None:
        return NO_COMPILER
    with tempfile.TemporaryDirectory() as scratch:
        try:
            program = build(compiler_path, "peak", Path(scratch), run)
            command = [str(program), f"{seconds}", *map(str, threads)]
            runs: list[dict[str, Any]] = [json.loads(run(command)) for _ in range(repeats)]
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            return f"the program that measures peak rates does not run here ({type(error).__name__})"
    return best_of(runs)


def best_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the highest rate of each kind among several runs of the program."""
    best: dict[str, Any] = {}
    for threads, first in runs[0].items():
        arithmetic = {precision: peak for precision, peak in first["arithmetic"].items() if peak}
        best[threads] = {
            "arithmetic": {
                precision: {**peak, "per_second": max(_rate(run[threads], precision) for run in runs)}
                for precision, peak in arithmetic.items()
            },
            "bytes_per_second": {
                size: max(run[threads]["bytes_per_second"][size] for run in runs)
                for size in first["bytes_per_second"]
            },
        }
    return best


def measure_products(
    shapes: Sequence[Sequence[int]], cpus: Sequence[int], *, run: Run = run_command
) -> list[dict[str, Any]]:
    """Return operations per second of PyTorch's products of [rows, inner] and [inner, columns] on these CPUs.

    {"precision", "shape": [rows, inner, columns], "per_second"}, measured in a separate process, which is
    pinned before PyTorch counts the machine's cores.
    """
    arguments = json.dumps({"shapes": [list(shape) for shape in shapes], "cpus": list(cpus)})
    command = [sys.executable, "-P", "-m", "baselines.hardware.peaks", arguments]
    products: list[dict[str, Any]] = json.loads(run(command))
    return products


def products_here(
    shapes: Sequence[Sequence[int]],
    threads: int,
    *,
    seconds: float = 0.05,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, Any]]:
    """Measure the products in this process."""
    import torch

    torch.set_num_threads(threads)
    rates = []
    for rows, inner, columns in shapes:
        for precision, product in _products(torch, rows, inner, columns).items():
            rate = 2 * rows * inner * columns / _best_time(product, seconds, clock)
            rates.append({"precision": precision, "shape": [rows, inner, columns], "per_second": rate})
    return rates


def _products(torch: Any, rows: int, inner: int, columns: int) -> dict[str, Callable[[], Any]]:  # noqa: ANN401
    products: dict[str, Callable[[], Any]] = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left = torch.randn(rows, inner).to(dtype)
        right = torch.randn(columns, inner).to(dtype).t()
        products[precision] = partial(torch.matmul, left, right)
    left = torch.randint(-127, 127, (rows, inner), dtype=torch.int8)
    right = torch.randint(-127, 127, (columns, inner), dtype=torch.int8).t()
    products["int8"] = partial(torch._int_mm, left, right)  # noqa: SLF001 -- its only name for int8 products
    return products


def _best_time(product: Callable[[], Any], seconds: float, clock: Callable[[], float]) -> float:
    product()
    best, start = float("inf"), clock()
    while clock() - start < seconds:
        product_start = clock()
        product()
        best = min(best, clock() - product_start)
    return best


def _main(arguments: Mapping[str, Any]) -> None:
    os.sched_setaffinity(0, arguments["cpus"])
    sys.stdout.write(json.dumps(products_here(arguments["shapes"], len(arguments["cpus"]))))


def _rate(peaks: dict[str, Any], precision: str) -> float:
    return float(peaks["arithmetic"][precision]["per_second"])


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
