"""What this machine can do at most, measured: by a small C program, and by matrix products of PyTorch.

The program computes from registers and reads memory (peak.c); it needs a C compiler. Matrix products
of a library say what is reached when weights and activations have to come from somewhere.
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

from baselines.hardware.c_program import WITHOUT, Run, build, compiler, run_command


def measure_cores(
    threads: Sequence[int], *, seconds: float = 0.1, repeats: int = 3, run: Run = run_command
) -> dict[str, Any] | str:
    """Return the best of `repeats` for each number of threads, or why there is none.

    {"1": {"arithmetic": {"int8": {"instruction", "per_second"}, ...}, "bytes_per_second": {"131072": ...}}}
    Others on the machine only ever make it slower, so the best is the nearest to the limit.
    """
    command = compiler()
    if command is None:
        return WITHOUT
    with tempfile.TemporaryDirectory() as scratch:
        try:
            program = build(command, "peak", Path(scratch), run)
            words = [str(program), f"{seconds}", *map(str, threads)]
            runs: list[dict[str, Any]] = [json.loads(run(words)) for _ in range(repeats)]
        except (subprocess.SubprocessError, OSError, ValueError) as problem:
            return f"the program that measures it does not run here ({type(problem).__name__})"
    return best_of(runs)


def best_of(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the highest rate of each kind among several runs of the program."""
    best: dict[str, Any] = {}
    for threads in found[0]:
        kinds = {name: words for name, words in found[0][threads]["arithmetic"].items() if words}
        sizes = found[0][threads]["bytes_per_second"]
        best[threads] = {
            "arithmetic": {
                name: {**words, "per_second": max(_rate(one[threads], name) for one in found)}
                for name, words in kinds.items()
            },
            "bytes_per_second": {
                size: max(one[threads]["bytes_per_second"][size] for one in found) for size in sizes
            },
        }
    return best


def measure_products(
    shapes: Sequence[Sequence[int]], cpus: Sequence[int], *, run: Run = run_command
) -> list[dict[str, Any]]:
    """Return operations per second of PyTorch's products of [rows, inner] and [inner, columns] on these CPUs.

    {"precision", "shape": [rows, inner, columns], "per_second"}, measured in a process of its own, which is
    pinned before PyTorch counts the machine's cores.
    """
    words = json.dumps({"shapes": [list(shape) for shape in shapes], "cpus": list(cpus)})
    found: list[dict[str, Any]] = json.loads(
        run([sys.executable, "-P", "-m", "baselines.hardware.peaks", words])
    )
    return found


def products_here(
    shapes: Sequence[Sequence[int]],
    threads: int,
    *,
    seconds: float = 0.05,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, Any]]:
    """Time the products in this process."""
    import torch

    torch.set_num_threads(threads)
    made = []
    for rows, inner, columns in shapes:
        for name, product in _products(torch, rows, inner, columns).items():
            rate = 2 * rows * inner * columns / _best_time(product, seconds, clock)
            made.append({"precision": name, "shape": [rows, inner, columns], "per_second": rate})
    return made


def _products(torch: Any, rows: int, inner: int, columns: int) -> dict[str, Callable[[], Any]]:  # noqa: ANN401
    made: dict[str, Callable[[], Any]] = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left = torch.randn(rows, inner).to(kind)
        right = torch.randn(columns, inner).to(kind).t()
        made[name] = partial(torch.matmul, left, right)
    left = torch.randint(-127, 127, (rows, inner), dtype=torch.int8)
    right = torch.randint(-127, 127, (columns, inner), dtype=torch.int8).t()
    made["int8"] = partial(torch._int_mm, left, right)  # noqa: SLF001 -- its only name for int8 products
    return made


def _best_time(product: Callable[[], Any], seconds: float, clock: Callable[[], float]) -> float:
    product()
    best, begun = float("inf"), clock()
    while clock() - begun < seconds:
        started = clock()
        product()
        best = min(best, clock() - started)
    return best


def _main(words: Mapping[str, Any]) -> None:
    os.sched_setaffinity(0, words["cpus"])
    sys.stdout.write(json.dumps(products_here(words["shapes"], len(words["cpus"]))))


def _rate(words: dict[str, Any], name: str) -> float:
    return float(words["arithmetic"][name]["per_second"])


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
