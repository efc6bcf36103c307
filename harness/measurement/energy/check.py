"""A meter is tried before it is believed: whether its counter moves, how often, and in steps of what size.

    mark -- work, read, work, read, ... --> steps --> period, quantum, power --> least window

A meter that reads a dead counter, or one that steps less often than is written in its file, gives numbers all
the same. So each meter that measures is read rapidly for a short while under a small load, before it is used.
What is seen widens what is stated, and never narrows it.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Any

from harness.measurement.energy.meter import Meter
from harness.records.reading import Reading, Zone

ERROR = 0.01
"""The error of a window, from the counter's steps alone, that visits are lengthened for."""

ENOUGH_STEPS = 25
"""Steps after which the check ends: the median of 24 gaps forgives a pause of the reader now and then."""

MOST_NS = 1_500_000_000
"""How long the check of one meter takes at most; only three periods of a slower counter take longer."""

SLOWEST_NS = 2_000_000_000
"""A counter that steps less often than this is not tried: three of its periods would take too long."""

ROUNDING_UJ = 2
"""Counters are read in whole microjoules: two differences that are this close are the same one."""

POWER_EVERY_NS = 10_000_000
"""Between two looks at a power sensor; none of those read here is refreshed more often."""

MOST_READS = 300_000
"""Where a clock stands still the check ends all the same; in real time this many take some ten seconds."""

ENOUGH_POWER = 5
"""Looks at a power sensor below which nothing is said about agreement."""

NO_POWER = "the meter has no source of power to compare with"


@dataclass(frozen=True, slots=True)
class ZoneCheck:
    """What was seen of one counter.

    `update_ns` is the median time between two steps; where only one was seen, the length of the whole check.
    `quantum_uj` is the smallest step, or difference between two steps, that was seen: the counter's true
    quantum is no larger, but for rounding to whole microjoules. `watts` is the mean power between the first
    step and the last. `uncertainty_uj` is that of the difference of two reads at this power: two updates, or
    two quanta where these are more.
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
    """Why the counter cannot be used, or None."""


@dataclass(frozen=True, slots=True)
class MeterCheck:
    """What a trial of a meter showed.

    `reason` says why it was not performed, or why the meter is not to be used; `moved` tells the two apart:
    None, or False. `least_window_ms` is the shortest window whose error, from the counter's steps alone, is
    `error` or less: from what is stated where nothing was seen. `agreement` is the counter's power over that
    of the meter's power sensor.
    """

    meter: str
    moved: bool | None
    reason: str | None = None
    zones: tuple[ZoneCheck, ...] = ()
    error: float = ERROR
    least_window_ms: int = 0
    agreement: float | None = None
    agreement_reason: str | None = NO_POWER
    reads: int = 0
    span_ns: int = 0

    def facts(self) -> dict[str, Any]:
        """Return the check as the record keeps it: as JSON has it, so that it is the same read back."""
        return {**asdict(self), "zones": [asdict(zone) for zone in self.zones]}


Seen = list[tuple[int, int]]
"""Steps of a counter: nanoseconds on the clock, microjoules since the mark."""


@dataclass(slots=True)
class _Trace:
    """All that the rapid reads saw."""

    zones: Sequence[Zone]
    begin_ns: int
    end_ns: int = 0
    reads: int = 0
    steps: dict[str, Seen] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    power: Seen = field(default_factory=list)

    def add(self, at_ns: int, readings: Sequence[Reading]) -> None:
        """Take note of every counter that moved since the last read, or why it cannot be read."""
        self.end_ns, self.reads = at_ns, self.reads + 1
        for reading in readings:
            steps = self.steps.setdefault(reading.zone, [])
            if reading.microjoules is None:
                self.reasons[reading.zone] = reading.reason or "the meter gave no reason"
                continue
            self.reasons.pop(reading.zone, None)
            if reading.microjoules != (steps[-1][1] if steps else 0):
                steps.append((at_ns, reading.microjoules))

    def complete(self) -> bool:
        """Say whether every counter was seen to step often enough."""
        return all(len(self.steps.get(zone.name, ())) >= ENOUGH_STEPS for zone in self.zones)


def load() -> None:
    """Keep one CPU busy for some 20 microseconds: far below any counter's period."""
    sum(range(1_000))


def check_meter(
    meter: Meter,
    clock: Callable[[], int] = time.monotonic_ns,
    work: Callable[[], object] = load,
    power: Callable[[], int | None] | None = None,
) -> MeterCheck:
    """Read a meter rapidly under a small load, and return what its counters showed.

    `clock` returns monotonic nanoseconds, `work` loads the machine between two reads, `power` returns
    microwatts of what the meter covers, or None where it cannot be read now.
    """
    facts = meter.describe()
    stated_ns = int(facts.get("update_period_ns") or 0)
    if untried := _untried(meter, facts, stated_ns):
        least_ms = math.ceil(2 * stated_ns / ERROR / 1e6)
        return MeterCheck(meter.name, None, untried, least_window_ms=least_ms, agreement_reason=untried)
    trace = _trace(meter, clock, work, power, _patience_ns(stated_ns))
    zones = tuple(_zone(zone, trace, stated_ns) for zone in trace.zones)
    broken = [f"{zone.zone}: {zone.reason}" for zone in zones if zone.reason]
    agreement, why_not = _agreement(zones, trace, power is not None)
    return MeterCheck(
        meter=meter.name,
        moved=not broken,
        reason="; ".join(broken) or None,
        zones=zones,
        least_window_ms=max((zone.least_window_ms for zone in zones), default=0),
        agreement=agreement,
        agreement_reason=why_not,
        reads=trace.reads,
        span_ns=trace.end_ns - trace.begin_ns,
    )


def least_window_ns(update_ns: int, quantum_uj: float, watts: float, error: float = ERROR) -> int:
    """Return the shortest window that two updates, and two quanta at this power, make uncertain by `error`.

    A counter that steps every millisecond asks for 0.2 s at 1 %, one that steps every 100 ms for 20 s.
    """
    in_time = 2 * update_ns / error
    in_energy = 2 * quantum_uj * 1000 / (watts * error) if watts > 0 else 0.0  # uJ over W is us
    return math.ceil(max(in_time, in_energy))


def widen_resolution(reading: Reading, checked: Mapping[str, Any] | None) -> Reading:
    """Return a reading whose resolution is the larger of what the meter states and what its check saw.

    `checked` is `Check.facts`, or None. What the check saw of a window is two updates at its mean power, or
    two quanta. A reading without joules, or of a zone that the check does not name, stays as it is.
    """
    zone = next((zone for zone in (checked or {}).get("zones", ()) if zone["zone"] == reading.zone), None)
    if zone is None or reading.microjoules is None or reading.span_ns <= 0:
        return reading
    edges = 2 * reading.microjoules * (zone["update_ns"] or 0) / reading.span_ns
    seen = math.ceil(max(edges, 2 * (zone["quantum_uj"] or 0)))
    return replace(reading, resolution_uj=max(reading.resolution_uj, seen))


def _untried(meter: Meter, facts: Mapping[str, Any], stated_ns: int) -> str | None:
    """Return why a meter has nothing that could be tried: then what it states is all that is known."""
    if meter.grade != "measured":
        return f"what is {meter.grade} has no counter"
    if "looks_every_s" in facts or not stated_ns:
        return "it reads no counter that steps"
    if stated_ns > SLOWEST_NS:
        return f"its counter steps every {stated_ns / 1e9:g} s, which takes too long to try"
    return None


def _patience_ns(stated_ns: int) -> int:
    """Return how long to wait for steps: longer than usual only where three periods take longer."""
    return max(MOST_NS, 3 * stated_ns)


def _trace(
    meter: Meter,
    clock: Callable[[], int],
    work: Callable[[], object],
    power: Callable[[], int | None] | None,
    patience_ns: int,
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
        if trace.complete() or now - trace.begin_ns >= patience_ns or trace.reads >= MOST_READS:
            return trace


def _zone(zone: Zone, trace: _Trace, stated_ns: int) -> ZoneCheck:
    """Return what the steps of one counter tell."""
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


def _quantum(steps: Seen) -> int:
    """Return the smallest step, or difference between two steps, that is no rounding."""
    energies = [0, *(energy for _, energy in steps)]
    sizes = sorted(abs(after - before) for before, after in pairwise(energies))
    between = [larger - smaller for smaller, larger in pairwise(sizes)]
    return min((size for size in (sizes[0], *between) if size > ROUNDING_UJ), default=sizes[0])


def _agreement(
    zones: Sequence[ZoneCheck], trace: _Trace, asked: bool
) -> tuple[float, None] | tuple[None, str]:
    """Return the counters' power over that of the sensor, or why there is no such number."""
    if not asked:
        return None, NO_POWER
    known = [zone.watts for zone in zones if zone.watts is not None]
    if not known or len(known) < len(zones):
        return None, "the counters stepped too seldom to tell their power"
    if len(trace.power) < ENOUGH_POWER:
        return None, f"the power sensor was read {len(trace.power)} times, and {ENOUGH_POWER} are wanted"
    energy = sum(_trapezoids(trace.power))
    watts = energy / (trace.power[-1][0] - trace.power[0][0]) / 1e6
    return (sum(known) / watts, None) if watts > 0 else (None, "the power sensor reads zero")


def _trapezoids(power: Seen) -> Iterator[float]:
    """Yield the energy between each two looks, in microwatts times nanoseconds."""
    for (begin, before), (end, after) in pairwise(power):
        yield (before + after) / 2 * (end - begin)
