"""The footprint of a command: wall and CPU seconds, and the peak memory of all its processes together.

    python -m devtools.footprint bench run --task boolq --device cpu

Memory is PSS, so that pages shared between workers count once; it is sampled twice a second, so a shorter
peak is missed. The figures go to stderr; the command's output and exit code are passed on.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

PERIOD_S = 0.5
"""The interval between two samples; each takes a few milliseconds per process."""


def footprint(command: Sequence[str]) -> tuple[int, float, int]:
    """Run a command; return its exit code, wall seconds, and peak PSS in bytes over its process tree."""
    begin = time.monotonic()
    peak = 0
    with subprocess.Popen(command) as child:
        while child.returncode is None:
            peak = max(peak, tree_pss(child.pid))
            with suppress(subprocess.TimeoutExpired):
                child.wait(PERIOD_S)  # returns at once when it ends, so the wall time is exact
    return child.returncode, time.monotonic() - begin, peak


def tree_pss(pid: int) -> int:
    """Return the PSS of a process and its descendants in bytes; a process that has ended counts as 0."""
    total = 0
    try:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in tree:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def main() -> None:
    """Run the command on the command line, and print its footprint."""
    code, seconds, peak = footprint(sys.argv[1:])
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    message = (
        f"wall {seconds:.2f} s, CPU {usage.ru_utime + usage.ru_stime:.2f} s, "
        f"peak {peak / 2**20:.0f} MiB over all processes, exit code {code}"
    )
    print(message, file=sys.stderr)  # noqa: T201 -- a program of its own
    sys.exit(code)


if __name__ == "__main__":
    main()
