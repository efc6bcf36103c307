"""The recording of a counter meter, and the meter that replays it.

CounterMeter --RecordingMeter--> rows --ReplayedMeter--> the same samples, on the recorded clock
"""

from collections.abc import Callable, Sequence

from harness.common.json_types import JsonObject
from harness.measurement.energy.check import MeterCheck, check_meter
from harness.measurement.energy.counters.counter import CounterTraits, Sample, reading
from harness.measurement.energy.counters.meter import CounterMeter, Samples
from harness.records.reading import Reading, Zone
from harness.studies.acceptance.model import CounterTrace, CounterZone, Row

AFTER_ROWS_NS = 2**40
"""How far the clock moves when no row is left: beyond the limit of every check."""

Power = Callable[[], int | None]
"""Returns microwatts, or None if the sensor cannot be read."""


class RecordingMeter(CounterMeter):
    """A meter that keeps what it reads; times are nanoseconds since the first read.

    All samples of one read get the time of the last. Rows are kept where a value changed, or `keep` was
    called; with `every_row`, all are kept.
    """

    def __init__(self, meter: CounterMeter, *, every_row: bool = False) -> None:
        self.name, self._meter, self._every_row = meter.name, meter, every_row
        self._zones = tuple(meter.zones())
        self._mark = meter.start()
        self._origin_ns = self._mark.end()[0][-1].at_ns
        self._latest: list[int | None] = []
        self.rows: list[Row] = []
        self.power: list[tuple[int, int | None]] = []
        self.reasons: dict[str, str] = {}

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the properties of each zone's counter."""
        return self._meter.traits()

    def describe(self) -> JsonObject:
        """Return the facts for the record."""
        return self._meter.describe()

    def clock(self) -> int:
        """Return the time of the last read."""
        return self._latest[0] or 0

    def keep(self) -> None:
        """Keep the last row, even if nothing changed."""
        if not self.rows or self.rows[-1] != tuple(self._latest):
            self.rows.append(tuple(self._latest))

    def recorded(self, power: Power | None) -> Power | None:
        """Return a function that reads the power sensor and records what it showed."""

        def record() -> int | None:
            self.keep()
            self.power.append((self.clock(), power() if power else None))
            return self.power[-1][1]

        return record if power else None

    def _take(self) -> Samples:
        samples = self._mark.end()[-1]
        at_ns = samples[-1].at_ns - self._origin_ns
        values = [sample.microjoules for sample in samples]
        self._latest = [at_ns, *values]
        for zone, sample in zip(self._zones, samples, strict=True):
            if sample.reason:
                self.reasons[zone.name] = sample.reason
        if self._every_row or not self.rows or list(self.rows[-1][1:]) != values:
            self.keep()
        return tuple(Sample(at_ns, sample.microjoules, sample.reason) for sample in samples)


class ReplayedMeter(CounterMeter):
    """A meter whose reads return recorded rows, one after another; `clock` returns the time of the last."""

    def __init__(self, trace: CounterTrace, rows: Sequence[Row]) -> None:
        self.name, self._trace, self._rows = trace.meter, trace, rows
        self._zones = tuple(zone_of(zone) for zone in trace.zones)
        self._next, self._at_ns = 0, 0
        self._power = dict(trace.power or ())

    def traits(self) -> tuple[CounterTraits, ...]:
        """Return the recorded properties of each zone's counter."""
        return tuple(traits_of(zone) for zone in self._trace.zones)

    def describe(self) -> JsonObject:
        """Return the update period: all that a check needs."""
        return {"update_period_ns": self._trace.update_period_ns}

    def clock(self) -> int:
        """Return the time of the last read."""
        return self._at_ns

    def power(self) -> int | None:
        """Return the power that was recorded at this time."""
        return self._power.get(self._at_ns)

    def _take(self) -> Samples:
        row = self._rows[min(self._next, len(self._rows) - 1)]
        ended = self._next >= len(self._rows)
        self._next += 1
        self._at_ns = self._at_ns + AFTER_ROWS_NS if ended else row[0] or 0
        return samples_of(self._trace, (self._at_ns, *row[1:]))


def replayed_check(trace: CounterTrace) -> MeterCheck:
    """Return the check of recorded counters: the one that a meter gets before a run."""
    meter = ReplayedMeter(trace, trace.check)
    power = None if trace.power is None else meter.power
    return check_meter(meter, meter.clock, lambda: None, power)


def phase_readings(trace: CounterTrace, rows: Sequence[Row]) -> tuple[Reading, ...]:
    """Return the energy of each zone from the first row to the last."""
    by_zone = zip(*(samples_of(trace, row) for row in rows), strict=True)
    return tuple(
        reading(zone_of(zone), samples[0], samples[-1], traits_of(zone), samples[1:-1])
        for zone, samples in zip(trace.zones, by_zone, strict=True)
    )


def samples_of(trace: CounterTrace, row: Row) -> Samples:
    """Return a row as samples, with the reason where a zone was unreadable."""
    return tuple(
        Sample(row[0] or 0, value, trace.reasons.get(zone.name, "not recorded") if value is None else None)
        for zone, value in zip(trace.zones, row[1:], strict=True)
    )


def zone_of(zone: CounterZone) -> Zone:
    """Return the zone of a recorded counter."""
    return Zone(zone.name, zone.scope, zone.range_uj)


def traits_of(zone: CounterZone) -> CounterTraits:
    """Return the properties of a recorded counter."""
    return CounterTraits(zone.source, zone.update_ns, zone.quantum_uj, zone.ceiling_watts)
