"""Counters of the kernel's perf subsystem, by the system call `perf_event_open(2)`.

    open_event(...) --> PerfEvent      read() --> count, scaled to the time that the event was enabled

Cycles and instructions of a process and its descendants distinguish more work from a slower clock, which time
alone does not. If the kernel or the machine has no such counters, the error states the cause.
"""

import contextlib
import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import MeasurementError
from harness.common.procfs import ROOT, read

SYSCALLS = {"x86_64": 298, "i686": 336, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
"""The number of perf_event_open by machine, from the kernel's tables of system calls."""

HARDWARE, CYCLES, INSTRUCTIONS = 0, 0, 1
"""PERF_TYPE_HARDWARE, and two of its events, from <linux/perf_event.h>."""

TIMES = 3
"""The read format PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING."""

PARANOID = "proc/sys/kernel/perf_event_paranoid"

_COUNT = struct.Struct("QQQ")
"""The count, and the nanoseconds for which the event was enabled and running."""

_SIZE = 112
"""PERF_ATTR_SIZE_VER5: every kernel since 4.1 accepts attributes of this size."""

_INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_PERF_FLAG_FD_CLOEXEC = 8


@dataclass(frozen=True, slots=True)
class PerfEvent:
    """One open counter; with `user_only`, work in the kernel is not counted."""

    descriptor: int
    user_only: bool = False

    def read(self) -> int | None:
        """Return the count, scaled up if the processor shared its counters among several events.

        None if the kernel returns no count, as for an event in an error state (perf_event_open(2)).
        """
        block = os.read(self.descriptor, _COUNT.size)
        return scaled(*_COUNT.unpack(block)) if len(block) == _COUNT.size else None

    def close(self) -> None:
        """Close the counter."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class WorkCounters:
    """Cycles and instructions of this process and the children it starts later, or why there are none."""

    events: tuple[PerfEvent, ...] = ()
    reason: str = ""

    def __call__(self) -> tuple[int, ...]:
        """Return (cycles, instructions) since they were opened, or () if they are unavailable."""
        counts = tuple(event.read() for event in self.events)
        return tuple(count for count in counts if count is not None) if None not in counts else ()

    @property
    def said(self) -> str:
        """The text for the record: what is counted, or why nothing is."""
        if not self.events:
            return f"unavailable, because {self.reason}"
        mode = "in user mode only" if self.events[0].user_only else "in user and kernel mode"
        return f"perf events, process tree, {mode}"

    def close(self) -> None:
        """Close the counters."""
        for event in self.events:
            event.close()


def open_event(kind: int, config: int, *, pid: int = 0, cpu: int = -1, inherit: bool = True) -> PerfEvent:
    """Open one counter of the calling thread (pid 0) and its descendants, or of a CPU (pid -1).

    If work in the kernel may not be counted, only work in user mode is. MeasurementError if neither is
    allowed.
    """
    error_number = 0
    for flags in (0, _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR):
        block = attributes(kind, config, flags | (_INHERIT if inherit else 0))
        try:
            return PerfEvent(perf_event_open(block, pid=pid, cpu=cpu), user_only=bool(flags))
        except OSError as error:
            error_number = error.errno or 0
        if error_number not in (errno.EACCES, errno.EPERM):
            break
    raise MeasurementError(why_not(error_number), where="perf events", remedy=_remedy(error_number))


def open_work_counters() -> WorkCounters:
    """Count cycles and instructions of this process and the children it starts from now on."""
    events: list[PerfEvent] = []
    try:
        for config in (CYCLES, INSTRUCTIONS):
            events.append(open_event(HARDWARE, config))  # noqa: PERF401 -- those opened are closed on error
    except MeasurementError as error:
        for event in events:
            event.close()
        return WorkCounters(reason=error.message.rstrip("."))
    return WorkCounters(tuple(events))


def attributes(kind: int, config: int, flags: int, read_format: int = TIMES) -> bytes:
    """Return the kernel's `struct perf_event_attr` for a counter that is read, not sampled."""
    block = bytearray(_SIZE)
    struct.pack_into("IIQ", block, 0, kind, _SIZE, config)
    struct.pack_into("Q", block, 32, read_format)
    struct.pack_into("Q", block, 40, flags)
    return bytes(block)


def perf_event_open(block: bytes, *, pid: int, cpu: int) -> int:
    """Make the system call and return the event's file descriptor; OSError if it fails."""
    number = SYSCALLS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    library = ctypes.CDLL(None, use_errno=True)
    arguments = (pid, cpu, -1, _PERF_FLAG_FD_CLOEXEC)  # -1: no group
    descriptor = library.syscall(number, ctypes.c_char_p(block), *map(ctypes.c_long, arguments))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(descriptor)


def scaled(value: int, enabled_ns: int, running_ns: int) -> int:
    """Return the count for the whole time that the event was enabled, of which it ran `running_ns`."""
    return value if running_ns in (0, enabled_ns) else round(value * enabled_ns / running_ns)


def why_not(error_number: int, root: Path = ROOT) -> str:
    """Return why perf_event_open failed, as a sentence."""
    level = read(root / PARANOID)
    if error_number in (errno.EACCES, errno.EPERM):
        return f"perf_event_paranoid is {level or 'hidden'}, or a container forbids perf_event_open."
    if error_number in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        return "the processor offers no such counter here, as in most virtual machines."
    if error_number == errno.ENOSYS and platform.machine() not in SYSCALLS:
        return f"the number of the system call perf_event_open is unknown on {platform.machine()}."
    if error_number == errno.ENOSYS:
        return "this kernel has no perf events."
    return f"perf_event_open failed: {os.strerror(error_number)}."


def _remedy(error_number: int) -> str | None:
    if error_number in (errno.EACCES, errno.EPERM):
        return "As root: sysctl kernel.perf_event_paranoid=2 counts work in user mode, 1 also in the kernel."
    return None
