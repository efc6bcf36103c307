"""Interference: the CPU use of other processes, sampled by the parent at both edges of each visit.

    parent:   sample | request ..................... answer | sample
    worker:            warm-up | meter clock ... clock meter |

Both samples are outside of clock and meter, while no system works. The busy time of the CPUs minus the CPU
time of our own processes is interference: it slows the system down, and a meter of the whole package includes
its energy. The kernel counts busy time in ticks (usually 10 ms), so a short visit is inexact, and the median
of many is exact enough.
"""

import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.common.procfs import ROOT, Busy, busy, tree_cpu_ns

UsageSampler = Callable[[int], "UsageSample"]
"""Returns a sample of the CPU use now, given the process id of the worker."""


@dataclass(frozen=True, slots=True)
class UsageSample:
    """One sample: nanoseconds of a monotonic clock and of CPU time; `busy` is None if the kernel hides it."""

    at_ns: int
    parent_ns: int
    worker_ns: int
    busy: Busy | None


@dataclass(frozen=True, slots=True)
class InterferenceWatch:
    """Samples the use of these CPUs, and the CPU time of the parent and of the worker's process tree.

    `cpus` should include the SMT siblings of the worker's CPUs, as work there slows it down as well.
    """

    cpus: Sequence[int]
    root: Path = ROOT
    clock: Callable[[], int] = time.monotonic_ns
    parent_ns: Callable[[], int] = time.process_time_ns
    worker_ns: Callable[[int], int] = field(default=tree_cpu_ns)

    def look(self, worker: int) -> UsageSample:
        """Return a sample; `worker` is the process that is measured, while all other workers are stopped."""
        return UsageSample(self.clock(), self.parent_ns(), self.worker_ns(worker), busy(self.cpus, self.root))


def interference_between(before: UsageSample, after: UsageSample) -> dict[str, int]:
    """Return the CPU use between two samples in nanoseconds; values that the kernel hides are left out.

    `foreign_cpu_ns` is never negative: ticks may show less time than our own processes used.
    """
    parent_ns, worker_ns = after.parent_ns - before.parent_ns, after.worker_ns - before.worker_ns
    usage = {"watched_ns": after.at_ns - before.at_ns, "parent_cpu_ns": parent_ns}
    if before.busy is None or after.busy is None:
        return usage
    busy_between = after.busy.since(before.busy)
    return {
        **usage,
        "foreign_cpu_ns": max(0, busy_between.busy_ns - worker_ns - parent_ns),
        "elsewhere_cpu_ns": busy_between.elsewhere_ns,
        "steal_ns": busy_between.steal_ns,
    }


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Nanoseconds of wall time, and of CPU time of this process and of children that it has waited for.

    `pollers` is the number of other threads in this process.
    """

    wall_ns: int
    parent_ns: int
    workers_ns: int
    pollers: int

    def since(self, earlier: "ProcessUsage") -> "ProcessUsage":
        """Return the usage since an earlier point, with the larger number of pollers."""
        return ProcessUsage(
            self.wall_ns - earlier.wall_ns,
            self.parent_ns - earlier.parent_ns,
            self.workers_ns - earlier.workers_ns,
            max(self.pollers, earlier.pollers),
        )


def process_usage() -> ProcessUsage:
    """Return the usage of this process and its ended children so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers_ns = round((children.ru_utime + children.ru_stime) * 1e9)
    return ProcessUsage(time.monotonic_ns(), time.process_time_ns(), workers_ns, threading.active_count() - 1)
