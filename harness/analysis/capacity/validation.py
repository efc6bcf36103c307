"""Predicted beside measured: the latency of one machine at a few loads, from an earlier run's service times.

plan's service times --rate of a load--> p99 in steady state, and of windows like the measured ones
scenario server, new arrivals ---------> p99 of every window, and of all together

A window begins with an empty queue and holds few requests. So its p99 is shorter near capacity and varies
from window to window: a measured window is compared with simulated ones of the same length.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.capacity.queueing.steady_state import Servers, utilisation_of
from harness.analysis.capacity.queueing.waiting import Seconds, waits_several
from harness.analysis.capacity.service_times import ServiceTimes, by_round, sample_fault, service_times
from harness.analysis.capacity.services import ReadSamples
from harness.analysis.capacity.sizing import latency_at
from harness.common.errors import UsageError
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record

LOADS = (0.30, 0.60, 0.85)
"""Shares of what one machine can serve."""

WINDOWS = 20
TOLERANCE = 0.15
"""A window agrees with the prediction if its percentile is within this share of it."""

BUDGET_S = 600.0
"""The most seconds of all windows together, unless others are asked for."""

_REQUESTS = 2_000
"""Requests of a window at the lowest load within `BUDGET_S`."""
_LEAST_WINDOW_S = 0.1
_SHORTER = 0.9
_RESAMPLES, _WINDOWS_EACH = 40, 25
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class ValidatedLoad:
    """One load: requests per second, predicted and measured percentile in seconds, and the windows.

    `predicted` is that of the steady state, `window` that of a window of `requests`: its median, and the
    interval in which 95 % of the windows lie. `measured` is the percentile over the requests of all windows.
    Of `windows`, which `run` measured, `agreeing` are within `TOLERANCE` of the median, and `covered` within
    the interval. `expected` is the share of simulated windows within `TOLERANCE`: how many agree where the
    prediction is right. `utilisation` is the predicted share of time that the instances are busy, `busy` the
    measured one, or why the windows do not show it. `source` names the times that the prediction rests on.
    """

    rate: float
    utilisation: float
    busy: float | Unavailable
    source: str
    percent: float
    predicted: Estimate
    window: Estimate
    measured: float
    agreeing: int
    expected: float
    covered: int
    windows: int
    requests: int
    run: str


def rates_of(times: ServiceTimes) -> tuple[float, ...]:
    """Return the rates of the loads, in requests per second."""
    capacity = times.instances / times.mean
    return tuple(float(f"{load * capacity:.4g}") for load in LOADS)


def sample_of(times: ServiceTimes, sample: int, budget_s: float = BUDGET_S) -> int:
    """Return how many distinct requests a window has: the sample, or what the time allows.

    UsageError if it does not allow one.
    """
    seconds_each = WINDOWS * sum(1 / rate for rate in rates_of(times))
    if seconds_each > budget_s:
        raise UsageError(
            f"{WINDOWS} windows of one request at each load take {seconds_each:.0f} s.",
            where="--validate-for",
            remedy=f"Give --validate-for {math.ceil(seconds_each / 60)}m or more.",
        )
    return min(sample, int(budget_s / seconds_each))


def window_ms_of(times: ServiceTimes, sample: int, budget_s: float = BUDGET_S) -> int:
    """Return the shortest window of so many distinct requests, in milliseconds.

    It holds many hundred requests at the lowest load, if the time allows it, and more in a longer time. A
    window holds whole passes of the sample, so it lasts longer than this.
    """
    rates = rates_of(times)
    window_s = max(_LEAST_WINDOW_S, _REQUESTS * budget_s / BUDGET_S / min(rates))
    while WINDOWS * _seconds(window_s, sample, rates) > budget_s and window_s > sample / max(rates):
        window_s *= _SHORTER
    return max(1, math.floor(1e3 * window_s))


def _seconds(window_s: float, sample: int, rates: Sequence[float]) -> float:
    """Return how long one window of each load lasts."""
    return sum(math.ceil(window_s * rate / sample) * sample / rate for rate in rates)


@dataclass(frozen=True, slots=True)
class SimulatedWindows:
    """The percentile of every simulated window, in seconds."""

    percentiles: Seconds

    @property
    def estimate(self) -> Estimate:
        """The median, and the interval in which 95 % of the windows lie."""
        tail = 100 * (1 - _CONFIDENCE) / 2
        low, median, high = (
            float(value) for value in np.percentile(self.percentiles, [tail, 50, 100 - tail])
        )
        count = len(self.percentiles)
        return Estimate(median, low, high, _CONFIDENCE, "simulated windows, resampled rounds", count)

    @property
    def within_tolerance(self) -> float:
        """The share of windows that are within `TOLERANCE` of the median."""
        return _within_tolerance(self.percentiles, self.estimate.value) / len(self.percentiles)


def simulate_windows(times: ServiceTimes, rate: float, requests: int, percent: float) -> SimulatedWindows:
    """Return the percentile of windows that begin empty.

    Rounds are resampled, and arrivals are drawn as the harness draws them: so many in the window, the first
    at its beginning.
    """
    return SimulatedWindows(
        np.concatenate(
            [_resampled_windows(times, rate, requests, percent, seed) for seed in range(_RESAMPLES)]
        )
    )


def validate(
    times: ServiceTimes, record: Record, samples: Mapping[str, Any], percent: float
) -> ValidatedLoad | None:
    """Compare a record of scenario `server` with the prediction at its rate; None without rounds.

    The prediction rests on the times that were measured at the load nearest to it.
    """
    load = record.load
    if load is None or not record.rounds:
        return None
    times, measured = times.near(load.rate), service_times(record, samples)
    windows = [calls / 1e9 for calls in by_round(samples, "call_ns")]
    requests = round(float(np.mean([len(calls) for calls in windows])))
    simulated = simulate_windows(times, load.rate, requests, percent)
    window = simulated.estimate
    by_window = np.array([np.percentile(calls, percent) for calls in windows])
    return ValidatedLoad(
        load.rate,
        utilisation_of(times.all, load.rate, times.instances),
        measured if isinstance(measured, Unavailable) else measured.utilisation or 0.0,
        times.source,
        percent,
        latency_at(times, load.rate, Servers(times.instances), (percent,)).percentiles[percent],
        window,
        float(np.percentile(np.concatenate(windows), percent)),
        _within_tolerance(by_window, window.value),
        simulated.within_tolerance,
        _count(by_window, window.low, window.high),
        len(windows),
        requests,
        record.run,
    )


def validate_by(
    times: ServiceTimes, records: Sequence[Record], samples: ReadSamples, percent: float
) -> tuple[ValidatedLoad, ...]:
    """Compare the records of an earlier validation with the prediction; UsageError where none is alike."""
    if times.record.run in {record.run for record in records}:
        raise UsageError(
            f"the plan rests on run {times.record.run}, which cannot check itself.",
            where="--validation",
            remedy="Name another run, such as one that --validate made.",
        )
    kind = _kind(times.record)
    alike = [record for record in records if record.cell.scenario == "server" and _kind(record) == kind]
    loads = [
        validate(times, record, arrays, percent)
        for record in alike
        if (arrays := samples(record)) is not None and not sample_fault(record, arrays)
    ]
    compared = sorted((load for load in loads if load is not None), key=lambda load: load.rate)
    if not compared:
        raise UsageError(
            f"no record of scenario server measures {times.record.cell.variant} as the plan's run did: same "
            "machine, data, model, rung, threads, instances, length and boundary.",
            where="--validation",
            remedy="Name the run that --validate made.",
        )
    return tuple(compared)


def _kind(record: Record) -> tuple[object, ...]:
    cell = record.cell
    return (
        *(cell.task, cell.variant, cell.device, cell.boundary, cell.threads, cell.instances, cell.max_length),
        *(cell.rung, cell.command, cell.definition),
        *(record.host.fingerprint, record.data.fingerprint, record.model.fingerprint),
    )


def _resampled_windows(times: ServiceTimes, rate: float, requests: int, percent: float, seed: int) -> Seconds:
    rng = np.random.default_rng([seed, requests])
    drawn, shape = times.resampled(rng), (_WINDOWS_EACH, requests)
    service = drawn.ordered.draw(shape, rng) if drawn.ordered else rng.choice(drawn.all, shape)
    gaps = rng.exponential(1.0, (_WINDOWS_EACH, requests))
    gaps *= requests / rate / gaps.sum(axis=1, keepdims=True)
    gaps = np.concatenate([np.zeros((_WINDOWS_EACH, 1)), gaps[:, :-1]], axis=1)
    latencies = waits_several(gaps, service, times.instances) + service
    percentiles: Seconds = np.percentile(latencies, percent, axis=1)
    return percentiles


def _within_tolerance(values: Seconds, middle: float) -> int:
    return _count(values, (1 - TOLERANCE) * middle, (1 + TOLERANCE) * middle)


def _count(values: Seconds, low: float, high: float) -> int:
    return int(np.count_nonzero((low <= values) & (values <= high)))
