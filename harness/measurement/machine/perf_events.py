"""Counters of the kernel's perf subsystem: `perf_event_open(2)`, with no library around it.

    open_event(...) --> Event      read() --> value, and for how long the processor really counted

Cycles and instructions of a process and all that it starts tell apart what time alone does not: more work, or
the same work on a slower clock. Where the kernel or the machine offers none, the error says which and why.
"""

import contextlib
import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import MeasurementError
from harness.common.procfs import ROOT, read

SYSCALLS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
"""The number of perf_event_open by machine, from the kernel's tables of system calls."""

HARDWARE, CYCLES, INSTRUCTIONS = 0, 0, 1
"""PERF_TYPE_HARDWARE, and two of its events, from <linux/perf_event.h>."""

_SIZE = 112
"""PERF_ATTR_SIZE_VER5: any kernel since 4.1 knows an attribute block of this size."""

_INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_TIMES = 3
"""PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING."""

_PARANOID = "proc/sys/kernel/perf_event_paranoid"


@dataclass(frozen=True, slots=True)
class PerfEvent:
    """One open counter; `user_only` says that the kernel's own work is not in it."""

    descriptor: int
    user_only: bool = False

    def read(self) -> int:
        """Return the count, scaled up where the processor had to share its counters among several events."""
        value, enabled, running = struct.unpack("QQQ", os.read(self.descriptor, 24))
        return scaled(value, enabled, running)

    def close(self) -> None:
        """Give the counter back."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class WorkCounters:
    """Cycles and instructions of this process and all that it starts later, or why there are none.

    Called, it returns both counts since it was opened, and nothing where there are none.
    """

    events: tuple[PerfEvent, ...] = ()
    reason: str = ""

    def __call__(self) -> tuple[int, ...]:
        """Return (cycles, instructions), or () where they are unavailable."""
        return tuple(event.read() for event in self.events)

    @property
    def said(self) -> str:
        """What is counted, or why nothing is, as a record says it."""
        if not self.events:
            return f"unavailable, because {self.reason}"
        where = "in user mode only" if self.events[0].user_only else "in user and kernel mode"
        return f"perf events, process tree, {where}"

    def close(self) -> None:
        """Give the counters back."""
        for event in self.events:
            event.close()


def open_event(kind: int, config: int, *, pid: int = 0, cpu: int = -1, inherit: bool = True) -> PerfEvent:
    """Open one counter of the calling thread (pid 0) and its descendants, or of a CPU (pid -1).

    Where the kernel's own work may not be counted, the user's alone is. MeasurementError says why none opens.
    """
    number = SYSCALLS.get(platform.machine())
    if number is None:
        raise MeasurementError(f"perf events are not known on {platform.machine()}.", where="perf events")
    for flags in (0, _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR):
        block = attributes(kind, config, flags | (_INHERIT if inherit else 0))
        descriptor, code = _call(number, block, pid, cpu)
        if descriptor >= 0:
            return PerfEvent(descriptor, user_only=bool(flags))
        if code not in (errno.EACCES, errno.EPERM):
            break
    raise MeasurementError(why_not(code), where="perf events", remedy=_remedy(code))


def open_work_counters() -> WorkCounters:
    """Count cycles and instructions of this process and all that it starts from now on."""
    events: list[PerfEvent] = []
    try:
        for config in (CYCLES, INSTRUCTIONS):
            events.append(open_event(HARDWARE, config))  # noqa: PERF401 -- those opened are closed on error
    except MeasurementError as problem:
        for event in events:
            event.close()
        return WorkCounters(reason=problem.message.rstrip("."))
    return WorkCounters(tuple(events))


def attributes(kind: int, config: int, flags: int) -> bytes:
    """Return the kernel's `struct perf_event_attr` for a counter that is read, not sampled."""
    block = bytearray(_SIZE)
    struct.pack_into("IIQ", block, 0, kind, _SIZE, config)
    struct.pack_into("Q", block, 32, _TIMES)
    struct.pack_into("Q", block, 40, flags)
    return bytes(block)


def scaled(value: int, enabled_ns: int, running_ns: int) -> int:
    """Return what would have been counted, had the event had a counter all the time it was enabled."""
    return value if running_ns in (0, enabled_ns) else round(value * enabled_ns / running_ns)


def why_not(code: int, root: Path = ROOT) -> str:
    """Return why perf_event_open failed, as a sentence."""
    level = read(root / _PARANOID)
    if code in (errno.EACCES, errno.EPERM):
        return f"perf_event_paranoid is {level or 'hidden'}, or a container forbids perf_event_open."
    if code in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        return "the processor offers no such counter here, as in most virtual machines."
    if code == errno.ENOSYS:
        return "this kernel has no perf events."
    return f"perf_event_open failed: {os.strerror(code)}."


def _remedy(code: int) -> str | None:
    if code in (errno.EACCES, errno.EPERM):
        return (
            "As root: sysctl kernel.perf_event_paranoid=2 counts what runs in user mode, 1 the kernel's too."
        )
    return None


def _call(number: int, block: bytes, pid: int, cpu: int) -> tuple[int, int]:
    """Return the descriptor and the error number of the system call; -1 for the first where it failed."""
    library = ctypes.CDLL(None, use_errno=True)
    arguments: Sequence[int] = (pid, cpu, -1, 8)  # no group; PERF_FLAG_FD_CLOEXEC
    descriptor = library.syscall(number, ctypes.c_char_p(block), *map(ctypes.c_long, arguments))
    return int(descriptor), ctypes.get_errno()
