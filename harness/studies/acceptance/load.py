"""Loads of known size, in processes of their own: busy loops on CPUs, and the matrix product of a board."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LONGEST_S = 120
"""A load ends by itself after this time, should this process be killed."""

_BUSY = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"

_MATRIX = """
import sys, time, torch
end = time.monotonic() + float(sys.argv[1])
matrix = torch.randn(4096, 4096, device=sys.argv[2], dtype=torch.float16)
while time.monotonic() < end:
    matrix @ matrix
    torch.cuda.synchronize()
    print("ready", flush=True) if sys.argv[3:] else None
    del sys.argv[3:]
"""


@dataclass(slots=True)
class Load:
    """A running load: the reason why it could not start, and its CPU seconds once it has ended."""

    reason: str | None = None
    cpu_s: float | None = None
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)


@contextmanager
def busy_cpus(count: int) -> Iterator[Load]:
    """Keep this many CPUs busy."""
    with _running([["-I", "-S", "-c", _BUSY, str(LONGEST_S)]] * count) as load:
        yield load


@contextmanager
def matrix_product(device: str) -> Iterator[Load]:
    """Multiply matrices on a board with PyTorch, once it is warm."""
    with _running([["-c", _MATRIX, str(LONGEST_S), device, "first"]]) as load:
        (process,) = load.processes
        if process.stdout is None or process.stdout.readline() != "ready\n":
            load.reason = f"PyTorch computes nothing on {device} here"
        yield load


@contextmanager
def _running(arguments: list[list[str]]) -> Iterator[Load]:
    """Run Python programs until the block ends."""
    load, before = Load(), _children_s()
    try:
        for options in arguments:
            load.processes.append(
                subprocess.Popen(  # noqa: S603 -- this interpreter, and a program of this module
                    [sys.executable, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            )
        yield load
    finally:
        for process in load.processes:
            process.kill()
        for process in load.processes:
            process.communicate()
        load.cpu_s = round(_children_s() - before, 2)


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
