"""The interface of a meter, and the choice of one.

    start() --> mark         (at the first edge of a window, which spans many requests)
    read(mark) --> readings  (at the second edge: one reading per zone)

Energy is an integer in microjoules. Every reading states its grade, scope and source. A zone that cannot be
read is `unavailable, because ...`, never zero, which would be a measurement.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
