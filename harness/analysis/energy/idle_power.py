"""Idle power, and the energy of a request beyond it.

    load all workers, stop them | idle window | rounds ... | idle window | the rest
                                    before                     after

The state of the processes is that of the rounds: every worker is loaded, so that a GPU's context is open and
all weights are in memory, and every worker is stopped. Idle power is that of the machine (of what the meter
covers), never that of one process. Reports show gross energy, and energy net of idle beside it, never in
place of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.analysis.statistics.estimates import EnergyEstimate, EnergyWindows
from harness.measurement.energy.meter import Meter
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import Reading, sum_readings
from harness.records.record import IdleEnergy, Record

CPU_TIME = "a model of CPU time has no idle power"
CURVE = "the idle power of a power curve is published, not measured"
PER_VISIT = "workers are loaded for each visit, so all of them are never loaded and idle at once"
NO_METER = "no meter was read"


@dataclass(frozen=True, slots=True)
class IdlePower:
    """Watts while all workers are loaded and stopped; `after` is None for an interrupted run.

    `uncertain` is the uncertainty of either from the resolution of the meter, in watts.
    """

    before: float
    after: float | None
    uncertain: float

    @property
    def watts(self) -> float:
        """The mean of both, as the idle power during the rounds."""
        return self.before if self.after is None else (self.before + self.after) / 2

    @property
    def drift(self) -> float:
        """The change from before to after, as a share of before; 0 within the uncertainty of the meter."""
        change = 0.0 if self.after is None else self.after - self.before
        return change / self.before if self.before > 0 and abs(change) > 2 * self.uncertain else 0.0


def why_no_idle_power(meter: Meter | None, *, resident: bool) -> str | None:
    """Return why idle power cannot be measured, or None if it can."""
    if meter is None:
        return NO_METER
    if meter.grade != "measured":
        return CURVE if any(zone.scope == "machine share" for zone in meter.zones()) else CPU_TIME
    return None if resident else PER_VISIT


def idle_power(idle: IdleEnergy | None) -> IdlePower | Unavailable:
    """Return idle power, or why it is unavailable."""
    if idle is None:
        return Unavailable("idle power was not measured")
    if idle.unavailable:
        return Unavailable(idle.unavailable)
    before, after = _watts(idle.before), _watts(idle.after) if idle.after else None
    if isinstance(before, Unavailable):
        return before
    if isinstance(after, Unavailable):
        return after
    return IdlePower(before[0], after[0] if after else None, max(before[1], after[1] if after else 0.0))


def net_of_idle(
    record: Record, windows: EnergyWindows | Unavailable, gross: EnergyEstimate | Unavailable
) -> EnergyEstimate | Unavailable:
    """Return energy per request beyond idle power: gross energy less idle power times the window.

    `windows` and `gross` are the energy of the record's rounds. The interval is that of gross energy, its
    ends moved by the idle energy of a request at the highest and the lowest measured idle power. It may
    include negative values if a request draws no more than idle power.
    """
    power = idle_power(record.idle)
    if isinstance(windows, Unavailable):
        return windows
    if isinstance(power, Unavailable):
        return power
    if isinstance(gross, Unavailable):
        return gross
    spans_us = np.array([_span_ns(item.readings) / item.requests / 1e3 for item in record.rounds])
    net = float(np.median(windows.microjoules - power.watts * spans_us))
    measured = [power.before, power.before if power.after is None else power.after]
    span_us = float(np.median(spans_us))
    highest, lowest = max(measured) + power.uncertain, min(measured) - power.uncertain
    total = gross.microjoules
    estimate = Estimate(
        value=net,
        low=min(net, total.low - highest * span_us),
        high=max(net, total.high - lowest * span_us),
        confidence=total.confidence,
        method=f"{total.method}; less idle power times the time of each round",
        count=total.count,
    )
    return replace(gross, microjoules=estimate)


def _watts(readings: Sequence[Reading]) -> tuple[float, float] | Unavailable:
    """Return power and its uncertainty in watts: microjoules over microseconds."""
    try:
        total = sum_readings(readings)
    except ValueError as error:
        return Unavailable(str(error))
    if total is None or total.microjoules is None or not total.span_ns:
        return Unavailable(total.reason if total and total.reason else NO_METER)
    span_us = total.span_ns / 1e3
    return total.microjoules / span_us, total.resolution_uj / span_us


def _span_ns(readings: Sequence[Reading]) -> int:
    total = sum_readings(readings)
    return total.span_ns if total else 0
