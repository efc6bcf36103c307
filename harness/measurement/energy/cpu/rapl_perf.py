"""RAPL through the kernel's perf events: the same counters by another interface, where powercap is closed.

    /sys/bus/event_source/devices/power/type               the type for perf_event_open
                                       /cpumask            one CPU per socket (or per die)
                                       /events/energy-pkg  event=0x02, with .scale (joules a count) and .unit

An event counts from the time it is opened, in 64 bits, and the kernel adds up the wrap-arounds of the
register below it (Linux, arch/x86/events/rapl.c). Opening an event for a whole CPU needs perf_event_paranoid
of 0 or less, or the capability CAP_PERFMON.
"""

import errno
import math
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.common import procfs
from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample
from harness.measurement.energy.counters.meter import Clock, CounterMeter, Samples
from harness.measurement.energy.cpu.rapl import (
    ALONE,
    CEILING_WATTS,
    CONTAINS,
    NO_TREE,
    NOTHING,
    QUANTUM_UJ,
    UPDATE_NS,
)
from harness.measurement.energy.meter import MeterSpec
from harness.measurement.machine.perf_events import PARANOID, attributes, perf_event_open
from harness.records.reading import Scope, Zone

SOURCE = "RAPL perf events"
DEVICE = "sys/bus/event_source/devices/power"
PSYS = "energy-psys"

EVENTS: dict[str, tuple[Scope | None, str]] = {
    "energy-pkg": ("package", ""),
    "energy-ram": ("dram", ""),
    "energy-cores": (None, "lies inside its package"),
    "energy-gpu": (None, "lies inside its package"),
    PSYS: ("system", ""),
}
"""The scope of each event, or why it is not counted; psys is counted where there is no package."""

UNUSUAL = "its unit or its number is not the usual one"

ALLOW = (
    "To allow it until the next boot: sudo sysctl kernel.perf_event_paranoid=0. To allow it for one program: "
    "sudo setcap cap_perfmon+ep on a copy of the Python interpreter. A container also needs --cap-add "
    "PERFMON and a seccomp profile that allows perf_event_open (docs/reference/meters.md)."
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
        """Read the 64 bits of the count; OSError if the kernel returns none, as once its CPU is offline."""
        block = os.read(handle, 8)
        if len(block) < 8:  # noqa: PLR2004 -- 64 bits
            raise OSError(errno.ENODEV, "the event has no count any more")
        return int.from_bytes(block, "little")

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
    count of 64 bits needs no samples in between. `excluded` holds zones that must not be read, with why.
    """

    name = "perf"

    def __init__(
        self,
        root: Path = procfs.ROOT,
        clock: Clock = time.monotonic_ns,
        *,
        perf: PerfInterface | None = None,
        ceiling_watts: int = CEILING_WATTS,
        excluded: Mapping[str, str] | None = None,
    ) -> None:
        self._root, self._clock, self._ceiling_watts = root, clock, ceiling_watts
        self._perf = perf or KernelPerf()
        self._excluded = dict(excluded or {})
        self._events = find_events(root, self._excluded)
        self._zones = tuple(event.zone for event in self._events.events)
        self._handles: list[int | OSError] = []
        weakref.finalize(self, _close, self._perf, self._handles)
        for event in self._events.events:
            self._handles.append(self._open(event))

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the properties of each zone's counter."""
        return tuple(
            CounterTraits(
                f"{SOURCE}, psys" if zone.scope == "system" else SOURCE,
                UPDATE_NS,
                QUANTUM_UJ,
                self._ceiling_watts,
            )
            for zone in self._zones
        )

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
        return {"meter": "perf", "root": str(self._root), "excluded": self._excluded}

    def without(self, reasons: Mapping[str, str]) -> "RaplPerfMeter":
        """Return this meter without some zones."""
        excluded = {**self._excluded, **reasons}
        return RaplPerfMeter(
            self._root,
            self._clock,
            perf=self._perf,
            ceiling_watts=self._ceiling_watts,
            excluded=excluded,
        )

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy; None if every event was opened."""
        if not self._events.events:
            return "the kernel offers no event energy-pkg", NO_TREE
        for event, handle in zip(self._events.events, self._handles, strict=True):
            if isinstance(handle, OSError):
                return f"{event.zone.name}: {self._refusal(handle)}", _remedy(handle)
        return None

    def _open(self, event: RaplEvent) -> int | OSError:
        try:
            return self._perf.open(self._events.kind, event.config, event.cpu)
        except OSError as error:
            return error

    def _refusal(self, error: OSError) -> str:
        """Return why an event could not be opened."""
        if error.errno in (errno.EACCES, errno.EPERM):
            level = procfs.read(self._root / PARANOID) or "unknown"
            return f"permission denied (perf_event_paranoid is {level})"
        return f"the event could not be opened ({error.strerror})"

    def _take(self) -> Samples:
        pairs = zip(self._events.events, self._handles, strict=True)
        return tuple(self._sample(event, handle) for event, handle in pairs)

    def _sample(self, event: RaplEvent, handle: int | OSError) -> Sample:
        if isinstance(handle, OSError):
            return Sample(self._clock(), None, self._refusal(handle))
        try:
            count = self._perf.read(handle)
        except OSError as error:
            return Sample(self._clock(), None, f"the event could not be read ({error.strerror})")
        return Sample(self._clock(), round(count * event.joules * 1e6))


def open_perf(spec: MeterSpec) -> RaplPerfMeter:
    """Open the meter that `RaplPerfMeter.spec` described."""
    return RaplPerfMeter(Path(spec["root"]), excluded=spec.get("excluded"))


def find_events(root: Path = procfs.ROOT, excluded: Mapping[str, str] = NOTHING) -> RaplEvents:
    """Return the energy events of every socket; an event of an unexpected form is left out with a reason.

    Without packages, psys is the only event: it covers the platform. `excluded` holds zones, with why.
    """
    device = root / DEVICE
    kind = procfs.number(procfs.read(device / "type"))
    cpus = procfs.cpu_list(procfs.read(device / "cpumask") or "")
    if kind is None or not cpus:
        return RaplEvents(0, (), ())
    events: list[RaplEvent] = []
    left_out: list[tuple[str, str]] = []
    for name, (_, reason) in EVENTS.items():
        if (device / "events" / name).exists():
            listed = _events_of(name, root, cpus)
            left_out += [] if listed else [(name, reason or UNUSUAL)]
            events += listed
    left_out += [(zone, excluded[zone]) for zone in (event.zone.name for event in events) if zone in excluded]
    events = [event for event in events if event.zone.name not in excluded]
    has_package = any(event.zone.scope == "package" for event in events)
    counted = [event for event in events if (event.zone.scope == "system") != has_package]
    left_out += [
        (PSYS, CONTAINS) if has_package else (event.zone.name, ALONE)
        for event in events
        if event not in counted
    ]
    return RaplEvents(kind, tuple(counted), tuple(left_out))


def _events_of(name: str, root: Path, cpus: tuple[int, ...]) -> list[RaplEvent]:
    """Return an event on each CPU that counts it; none if it is not counted, or of an unexpected form."""
    folder, scope = root / DEVICE / "events", EVENTS[name][0]
    config, joules = _config(procfs.read(folder / name) or ""), _scale(folder, name)
    if config is None or joules is None or scope is None:
        return []
    if scope == "system":
        return [RaplEvent(Zone("psys", scope), config, cpus[0], joules)]
    suffix = "" if scope == "package" else "/dram"
    return [
        RaplEvent(Zone(f"{package}{suffix}", scope), config, cpu, joules)
        for cpu, package in _packages(cpus, root)
    ]


def _packages(cpus: tuple[int, ...], root: Path) -> Iterator[tuple[int, str]]:
    """Yield each CPU with the name of its package, and of its die if the package has a counter for each.

    A name that occurs twice, as where the kernel shows no dies, gets the number of its CPU.
    """
    folders = [root / f"sys/devices/system/cpu/cpu{cpu}/topology" for cpu in cpus]
    packages = [
        procfs.read(folder / "physical_package_id") or str(index) for index, folder in enumerate(folders)
    ]
    names: list[str] = []
    for cpu, package, folder in zip(cpus, packages, folders, strict=True):
        die = f"-die-{procfs.read(folder / 'die_id') or cpu}" if packages.count(package) > 1 else ""
        name = f"package-{package}{die}"
        names.append(f"{name}-cpu-{cpu}" if name in names else name)
    yield from zip(cpus, names, strict=True)


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
    usual = procfs.read(folder / f"{name}.unit") == "Joules" and math.isfinite(joules) and joules > 0
    return joules if usual else None


def _remedy(error: OSError) -> str:
    """Return what to do about an event that could not be opened."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return ALLOW
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "Raise the limit of open files (ulimit -n)."
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.ENOSYS):
        return NO_TREE
    return "Look into the kernel log (dmesg): the event is listed, but the kernel does not open it."


def _close(perf: PerfInterface, handles: list[int | OSError]) -> None:
    for handle in handles:
        if not isinstance(handle, OSError):
            perf.close(handle)
