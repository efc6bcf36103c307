"""Memory of a worker's process tree: its peak, and what it holds now.

    sample(pid) after each visit --> peak() at the end
    held_bytes(pid)              --> now, in shares that add up over workers

Two counts, neither perfect, and the record says which:

- `RSS`, for a worker that never had a child process: the high-water mark that the kernel keeps (`VmHWM`). It
  misses no short peak, and it counts shared library pages in full, so a system's figure does not depend on
  how many other workers happen to share them.
- `PSS`, once a child was seen: instances share their weights, and adding their RSS would count these once
  per instance. PSS splits each page among its users, and is sampled: a peak between two samples is missed.
  Where a process hides its PSS the tree is counted in RSS, an upper bound.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from harness.common.errors import MeasurementError
from harness.common.procfs import ROOT, read

Counted = Literal["PSS", "RSS"]


@dataclass(frozen=True, slots=True)
class MemoryPeak:
    """Peak memory in bytes, and how the kernel counted it; the fields of `harness.records.record.Memory`."""

    peak_bytes: int
    counted_as: Counted


class PeakMemoryTracker:
    """Keeps the highest sample of one worker."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._lone = 0
        self._tree: dict[Counted, int] = {}

    def sample(self, pid: int) -> int:
        """Look at the tree under `pid` now; return what it holds in bytes, and keep the peak.

        Raises MeasurementError if the process is gone.
        """
        try:
            process = psutil.Process(pid)
            children = process.children(recursive=True)
            counted, size = _tree_bytes(process, children)
        except psutil.NoSuchProcess as gone:
            raise MeasurementError(
                f"process {pid} ended before its memory was read.",
                where="peak memory",
                remedy="Sample while the worker runs.",
            ) from gone
        if children:
            self._tree[counted] = max(size, self._tree.get(counted, 0))
        elif not self._tree:
            self._lone = max(self._lone, size, high_water_bytes(pid, self._root) or 0)
        return size

    def peak(self) -> MemoryPeak | None:
        """Return the peak of all samples; None before the first."""
        if "RSS" in self._tree:
            return MemoryPeak(max(self._tree.values()), "RSS")
        if self._tree:
            return MemoryPeak(self._tree["PSS"], "PSS")
        return MemoryPeak(self._lone, "RSS") if self._lone else None


def held_bytes(pid: int) -> int:
    """Return what the tree under `pid` holds now, in bytes: PSS, or RSS where a process hides it.

    In PSS the workers of a group add up to what they take together: pages that they share count once. A
    process that has ended holds none.
    """
    try:
        process = psutil.Process(pid)
        return _shared_out(process, process.children(recursive=True))[1]
    except psutil.NoSuchProcess:
        return 0


def high_water_bytes(pid: int, root: Path = ROOT) -> int | None:
    """Return the highest RSS this process ever had (`VmHWM`), or None where the kernel hides it."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", read(root / f"proc/{pid}/status") or "", re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _tree_bytes(process: psutil.Process, children: list[psutil.Process]) -> tuple[Counted, int]:
    """Return the memory of these processes: PSS where all show it, else RSS."""
    return _shared_out(process, children) if children else ("RSS", _rss(process))


def _shared_out(process: psutil.Process, children: list[psutil.Process]) -> tuple[Counted, int]:
    try:
        return "PSS", _pss(process) + sum(_of_child(child, _pss) for child in children)
    except psutil.AccessDenied:
        return "RSS", _rss(process) + sum(_of_child(child, _rss) for child in children)


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _rss(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _of_child(child: psutil.Process, count: Callable[[psutil.Process], int]) -> int:
    """Count a child's memory; one that has ended since it was listed holds none."""
    try:
        return count(child)
    except psutil.NoSuchProcess:
        return 0
