"""Peak memory of real processes: a lone worker by its high-water mark, a tree by its PSS."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.common.errors import MeasurementError
from harness.measurement.machine.memory import MemoryPeak, PeakMemoryTracker, held_bytes, high_water_bytes

MIB = 2**20
PEAK = "block = bytearray(120 * 2**20); del block\n"
CHILD = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()'])\n"


@contextmanager
def worker(program: str) -> Iterator[int]:
    """Run a program, wait until it has done its work, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{program}print('ready', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.communicate("\n")


def test_a_peak_between_two_samples_is_seen_in_a_lone_worker() -> None:
    """120 MiB were held and freed before the only sample; the high-water mark remembers."""
    memory = PeakMemoryTracker()
    with worker(PEAK) as pid:
        now = memory.sample(pid)
    peak = memory.peak()
    assert peak is not None
    assert peak.counted_as == "RSS"
    assert peak.peak_bytes > 120 * MIB
    assert now < 100 * MIB


def test_what_a_tree_holds_now_counts_its_children_and_not_what_was_freed() -> None:
    """The child holds 60 MiB; the parent held 120 MiB for a moment."""
    child = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', CODE], stdout=-1)\n"
    code = "block = bytearray(60 * 2**20); print(1, flush=True); input()"
    program = f"CODE = {code!r}\n{child}child.stdout.readline()\n"
    with worker(program + PEAK) as pid:
        held = held_bytes(pid)
    assert 60 * MIB < held < 110 * MIB


def test_a_process_that_has_ended_holds_nothing() -> None:
    with worker("") as pid:
        pass
    assert held_bytes(pid) == 0


def test_a_tree_is_counted_in_pss_and_pages_count_once() -> None:
    """Two interpreters share their program text: PSS is less than the sum of their RSS."""
    memory = PeakMemoryTracker()
    with worker(CHILD) as pid:
        memory.sample(pid)
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        rss = sum(process.memory_info().rss for process in family)
    peak = memory.peak()
    assert peak is not None
    assert peak.counted_as == "PSS"
    assert 0 < peak.peak_bytes < rss


def test_hidden_pss_is_counted_as_rss_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that refuses smaps leaves RSS, an upper bound under its own name."""

    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    memory = PeakMemoryTracker()
    with worker(CHILD) as pid:
        size = memory.sample(pid)
    assert memory.peak() == MemoryPeak(size, "RSS")


def test_the_highest_sample_is_kept() -> None:
    """A second, smaller worker does not lower the peak."""
    memory = PeakMemoryTracker()
    with worker(PEAK) as pid:
        memory.sample(pid)
    high = memory.peak()
    with worker("") as pid:
        memory.sample(pid)
    assert memory.peak() == high


def test_before_the_first_sample_there_is_no_peak() -> None:
    """Nothing measured is not zero bytes."""
    assert PeakMemoryTracker().peak() is None


def test_a_worker_that_is_gone_is_an_error() -> None:
    """The message names the process and what to do."""
    with worker("") as pid:
        pass
    with pytest.raises(MeasurementError, match=f"process {pid} ended before its memory was read"):
        PeakMemoryTracker().sample(pid)


def test_the_high_water_mark_is_read_from_the_status_file(tmp_path: Path) -> None:
    """150,000 kB are 153,600,000 bytes; a hidden mark is none."""
    status = tmp_path / "proc/7/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tworker\nVmPeak:\t  900000 kB\nVmHWM:\t  150000 kB\nVmRSS:\t   90000 kB\n")
    assert high_water_bytes(7, tmp_path) == 153_600_000
    assert high_water_bytes(8, tmp_path) is None
