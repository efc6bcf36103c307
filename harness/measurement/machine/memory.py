"""The memory of a worker's process tree: its peak, and its present size.

    sample(pid) after each visit --> peak() at the end
    held_bytes(pid)              --> now, in shares that add up over workers

There are two measures, and the record states which one was used:

- `RSS`, for a worker without child processes: the high-water mark that the kernel keeps (`VmHWM`). It misses
no
  short peak. It counts pages of shared libraries in full, so it does not depend on the number of other
  workers that share them.
- `PSS`, once there was a child: instances share their weights, and a sum of their RSS would count these once
per
  instance. PSS divides each page among its users. It is sampled: a peak between two samples is missed. If a
  process hides its PSS, the tree is counted in RSS, which is an upper bound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from harness.common.errors import MeasurementError
from harness.common.procfs import ROOT, kilobytes, read

Measure = Literal["PSS", "RSS"]


@dataclass(frozen=True, slots=True)
class MemoryPeak:
    """Peak memory in bytes, and its measure; the fields of `harness.records.record.Memory`."""

    peak_bytes: int
    counted_as: Measure


class PeakMemoryTracker:
    """Keeps the highest sample of one worker."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._single_peak = 0
        self._tree_peaks: dict[Measure, int] = {}

    def sample(self, pid: int) -> int:
        """Return the present memory of the process tree under `pid` in bytes, and update the peak.

        Raises MeasurementError if the process has ended.
        """
        try:
            process = psutil.Process(pid)
            children = process.children(recursive=True)
            measure, size = _tree_bytes(process, children) if children else ("RSS", _rss(process))
        except psutil.NoSuchProcess as error:
            raise MeasurementError(
                f"process {pid} ended before its memory was read.",
                where="peak memory",
                remedy="Sample while the worker runs.",
            ) from error
        if children:
            self._tree_peaks[measure] = max(size, self._tree_peaks.get(measure, 0))
        elif not self._tree_peaks:
            self._single_peak = max(self._single_peak, size, high_water_bytes(pid, self._root) or 0)
        return size

    def peak(self) -> MemoryPeak | None:
        """Return the peak of all samples; None before the first."""
        if "RSS" in self._tree_peaks:
            return MemoryPeak(max(self._tree_peaks.values()), "RSS")
        if self._tree_peaks:
            return MemoryPeak(self._tree_peaks["PSS"], "PSS")
        return MemoryPeak(self._single_peak, "RSS") if self._single_peak else None


def held_bytes(pid: int) -> int:
    """Return the present memory of the process tree under `pid` in bytes: PSS, or RSS if that is hidden.

    The PSS of all workers of a group adds up to their memory together, as shared pages count once. A process
    that has ended has 0 bytes.
    """
    try:
        process = psutil.Process(pid)
        return _tree_bytes(process, process.children(recursive=True))[1]
    except psutil.NoSuchProcess:
        return 0


def high_water_bytes(pid: int, root: Path = ROOT) -> int | None:
    """Return the highest RSS that the process ever had (`VmHWM`), or None if the kernel hides it."""
    return kilobytes("VmHWM", read(root / f"proc/{pid}/status"))


def _tree_bytes(process: psutil.Process, children: list[psutil.Process]) -> tuple[Measure, int]:
    """Return the memory of these processes: PSS if all show it, else RSS."""
    try:
        return "PSS", _pss(process) + sum(_of_child(child, _pss) for child in children)
    except psutil.AccessDenied:
        return "RSS", _rss(process) + sum(_of_child(child, _rss) for child in children)


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _rss(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _of_child(child: psutil.Process, size_of: Callable[[psutil.Process], int]) -> int:
    """Return a child's memory; 0 if it has ended since it was listed."""
    try:
        return size_of(child)
    except psutil.NoSuchProcess:
        return 0
