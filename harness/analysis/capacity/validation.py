"""Predicted beside measured: the latency of one machine at a few loads, from an earlier run's service times.

plan's service times --rate of a load--> predicted p99
scenario server, new arrivals ---------> p99 of every window, and of all together
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.capacity.queueing.steady_state import Servers, utilisation_of
from harness.analysis.capacity.service_times import ServiceTimes
from harness.analysis.capacity.sizing import latency_at
from harness.records.estimate import Estimate
from harness.records.record import Record

LOADS = (0.30, 0.60, 0.85)
"""Shares of what one machine can serve."""

WINDOWS = 20
TOLERANCE = 0.15
"""A window agrees with the prediction if its percentile is within this share of it."""

_REQUESTS = 400
_LEAST_WINDOW_S = 0.1


@dataclass(frozen=True, slots=True)
class ValidatedLoad:
    """One load: requests per second, predicted and measured percentile in seconds, and the windows.

    `measured` is the percentile over the requests of all windows; `agreeing` windows of `windows` have one
    within `TOLERANCE` of the prediction.
    """

    rate: float
    utilisation: float
    percent: float
    predicted: Estimate
    measured: float
    agreeing: int
    windows: int


def rates_of(times: ServiceTimes) -> tuple[float, ...]:
    """Return the rates of the loads, in requests per second."""
    capacity = times.instances / float(times.all.mean())
    return tuple(float(f"{load * capacity:.4g}") for load in LOADS)


def window_ms_of(times: ServiceTimes) -> int:
    """Return a window that holds several hundred requests even at the lowest load."""
    return round(1e3 * max(_LEAST_WINDOW_S, _REQUESTS / min(rates_of(times))))


def validate(
    times: ServiceTimes, record: Record, samples: Mapping[str, Any], percent: float
) -> ValidatedLoad | None:
    """Compare a record of scenario `server` with the prediction at its rate; None without rounds."""
    load = record.load
    if load is None or not record.rounds:
        return None
    predicted = latency_at(times, load.rate, Servers(times.instances), (percent,)).percentiles[percent]
    windows = _windows(samples)
    by_window = [float(np.percentile(window, percent)) for window in windows]
    return ValidatedLoad(
        load.rate,
        utilisation_of(times.all, load.rate, times.instances),
        percent,
        predicted,
        float(np.percentile(np.concatenate(windows), percent)),
        sum(abs(value / predicted.value - 1) <= TOLERANCE for value in by_window),
        len(windows),
    )


def _windows(samples: Mapping[str, Any]) -> Sequence[Any]:
    rounds = samples["call_round"]
    return [samples["call_ns"][rounds == number] / 1e9 for number in dict.fromkeys(rounds.tolist())]
