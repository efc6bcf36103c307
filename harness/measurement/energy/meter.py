"""What a meter is, and what it returns.

    start() --> mark         (at the first edge of a window that spans many requests)
    read(mark) --> readings  (at the second edge: one reading per zone)

Energy is an integer in microjoules. Every reading says its grade, scope and source. What cannot be read is
`unavailable, because`: never zero, which would be a measurement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from harness.common.errors import UsageError
from harness.records.reading import Grade, Reading, Zone


class Meter(Protocol):
    """Reads the energy of a window."""

    @property
    def name(self) -> str:
        """Its name in the table of meters: `rapl`, `nvml`, `modelled`, ..."""

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""

    def zones(self) -> Sequence[Zone]:
        """Return the counters it reads, duplicates dropped."""

    def start(self) -> Any:  # noqa: ANN401 -- the mark is the meter's own business
        """Read the first edge of a window."""

    def read(self, mark: Any) -> tuple[Reading, ...]:  # noqa: ANN401
        """Read the second edge; one reading per zone, unavailable ones included."""

    def describe(self) -> dict[str, Any]:
        """Facts for the record: source, update period, model and its parameters."""


NAMED_ONLY = "it is used only where it is named"

SkippedMeter = tuple[str, str, str]
"""(meter, why it was skipped, what would allow it)"""


@dataclass(frozen=True, slots=True)
class MeterChoice:
    """The meter that was chosen, and why each other one was not."""

    meter: Meter | None
    skipped: tuple[SkippedMeter, ...] = ()
    """(meter, why it was skipped, what would allow it)"""


def unusable_meters(skipped: Iterable[SkippedMeter]) -> tuple[SkippedMeter, ...]:
    """Return the meters that were tried and could not be used, not those that nobody wanted here."""
    passed = (NAMED_ONLY, "it covers ", "--meter ")
    return tuple(row for row in skipped if not row[1].startswith(passed) and "comes first" not in row[1])


@runtime_checkable
class SelectableMeter(Meter, Protocol):
    """A meter that can be chosen: it knows its obstacles, and how to be opened again."""

    def spec(self) -> dict[str, Any]:
        """Return a JSON-able dictionary whose `meter` names the row of the table."""

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""


def meter_spec(meter: Meter) -> dict[str, Any]:
    """Return a JSON-able dictionary that `open_meter` turns into the same meter in another process."""
    if not isinstance(meter, SelectableMeter):
        raise UsageError(
            f"the meter {meter.name!r} cannot be opened in a worker.", remedy="Give it a method `spec`."
        )
    return meter.spec()
