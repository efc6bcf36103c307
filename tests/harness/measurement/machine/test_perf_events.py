import errno
import os
import struct
from pathlib import Path

import pytest

from harness.common.errors import MeasurementError
from harness.measurement.machine.perf_events import (
    PerfEvent,
    WorkCounters,
    attributes,
    open_event,
    open_work_counters,
    scaled,
    why_not,
)

SOFTWARE, TASK_CLOCK = 1, 1
"""PERF_TYPE_SOFTWARE and PERF_COUNT_SW_TASK_CLOCK: CPU nanoseconds, which need no counters of a processor."""


def pipe_with(value: int, enabled: int, running: int) -> int:
    reader, writer = os.pipe()
    os.write(writer, struct.pack("QQQ", value, enabled, running))
    os.close(writer)
    return reader


def test_the_block_of_attributes_is_laid_out_as_the_kernel_reads_it() -> None:
    """Type at 0, size at 4, config at 8, read format at 32, flags at 40, of <linux/perf_event.h>."""
    block = attributes(4, 0x1234, 0b1000010)
    assert struct.unpack_from("IIQ", block, 0) == (4, 112, 0x1234)
    assert struct.unpack_from("QQ", block, 32) == (3, 0b1000010)
    assert len(block) == 112


def test_a_shared_counter_is_scaled_to_the_time_it_was_enabled() -> None:
    """Counted for 2 of 6 ms: three times as much; never on the processor, or always: as it is."""
    assert scaled(100, 6, 2) == 300
    assert scaled(100, 6, 6) == 100
    assert scaled(0, 6, 0) == 0


def test_both_counts_are_read_and_given_back() -> None:
    """Cycles first, instructions second; pipes stand for the kernel's descriptors."""
    events = (PerfEvent(pipe_with(70, 10, 10)), PerfEvent(pipe_with(90, 10, 5)))
    counters = WorkCounters(events)
    assert counters() == (70, 180)
    assert counters.said == "perf events, process tree, in user and kernel mode"
    counters.close()
    with pytest.raises(OSError, match="Bad file"):
        events[0].read()


def test_absent_counters_count_nothing_and_say_why() -> None:
    """No zero stands for what was not counted."""
    counters = WorkCounters(reason="this kernel has no perf events")
    assert counters() == ()
    assert counters.said == "unavailable, because this kernel has no perf events"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "perf_event_paranoid is 4"),
        (errno.EPERM, "perf_event_paranoid is 4"),
        (errno.ENOENT, "the processor offers no such counter here"),
        (errno.ENOSYS, "this kernel has no perf events"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_each_error_of_the_kernel_has_its_reason(tmp_path: Path, code: int, words: str) -> None:
    """The level of perf_event_paranoid is part of it."""
    level = tmp_path / "proc/sys/kernel/perf_event_paranoid"
    level.parent.mkdir(parents=True)
    level.write_text("4\n")
    assert words in why_not(code, tmp_path)


def test_this_machine_counts_or_says_why_not() -> None:
    """Where the kernel lets a software event be opened, it counts CPU time of this process."""
    counters = open_work_counters()
    assert bool(counters.events) != bool(counters.reason)
    counters.close()
    try:
        event = open_event(SOFTWARE, TASK_CLOCK)
    except MeasurementError:
        return
    before = event.read()
    sum(range(100_000))
    assert event.read() > before
    event.close()
