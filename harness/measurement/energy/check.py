"""The check of a meter before it is used: whether its counters move, how often, and in which steps.

    mark -- work, read, work, read, ... --> steps --> update period, quantum, power --> least window

A meter with a dead counter, or with a counter that is updated less often than its documentation states,
returns numbers all the same. So each meter that measures is read rapidly for a short time under a small load,
before it is used. What the check finds may widen the stated uncertainty, and never narrows it.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from statistics import median

from harness.common.json_types import JsonObject, JsonValue
from harness.measurement.energy.counters.integration import integrate
from harness.measurement.energy.counters.mirrors import MirrorSearch
from harness.measurement.energy.meter import Meter
from harness.records.reading import Reading, Zone

ERROR = 0.01
"""Visits are lengthened until the counter's steps cause a relative error of a window of at most this."""

ENOUGH_STEPS = 25
"""The check ends after this many steps: the median of 24 gaps tolerates a few pauses of the reader."""

MOST_NS = 1_500_000_000
"""The longest time that the check of one meter takes, unless three periods of its counter take longer."""

SLOWEST_NS = 2_000_000_000
"""A counter with a longer update period is not checked: three of its periods would take too long."""

ROUNDING_UJ = 2
"""Counters are read in whole microjoules: two differences that are this close are the same."""

POWER_EVERY_NS = 10_000_000
"""The interval between two samples of a power sensor; the sensors read here are refreshed less often."""

MOST_READS = 300_000
"""Ends the check if the clock stands still; in real time this many reads take about ten seconds."""

ENOUGH_POWER = 5
"""Below this many samples of a power sensor, no agreement is computed."""

NO_POWER = "the meter has no source of power to compare with"

MIRRORED = "the two differ by next to nothing whenever they are read"
UNCERTAIN = "may be one counter under two names: they moved too rarely to tell"


@dataclass(frozen=True, slots=True)
class ZoneCheck:
    """The check of one counter.

    `update_ns` is the median time between two steps; after a single step, the length of the whole check.
    `quantum_uj` is the smallest step, or difference between two steps, that was seen; except for rounding to
    whole microjoules, the true quantum is at most that. `watts` is the mean power between the first step and
    the last. `uncertainty_uj` is that of the difference of two reads at this power: two updates, or two
    quanta if these are more. `reason` is why the counter cannot be used, or None.
    """

    zone: str
    steps: int
    update_ns: int | None = None
    quantum_uj: int | None = None
    watts: float | None = None
    wraps_after_s: float | None = None
    uncertainty_uj: int | None = None
    least_window_ms: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class MeterCheck:
    """The check of a meter.

    `moved` is None if no check was made, and False if the meter cannot be used; `reason` is why.
    `left_out` holds the zones that are not to be read, with why: mirrors, and what narrowing left out.
    `least_window_ms` is the shortest window whose relative error from the counter's steps is at most `error`;
    without a check it follows from the stated update period. `agreement` is the counters' power over that of
    the meter's power sensor.
    """

    meter: str
    moved: bool | None
    reason: str | None = None
    zones: tuple[ZoneCheck, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    error: float = ERROR
    least_window_ms: int = 0
    agreement: float | None = None
    agreement_reason: str | None = NO_POWER
    reads: int = 0
    span_ns: int = 0

    def facts(self) -> JsonObject:
        """Return the check as JSON values, for the record."""
        zones, left_out = [asdict(zone) for zone in self.zones], [list(pair) for pair in self.left_out]
        return {**asdict(self), "zones": zones, "left_out": left_out}


Series = list[tuple[int, int]]
"""Nanoseconds on the clock, and microjoules since the mark (steps of a counter) or microwatts (power)."""


@dataclass(slots=True)
class _Trace:
    """The steps and power samples of all rapid reads."""

    zones: Sequence[Zone]
    begin_ns: int
    end_ns: int = 0
    reads: int = 0
    steps: dict[str, Series] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    power: Series = field(default_factory=list)
    mirrors: MirrorSearch = field(init=False)

    def __post_init__(self) -> None:
        """Begin the search for mirrors among the zones."""
        self.mirrors = MirrorSearch(self.zones)

    def add(self, at_ns: int, readings: Sequence[Reading]) -> None:
        """Add a step of every counter that moved since the last read, or the reason why it is unreadable."""
        self.end_ns, self.reads = at_ns, self.reads + 1
        self.mirrors.add({item.zone: item.microjoules for item in readings if item.microjoules is not None})
        for reading in readings:
            steps = self.steps.setdefault(reading.zone, [])
            if reading.microjoules is None:
                self.reasons[reading.zone] = reading.reason or "the meter gave no reason"
                continue
            self.reasons.pop(reading.zone, None)
            if reading.microjoules != (steps[-1][1] if steps else 0):
                steps.append((at_ns, reading.microjoules))

    def complete(self) -> bool:
        """Return whether every counter has stepped often enough, and no two can be one counter."""
        return self.mirrors.decided() and all(
            len(self.steps.get(zone.name, ())) >= ENOUGH_STEPS for zone in self.zones
        )


def load() -> None:
    """Keep one CPU busy for about 20 microseconds, far less than any counter's update period."""
    sum(range(1_000))


def check_meter(
    meter: Meter,
    clock: Callable[[], int] = time.monotonic_ns,
    work: Callable[[], object] = load,
    power: Callable[[], int | None] | None = None,
) -> MeterCheck:
    """Read a meter rapidly under a small load, and return the properties of its counters.

    `clock` returns monotonic nanoseconds. `work` loads the machine between two reads. `power` returns the
    power of the meter's zones in microwatts, or None if it cannot be read at the moment.
    """
    facts = meter.describe()
    stated_ns = int(facts.get("update_period_ns") or 0)
    if reason := _not_checkable(meter, facts, stated_ns):
        least_ms = math.ceil(2 * stated_ns / ERROR / 1e6)
        return MeterCheck(meter.name, None, reason, least_window_ms=least_ms, agreement_reason=reason)
    trace = _trace(meter, clock, work, power, max(MOST_NS, 3 * stated_ns))
    mirrors = trace.mirrors.mirrors()
    zones = tuple(_check_zone(zone, trace, stated_ns) for zone in trace.zones if zone.name not in mirrors)
    reasons = [f"{zone.zone}: {zone.reason}" for zone in zones if zone.reason]
    reasons += [f"{first} and {second} {UNCERTAIN}" for first, second in trace.mirrors.uncertain()]
    agreement, agreement_reason = _agreement(zones, trace, power is not None)
    return MeterCheck(
        meter=meter.name,
        moved=not reasons,
        reason="; ".join(reasons) or None,
        zones=zones,
        left_out=tuple((zone, f"mirrors {first}: {MIRRORED}") for zone, first in mirrors.items()),
        least_window_ms=max((zone.least_window_ms for zone in zones), default=0),
        agreement=agreement,
        agreement_reason=agreement_reason,
        reads=trace.reads,
        span_ns=trace.end_ns - trace.begin_ns,
    )


def least_window_ns(update_ns: int, quantum_uj: float, watts: float, error: float = ERROR) -> int:
    """Return the shortest window that two updates, and two quanta at this power, make uncertain by `error`.

    At 1 % this is 0.2 s for a counter that is updated every millisecond, and 20 s for one every 100 ms.
    """
    in_time = 2 * update_ns / error
    in_energy = 2 * quantum_uj * 1000 / (watts * error) if watts > 0 else 0.0  # uJ over W is us
    return math.ceil(max(in_time, in_energy))


def widen_resolution(reading: Reading, checked: Mapping[str, JsonValue] | None) -> Reading:
    """Return a reading with the larger resolution of the two that the meter states and its check found.

    `checked` is `MeterCheck.facts`, or None. The resolution from the check is two updates at the mean power
    of the window, or two quanta. A reading without joules, or of a zone without a check, stays as it is.
    """
    zones = (checked or {}).get("zones", ())
    zone = next((zone for zone in zones if zone["zone"] == reading.zone), None)
    if zone is None or reading.microjoules is None or reading.span_ns <= 0:
        return reading
    edges = 2 * reading.microjoules * (zone["update_ns"] or 0) / reading.span_ns
    checked_uj = math.ceil(max(edges, 2 * (zone["quantum_uj"] or 0)))
    return replace(reading, resolution_uj=max(reading.resolution_uj, checked_uj))


def _not_checkable(meter: Meter, facts: JsonObject, stated_ns: int) -> str | None:
    """Return why a meter has nothing to check, or None."""
    if meter.grade != "measured":
        return f"a {meter.grade} meter has no counter"
    if "looks_every_s" in facts or not stated_ns:
        return "the meter reads no counter with an update period"
    if stated_ns > SLOWEST_NS:
        return f"its counter is updated every {stated_ns / 1e9:g} s, which takes too long to check"
    return None


def _trace(
    meter: Meter,
    clock: Callable[[], int],
    work: Callable[[], object],
    power: Callable[[], int | None] | None,
    timeout_ns: int,
) -> _Trace:
    mark = meter.start()
    trace = _Trace(zones=tuple(meter.zones()), begin_ns=clock())
    last_power = trace.begin_ns - POWER_EVERY_NS
    while True:
        work()
        readings = meter.read(mark)
        now = clock()
        trace.add(now, readings)
        if power and now - last_power >= POWER_EVERY_NS:
            microwatts, last_power = power(), now
            trace.power += [] if microwatts is None else [(now, microwatts)]
        if trace.complete() or now - trace.begin_ns >= timeout_ns or trace.reads >= MOST_READS:
            return trace


def _check_zone(zone: Zone, trace: _Trace, stated_ns: int) -> ZoneCheck:
    """Return the properties of one counter, from its steps."""
    steps = trace.steps.get(zone.name, [])
    if reason := trace.reasons.get(zone.name):
        return ZoneCheck(zone.name, len(steps), reason=reason)
    span_ns = trace.end_ns - trace.begin_ns
    if not steps:
        return ZoneCheck(zone.name, 0, reason=f"the counter did not move in {span_ns / 1e9:.2g} s")
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(steps)]
    update_ns, quantum = round(median(gaps)) if gaps else span_ns, _quantum(steps)
    # the energy of the first step was used before it, partly before the check began
    (first_ns, first_uj), (last_ns, last_uj) = steps[0] if gaps else (trace.begin_ns, 0), steps[-1]
    watts = 1000 * (last_uj - first_uj) / max(1, last_ns - first_ns)  # uJ over ns is kW
    window_ns = least_window_ns(max(update_ns, stated_ns), quantum, watts)
    return ZoneCheck(
        zone=zone.name,
        steps=len(steps),
        update_ns=update_ns,
        quantum_uj=quantum,
        watts=watts,
        wraps_after_s=zone.range_uj / 1e6 / watts if zone.range_uj and watts > 0 else None,
        uncertainty_uj=math.ceil(max(2 * watts * update_ns / 1000, 2 * quantum)),
        least_window_ms=math.ceil(window_ns / 1e6),
    )


def _quantum(steps: Series) -> int:
    """Return the smallest step, or difference between two steps, that is larger than the rounding."""
    energies = [0, *(energy for _, energy in steps)]
    sizes = sorted(abs(after - before) for before, after in pairwise(energies))
    differences = [larger - smaller for smaller, larger in pairwise(sizes)]
    return min((size for size in (sizes[0], *differences) if size > ROUNDING_UJ), default=sizes[0])


def _agreement(
    zones: Sequence[ZoneCheck], trace: _Trace, has_sensor: bool
) -> tuple[float, None] | tuple[None, str]:
    """Return the counters' power over that of the sensor, or the reason why there is no such number."""
    if not has_sensor:
        return None, NO_POWER
    counted = [zone.watts for zone in zones if zone.watts is not None]
    if not counted or len(counted) < len(zones):
        return None, "the counters stepped too rarely to compute their power"
    if len(trace.power) < ENOUGH_POWER:
        return None, f"the power sensor was read {len(trace.power)} times, and {ENOUGH_POWER} are needed"
    span_ns = trace.power[-1][0] - trace.power[0][0]
    watts = 1000 * integrate(trace.power).microjoules / span_ns  # uJ over ns is kW
    return (sum(counted) / watts, None) if watts > 0 else (None, "the power sensor reads zero")
