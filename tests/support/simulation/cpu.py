"""The CPU time of a process tree, cheap enough to be read a thousand times a second."""

import os
import threading
import time
from collections.abc import Callable

from harness.common.procfs import children

SCAN_NS = 100_000_000
"""The interval between two scans for new processes; their earlier CPU time is counted from then on."""


class TreeClock:
    """Nanoseconds of CPU time that a process tree has used since the clock was made.

    Each process is read from its own CPU clock, to the nanosecond; its use between the last read and its end
    is lost. `left_out` returns nanoseconds that do not count, such as the caller's own.
    """

    def __init__(
        self,
        pid: int | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        left_out: Callable[[], int] = lambda: 0,
    ) -> None:
        self._root = os.getpid() if pid is None else pid
        self._clock, self._left_out = clock, left_out
        self._lock = threading.Lock()
        self._last: dict[int, int] = {}
        self._total = 0
        self._next_scan_ns = 0
        self._scan(clock(), counted=False)

    def __call__(self) -> int:
        """Return the nanoseconds of CPU time used so far."""
        with self._lock:
            now = self._clock()
            if now >= self._next_scan_ns:
                self._scan(now, counted=True)
            for pid in list(self._last):
                self._advance(pid)
            return self._total - self._left_out()

    def _scan(self, now: int, *, counted: bool) -> None:
        """Find new processes; their earlier CPU time counts, except for those of the first scan."""
        self._next_scan_ns = now + SCAN_NS
        for pid in (self._root, *children(self._root)):
            if pid not in self._last:
                self._last[pid] = 0 if counted else _cpu_ns(pid) or 0

    def _advance(self, pid: int) -> None:
        used = _cpu_ns(pid)
        if used is None:
            del self._last[pid]
        else:
            self._total += used - self._last[pid]
            self._last[pid] = used


def _cpu_ns(pid: int) -> int | None:
    """Return a process's CPU time, or None once it has ended."""
    try:
        # the CPU clock of another process: ~pid and CPUCLOCK_SCHED, as clock_getcpuclockid(3) builds it
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return None
