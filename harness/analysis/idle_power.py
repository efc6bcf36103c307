"""Idle power, and what a request costs beyond it.

    load all workers, stop them | idle window | rounds ... | idle window | the rest
                                    before                     after

The state is that of the rounds but for the work: every worker is loaded, so that a GPU's context is open and
all weights are in memory, and none runs. Idle power is that of the machine (of what the meter covers), never
of one process. Gross energy is what is reported; net of idle stands beside it, never instead of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.analysis.statistics.estimates import (
    EnergyEstimate,
    EnergyWindows,
    energy_per_request,
    energy_windows,
)
from harness.measurement.energy.meter import Meter
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import Reading, sum_readings
from harness.records.record import IdleEnergy, Record

CPU_TIME = "CPU time is no power: a model of it knows no idle"
PER_VISIT = "workers are loaded for each visit, so there is no moment in which all are loaded and none works"
NO_METER = "no meter was read"


@dataclass(frozen=True, slots=True)
class IdlePower:
    """Watts in which all are loaded and none works, before and after; `after` is None for a stopped run.

    `uncertain` is what the meter's resolution leaves open of either, in watts.
    """

    before: float
    after: float | None
    uncertain: float

    @property
    def watts(self) -> float:
        """The mean of both: what idle cost while the rounds ran."""
        return self.before if self.after is None else (self.before + self.after) / 2

    @property
    def drift(self) -> float:
        """What changed from before to after, as a share of before; 0 within what the meter can tell."""
        moved = 0.0 if self.after is None else self.after - self.before
        return moved / self.before if self.before > 0 and abs(moved) > 2 * self.uncertain else 0.0


def why_no_idle_power(meter: Meter | None, *, resident: bool) -> str | None:
    """Return why idle cannot be measured, or None if it can."""
    if meter is None:
        return NO_METER
    if meter.grade != "measured":
        return CPU_TIME
    return None if resident else PER_VISIT


def idle_power(idle: IdleEnergy | None) -> IdlePower | Unavailable:
    """Return idle power, or why it is not known."""
    if idle is None:
        return Unavailable("idle was not looked at")
    if idle.unavailable:
        return Unavailable(idle.unavailable)
    before, after = _watts(idle.before), _watts(idle.after) if idle.after else None
    if isinstance(before, Unavailable):
        return before
    if isinstance(after, Unavailable):
        return after
    return IdlePower(before[0], after[0] if after else None, max(before[1], after[1] if after else 0.0))


def net_energy(record: Record) -> EnergyEstimate | Unavailable:
    """Return energy per request beyond idle power: gross less idle watts times the time of each window.

    The interval is that of gross, its ends moved by a request's share of idle at the highest and the lowest
    idle power that was seen. It may lie below zero where a request costs no more than idle.
    """
    return net_of_idle(record, energy_windows(record.rounds), energy_per_request(record.rounds))


def net_of_idle(
    record: Record, windows: EnergyWindows | Unavailable, gross: EnergyEstimate | Unavailable
) -> EnergyEstimate | Unavailable:
    """Return the same where the energy of the record is known already."""
    power = idle_power(record.idle)
    if isinstance(windows, Unavailable):
        return windows
    if isinstance(power, Unavailable):
        return power
    if isinstance(gross, Unavailable):
        return gross
    spans_us = np.array([_span_ns(item.readings) / item.requests / 1e3 for item in record.rounds])
    middle = float(np.median(windows.microjoules - power.watts * spans_us))
    seen = [power.before, power.before if power.after is None else power.after]
    span = float(np.median(spans_us))
    most, least = max(seen) + power.uncertain, min(seen) - power.uncertain
    found = gross.microjoules
    estimate = Estimate(
        value=middle,
        low=min(middle, found.low - most * span),
        high=max(middle, found.high - least * span),
        confidence=found.confidence,
        method=f"{found.method}; less idle power times the time of each round",
        count=found.count,
    )
    return replace(gross, microjoules=estimate)


def _watts(readings: Sequence[Reading]) -> tuple[float, float] | Unavailable:
    """Return power and its uncertainty in watts: microjoules over microseconds."""
    try:
        found = sum_readings(readings)
    except ValueError as problem:
        return Unavailable(str(problem))
    if found is None or found.microjoules is None or not found.span_ns:
        return Unavailable(found.reason if found and found.reason else NO_METER)
    span_us = found.span_ns / 1e3
    return found.microjoules / span_us, found.resolution_uj / span_us


def _span_ns(readings: Sequence[Reading]) -> int:
    found = sum_readings(readings)
    return found.span_ns if found else 0
