"""Who else works while a system is measured: a look from the parent at both edges of each visit.

    parent:   look | ask ......................... answer | look
    worker:          warm-up | meter clock ... clock meter |

Both looks lie outside clock and meter, while no system works. What our CPUs were busy with, less the CPU time
of our own processes, is other people's load: it slows the system, and a meter of the whole package counts its
joules. The kernel counts busy time in ticks (usually 10 ms): a short visit says little, the median of many a
lot.
"""

import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.common.procfs import ROOT, Busy, busy, tree_cpu_ns

UsageSampler = Callable[[int], "UsageSample"]
"""Looks at everything from outside, given the worker's process."""


@dataclass(frozen=True, slots=True)
class UsageSample:
    """One look: nanoseconds of a monotonic clock and of CPU time; `busy` is None where hidden."""

    at_ns: int
    parent_ns: int
    worker_ns: int
    busy: Busy | None


@dataclass(frozen=True, slots=True)
class InterferenceWatch:
    """Looks at these CPUs, the parent and the worker's process tree.

    `cpus` should hold the SMT siblings of the worker's CPUs too: work there slows it as well.
    """

    cpus: Sequence[int]
    root: Path = ROOT
    clock: Callable[[], int] = time.monotonic_ns
    parent_ns: Callable[[], int] = time.process_time_ns
    worker_ns: Callable[[int], int] = field(default=tree_cpu_ns)

    def look(self, worker: int) -> UsageSample:
        """Look now; `worker` is the process whose turn it is, as all other workers are stopped."""
        return UsageSample(self.clock(), self.parent_ns(), self.worker_ns(worker), busy(self.cpus, self.root))


def interference_between(before: UsageSample, after: UsageSample) -> dict[str, int]:
    """Return what stood beside the visit between two looks, in nanoseconds; what is hidden is left out.

    `foreign_cpu_ns` is never negative: ticks may show less than our own processes used.
    """
    parent_ns, worker_ns = after.parent_ns - before.parent_ns, after.worker_ns - before.worker_ns
    seen = {"watched_ns": after.at_ns - before.at_ns, "parent_cpu_ns": parent_ns}
    if before.busy is None or after.busy is None:
        return seen
    spent = after.busy.since(before.busy)
    return {
        **seen,
        "foreign_cpu_ns": max(0, spent.ours_ns - worker_ns - parent_ns),
        "elsewhere_cpu_ns": spent.elsewhere_ns,
        "steal_ns": spent.steal_ns,
    }


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Nanoseconds of wall time, of CPU time of this process, and of those it started and waited for.

    `pollers` counts threads of this process beside the one that asks.
    """

    wall_ns: int
    parent_ns: int
    workers_ns: int
    pollers: int

    def since(self, earlier: "ProcessUsage") -> "ProcessUsage":
        """Return what was used since an earlier point, with the most pollers of both."""
        return ProcessUsage(
            self.wall_ns - earlier.wall_ns,
            self.parent_ns - earlier.parent_ns,
            self.workers_ns - earlier.workers_ns,
            max(self.pollers, earlier.pollers),
        )


def process_usage() -> ProcessUsage:
    """Return what this process and its ended children have used so far."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers_ns = round((ended.ru_utime + ended.ru_stime) * 1e9)
    return ProcessUsage(time.monotonic_ns(), time.process_time_ns(), workers_ns, threading.active_count() - 1)
