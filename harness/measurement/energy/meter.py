"""The interface of a meter, and the choice of one.

    start() --> mark         (at the first edge of a window, which spans many requests)
    read(mark) --> readings  (at the second edge: one reading per zone)

Energy is an integer in microjoules. Every reading states its grade, scope and source. A zone that cannot be
read is `unavailable, because ...`, never zero, which would be a measurement.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, runtime_checkable

from harness.common.errors import UsageError
from harness.common.json_types import JsonObject, JsonValue
from harness.records.reading import Grade, Reading, Zone

Mark: TypeAlias = Any
"""The state of an open window, which only the meter that returned it reads."""

MeterSpec: TypeAlias = Mapping[str, JsonValue]
"""The arguments that open a meter in another process; `meter` is its name in the table of meters."""


class Meter(Protocol):
    """Reads the energy of a window."""

    @property
    def name(self) -> str:
        """The name in the table of meters: `rapl`, `nvml`, `modelled`, ..."""

    @property
    def grade(self) -> Grade:
        """The best grade that its readings can have."""

    def zones(self) -> Sequence[Zone]:
        """Return the counters that it reads, without duplicates."""

    def start(self) -> Mark:
        """Read the first edge of a window; windows may overlap."""

    def read(self, mark: Mark) -> tuple[Reading, ...]:
        """Read the second edge; return one reading per zone, unavailable ones included."""

    def describe(self) -> JsonObject:
        """Return the facts for the record: source, update period, a model and its parameters."""


@dataclass(frozen=True, slots=True)
class TimedWindow:
    """The timed window between the two edges of a meter: its length, and the CPU time of the process tree."""

    wall_ns: int
    cpu_ns: int


@runtime_checkable
class WindowMeter(Protocol):
    """A meter that computes energy, and can do so for the timed window alone."""

    def read_window(self, mark: Mark, window: TimedWindow) -> tuple[Reading, ...]:
        """Read the second edge; return the energy of the window, which lies between the edges."""


def read_window(meter: Meter, mark: Mark, window: TimedWindow) -> tuple[Reading, ...]:
    """Read the second edge of a meter: for the window alone if it is a model, else from edge to edge.

    Clocks are read between the edges, beside the window. A counter shows that energy too: at the mean power,
    it is part of the resolution.
    """
    if isinstance(meter, WindowMeter):
        return meter.read_window(mark, window)
    return tuple(with_edges(reading, window) for reading in meter.read(mark))


def with_edges(reading: Reading, window: TimedWindow) -> Reading:
    """Return a reading of a counter with the time beside the window in its resolution."""
    beside_ns = reading.span_ns - window.wall_ns
    if reading.grade != "measured" or reading.microjoules is None or beside_ns <= 0:
        return reading
    beside_uj = math.ceil(reading.microjoules * beside_ns / reading.span_ns)
    return replace(reading, resolution_uj=reading.resolution_uj + beside_uj)


NAMED_ONLY = "it is used only where it is named"
"""Also a part of old records, from which `unusable_meters` reads it."""

SkippedMeter = tuple[str, str, str]
"""A meter, the reason why it was skipped, and the remedy."""


@dataclass(frozen=True, slots=True)
class MeterChoice:
    """The chosen meter, or None, and the reason why each other meter was skipped."""

    meter: Meter | None
    skipped: tuple[SkippedMeter, ...] = ()


def unusable_meters(skipped: Iterable[SkippedMeter]) -> tuple[SkippedMeter, ...]:
    """Return the meters that were tried and cannot be used, without those that were not tried."""
    untried = (NAMED_ONLY, "it covers ", "--meter ")
    return tuple(row for row in skipped if not row[1].startswith(untried) and "comes first" not in row[1])


@runtime_checkable
class SelectableMeter(Meter, Protocol):
    """A meter that can be chosen, and opened again in another process."""

    def spec(self) -> JsonObject:
        """Return its arguments as JSON values: a `MeterSpec`."""

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy; None if it can."""


def meter_spec(meter: Meter) -> JsonObject:
    """Return the arguments from which `open_meter` opens the same meter in another process."""
    if not isinstance(meter, SelectableMeter):
        raise UsageError(
            f"the meter {meter.name!r} cannot be opened in a worker: it has no method `spec`.",
            remedy="Implement `spec` and `obstacle` of `harness.measurement.energy.meter.SelectableMeter`.",
        )
    return meter.spec()
