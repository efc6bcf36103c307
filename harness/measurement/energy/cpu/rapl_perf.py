"""RAPL through the kernel's perf events: the same counters by another interface, where powercap is closed.

    /sys/bus/event_source/devices/power/type               the type for perf_event_open
                                       /cpumask            one CPU per socket (or per die)
                                       /events/energy-pkg  event=0x02, with .scale (joules a count) and .unit

An event counts from the time it is opened, in 64 bits, and the kernel adds up the wrap-arounds of the
register below it (Linux, arch/x86/events/rapl.c). Opening an event for a whole CPU needs perf_event_paranoid
of 0 or less, or the capability CAP_PERFMON.
"""

import errno
import os
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.common import procfs
from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample
from harness.measurement.energy.counters.meter import Clock, CounterMeter, Samples
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, NO_TREE, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.meter import MeterSpec
from harness.measurement.machine.perf_events import PARANOID, attributes, perf_event_open
from harness.records.reading import Scope, Zone

SOURCE = "RAPL perf events"
DEVICE = "sys/bus/event_source/devices/power"

EVENTS: dict[str, tuple[Scope | None, str]] = {
    "energy-pkg": ("package", ""),
    "energy-ram": ("dram", ""),
    "energy-cores": (None, "lies inside its package"),
    "energy-gpu": (None, "lies inside its package"),
    "energy-psys": (None, "contains the packages"),
}
"""The scope of each event that can be added up, or why it cannot."""

ALLOW = (
    "To allow it until the next boot: sudo sysctl kernel.perf_event_paranoid=0. To allow it for one program: "
    "sudo setcap cap_perfmon+ep on a copy of the Python interpreter. A container also needs --cap-add "
    "PERFMON and a seccomp profile that allows perf_event_open (docs/meters.md)."
)


class PerfInterface(Protocol):
    """The calls to the kernel; tests replace them."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Open an event for a whole CPU and return its handle; OSError if that is refused."""

    def read(self, handle: int) -> int:
        """Return the event's count."""

    def close(self, handle: int) -> None:
        """Close the event."""


class KernelPerf:
    """The kernel's own perf events."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Open an event that counts for all processes on one CPU, without the times of `PerfEvent`."""
        return perf_event_open(attributes(kind, config, flags=0, read_format=0), pid=-1, cpu=cpu)

    def read(self, handle: int) -> int:
        """Read the 64 bits of the count."""
        return int.from_bytes(os.read(handle, 8), "little")

    def close(self, handle: int) -> None:
        """Close the file."""
        os.close(handle)


@dataclass(frozen=True, slots=True)
class RaplEvent:
    """One event on one socket: its zone, the arguments that open it, and the joules of one count."""

    zone: Zone
    config: int
    cpu: int
    joules: float


@dataclass(frozen=True, slots=True)
class RaplEvents:
    """The events of a machine, and (event, reason) for those that are left out."""

    kind: int
    events: tuple[RaplEvent, ...]
    left_out: tuple[tuple[str, str], ...]


class RaplPerfMeter(CounterMeter):
    """Reads the energy events of every socket at both edges of a window.

    `root` is the root of the file system. Events are opened on construction and closed with the meter. A
    count of 64 bits needs no samples in between.
    """

    name = "perf"

    def __init__(
        self,
        root: Path = procfs.ROOT,
        clock: Clock = time.monotonic_ns,
        *,
        perf: PerfInterface | None = None,
        ceiling_watts: int = CEILING_WATTS,
    ) -> None:
        self._root, self._clock = root, clock
        self._perf = perf or KernelPerf()
        self._events = find_events(root)
        self._zones = tuple(event.zone for event in self._events.events)
        self._traits = CounterTraits(SOURCE, UPDATE_NS, QUANTUM_UJ, ceiling_watts)
        self._handles: list[int] = []
        weakref.finalize(self, _close, self._perf, self._handles)
        self._obstacle = self._open()

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the properties of each zone's counter."""
        return (self._traits,) * len(self._zones)

    def describe(self) -> JsonObject:
        """Return the source, the update period, the zones, and the events that were left out."""
        return {
            "source": SOURCE,
            "update_period_ns": UPDATE_NS,
            "zones": [
                {"zone": event.zone.name, "scope": event.zone.scope, "read_on_cpu": event.cpu}
                for event in self._events.events
            ],
            "left_out": [list(pair) for pair in self._events.left_out],
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process."""
        return {"meter": "perf", "root": str(self._root)}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy; None if every event was opened."""
        if not self._events.events:
            return "the kernel offers no event energy-pkg", NO_TREE
        return self._obstacle

    def _open(self) -> tuple[str, str] | None:
        for event in self._events.events:
            try:
                self._handles.append(self._perf.open(self._events.kind, event.config, event.cpu))
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM):
                    level = procfs.read(self._root / PARANOID) or "unknown"
                    return f"{event.zone.name}: permission denied (perf_event_paranoid is {level})", ALLOW
                return f"{event.zone.name}: the event could not be opened ({error.strerror})", NO_TREE
        return None

    def _take(self) -> Samples:
        if self._obstacle:
            return tuple(Sample(self._clock(), None, self._obstacle[0]) for _ in self._zones)
        pairs = zip(self._events.events, self._handles, strict=True)
        return tuple(self._sample(event, handle) for event, handle in pairs)

    def _sample(self, event: RaplEvent, handle: int) -> Sample:
        try:
            count = self._perf.read(handle)
        except OSError as error:
            return Sample(self._clock(), None, f"the event could not be read ({error.strerror})")
        return Sample(self._clock(), round(count * event.joules * 1e6))


def open_perf(spec: MeterSpec) -> RaplPerfMeter:
    """Open the meter that `RaplPerfMeter.spec` described."""
    return RaplPerfMeter(Path(spec["root"]))


def find_events(root: Path = procfs.ROOT) -> RaplEvents:
    """Return the energy events of every socket; an event of an unexpected form is left out with a reason."""
    device = root / DEVICE
    kind, cpus = procfs.read(device / "type"), procfs.cpu_list(procfs.read(device / "cpumask") or "")
    if not kind or not kind.isdigit() or not cpus:
        return RaplEvents(0, (), ())
    events: list[RaplEvent] = []
    left_out: list[tuple[str, str]] = []
    for name, (scope, reason) in EVENTS.items():
        text = procfs.read(device / "events" / name)
        if text is None:
            continue
        config, joules = _config(text), _scale(device / "events", name)
        if scope is None or config is None or joules is None:
            left_out.append((name, reason or "its unit or its number is not the usual one"))
            continue
        suffix = "" if scope == "package" else "/dram"
        events += [
            RaplEvent(Zone(f"{package}{suffix}", scope), config, cpu, joules)
            for cpu, package in _packages(cpus, root)
        ]
    packages = any(event.zone.scope == "package" for event in events)
    return RaplEvents(int(kind), tuple(events) if packages else (), tuple(left_out))


def _packages(cpus: tuple[int, ...], root: Path) -> Iterator[tuple[int, str]]:
    """Yield each CPU with the name of its package, and of its die if the package has a counter for each."""
    folders = [root / f"sys/devices/system/cpu/cpu{cpu}/topology" for cpu in cpus]
    packages = [
        procfs.read(folder / "physical_package_id") or str(index) for index, folder in enumerate(folders)
    ]
    for cpu, package, folder in zip(cpus, packages, folders, strict=True):
        die = f"-die-{procfs.read(folder / 'die_id') or cpu}" if packages.count(package) > 1 else ""
        yield cpu, f"package-{package}{die}"


def _config(text: str) -> int | None:
    """Return the number of `event=0x02`; None for an event that needs more than a number."""
    name, _, number = text.partition("=")
    try:
        return int(number, 0) if name == "event" else None
    except ValueError:
        return None


def _scale(folder: Path, name: str) -> float | None:
    """Return the joules of one count; None for another unit, or a scale that is not a positive number."""
    try:
        joules = float(procfs.read(folder / f"{name}.scale") or "")
    except ValueError:
        return None
    return joules if procfs.read(folder / f"{name}.unit") == "Joules" and joules > 0 else None


def _close(perf: PerfInterface, handles: list[int]) -> None:
    for handle in handles:
        perf.close(handle)
