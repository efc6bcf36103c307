"""RAPL through the kernel's perf events: the same counters by a road of its own, where powercap is closed.

    /sys/bus/event_source/devices/power/type               what perf_event_open is told
                                       /cpumask            one CPU per socket (or per die)
                                       /events/energy-pkg  event=0x02, with .scale (joules a count) and .unit

An event counts from when it is opened, in 64 bits, and the kernel adds up the wraps of the register below it
(Linux, arch/x86/events/rapl.c). Opening an event for a whole CPU needs perf_event_paranoid of 0 or less, or
the capability CAP_PERFMON.
"""

import ctypes
import errno
import os
import platform
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.common.procfs import ROOT, cpu_list
from harness.common.procfs import read as read_file
from harness.measurement.energy.counters.counter import CounterTraits, Sample
from harness.measurement.energy.counters.sampler import Sampler, readings
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, NO_TREE, QUANTUM_UJ, UPDATE_NS
from harness.records.reading import Grade, Reading, Scope, Zone

SOURCE = "RAPL perf events"
DEVICE = "sys/bus/event_source/devices/power"
PARANOID = "proc/sys/kernel/perf_event_paranoid"

EVENTS: dict[str, tuple[Scope | None, str]] = {
    "energy-pkg": ("package", ""),
    "energy-ram": ("dram", ""),
    "energy-cores": (None, "lies inside its package"),
    "energy-gpu": (None, "lies inside its package"),
    "energy-psys": (None, "contains the packages"),
}
"""Each event: the scope of what may be summed, or why it may not."""

ALLOW = (
    "Until the next start: sudo sysctl kernel.perf_event_paranoid=0. For one program: "
    "sudo setcap cap_perfmon+ep on a copy of the Python interpreter. In a container also --cap-add PERFMON "
    "with a seccomp profile that allows perf_event_open (docs/meters.md)."
)
_NUMBERS = {"x86_64": 298, "i686": 336, "aarch64": 241}
_PERF_FLAG_FD_CLOEXEC = 8
_ATTR_BYTES = 64  # PERF_ATTR_SIZE_VER0: the first version of the structure holds all that is set here


class PerfInterface(Protocol):
    """What is asked of the kernel; a test gives another."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Open an event for a whole CPU and return its handle; OSError where that is refused."""

    def read(self, handle: int) -> int:
        """Return the event's count."""

    def close(self, handle: int) -> None:
        """Close the event."""


class _Attr(ctypes.Structure):
    """The head of `struct perf_event_attr` (perf_event_open(2)); all that is not named is zero."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("rest", ctypes.c_uint8 * (_ATTR_BYTES - 16)),
    )


class KernelPerf:
    """The kernel itself."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Call perf_event_open for all processes on one CPU."""
        number = _NUMBERS.get(platform.machine())
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        attr = _Attr(type=kind, size=_ATTR_BYTES, config=config)
        libc = ctypes.CDLL(None, use_errno=True)
        handle = libc.syscall(
            ctypes.c_long(number), ctypes.byref(attr), -1, cpu, -1, ctypes.c_ulong(_PERF_FLAG_FD_CLOEXEC)
        )
        if handle < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return int(handle)

    def read(self, handle: int) -> int:
        """Read the 64 bits of the count."""
        return int.from_bytes(os.read(handle, 8), "little")

    def close(self, handle: int) -> None:
        """Close the file."""
        os.close(handle)


@dataclass(frozen=True, slots=True)
class RaplEvent:
    """One event on one socket: its zone, what opens it, and the joules of one count."""

    zone: Zone
    config: int
    cpu: int
    joules: float


@dataclass(frozen=True, slots=True)
class RaplEvents:
    """The events of a machine, and (event, why) for those that are left out."""

    kind: int
    events: tuple[RaplEvent, ...]
    left_out: tuple[tuple[str, str], ...]


class RaplPerfMeter:
    """Reads the energy events of every socket at both edges of a window.

    `root` is the root of the file system. Events are opened on construction and closed with the meter.
    """

    def __init__(
        self,
        root: Path = ROOT,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        perf: PerfInterface | None = None,
        ceiling_watts: int = CEILING_WATTS,
    ) -> None:
        self._root, self._clock = root, clock
        self._perf = perf or KernelPerf()
        self._found = find_events(root)
        self._traits = CounterTraits(SOURCE, UPDATE_NS, QUANTUM_UJ, ceiling_watts)
        self._handles: list[int] = []
        weakref.finalize(self, _close, self._perf, self._handles)
        self._refused = self._open()

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "perf"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "measured"

    def zones(self) -> tuple[Zone, ...]:
        """Return packages and their memory; all may be summed."""
        return tuple(event.zone for event in self._found.events)

    def start(self) -> Sampler[tuple[Sample, ...]]:
        """Read the first edge; a count of 64 bits needs no looks in between."""
        return Sampler(self._take)

    def read(self, mark: Sampler[tuple[Sample, ...]]) -> tuple[Reading, ...]:
        """Read the second edge."""
        return readings(mark, self.zones(), self.traits())

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return what is known of each zone's counter."""
        return (self._traits,) * len(self._found.events)

    def describe(self) -> dict[str, Any]:
        """Return source, steps, what is read and what was left out and why."""
        return {
            "source": SOURCE,
            "update_period_ns": UPDATE_NS,
            "zones": [
                {"zone": event.zone.name, "scope": event.zone.scope, "read_on_cpu": event.cpu}
                for event in self._found.events
            ],
            "left_out": [list(pair) for pair in self._found.left_out],
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process."""
        return {"meter": "perf", "root": str(self._root)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it; None if every event was opened."""
        if not self._found.events:
            return "the kernel offers no event energy-pkg", NO_TREE
        return self._refused

    def _open(self) -> tuple[str, str] | None:
        for event in self._found.events:
            try:
                self._handles.append(self._perf.open(self._found.kind, event.config, event.cpu))
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM):
                    level = read_file(self._root / PARANOID) or "unknown"
                    return f"{event.zone.name}: permission denied (perf_event_paranoid is {level})", ALLOW
                return f"{event.zone.name}: the event could not be opened ({error.strerror})", NO_TREE
        return None

    def _take(self) -> tuple[Sample, ...]:
        if self._refused:
            return tuple(Sample(self._clock(), None, self._refused[0]) for _ in self._found.events)
        pairs = zip(self._found.events, self._handles, strict=True)
        return tuple(self._sample(event, handle) for event, handle in pairs)

    def _sample(self, event: RaplEvent, handle: int) -> Sample:
        try:
            count = self._perf.read(handle)
        except OSError as error:
            return Sample(self._clock(), None, f"the event could not be read ({error.strerror})")
        return Sample(self._clock(), round(count * event.joules * 1e6))


def open_perf(spec: Mapping[str, Any]) -> RaplPerfMeter:
    """Open the meter that `PerfMeter.spec` described."""
    return RaplPerfMeter(Path(spec["root"]))


def find_events(root: Path = ROOT) -> RaplEvents:
    """Return the energy events of every socket; what cannot be read to the end is left out with a reason."""
    device = root / DEVICE
    kind, cpus = read_file(device / "type"), cpu_list(read_file(device / "cpumask") or "")
    if not kind or not kind.isdigit() or not cpus:
        return RaplEvents(0, (), ())
    events: list[RaplEvent] = []
    left_out: list[tuple[str, str]] = []
    for name, (scope, why) in EVENTS.items():
        text = read_file(device / "events" / name)
        if text is None:
            continue
        config, joules = _config(text), _scale(device / "events", name)
        if scope is None or config is None or joules is None:
            left_out.append((name, why or "its unit or its number is not the usual one"))
            continue
        own = "" if scope == "package" else "/dram"
        events += [
            RaplEvent(Zone(f"{place}{own}", scope), config, cpu, joules) for cpu, place in _places(cpus, root)
        ]
    packages = any(event.zone.scope == "package" for event in events)
    return RaplEvents(int(kind), tuple(events) if packages else (), tuple(left_out))


def _places(cpus: tuple[int, ...], root: Path) -> Iterator[tuple[int, str]]:
    """Yield each CPU with the name of its package, and of its die where a package is counted by dies."""
    topology = [root / f"sys/devices/system/cpu/cpu{cpu}/topology" for cpu in cpus]
    packages = [read_file(each / "physical_package_id") or str(at) for at, each in enumerate(topology)]
    for cpu, package, folder in zip(cpus, packages, topology, strict=True):
        dies = packages.count(package) > 1
        yield cpu, f"package-{package}" + (f"-die-{read_file(folder / 'die_id') or cpu}" if dies else "")


def _config(text: str) -> int | None:
    """Return the number of `event=0x02`; None for an event that needs more than a number."""
    name, _, number = text.partition("=")
    try:
        return int(number, 0) if name == "event" else None
    except ValueError:
        return None


def _scale(folder: Path, name: str) -> float | None:
    """Return the joules of one count; None if the unit is another or the scale no number."""
    try:
        joules = float(read_file(folder / f"{name}.scale") or "")
    except ValueError:
        return None
    return joules if read_file(folder / f"{name}.unit") == "Joules" and joules > 0 else None


def _close(perf: PerfInterface, handles: list[int]) -> None:
    for handle in handles:
        perf.close(handle)
