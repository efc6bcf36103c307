"""Latency over a whole day: that of each rate in steady state, weighted by its requests.

A segment of a day lasts thousands of times longer than a queue remembers, so what happens where two segments
meet does not matter. A test holds this against the recursion over every request of a day.

    sampled    the same number of requests at each of a few rates, weighted
    whole      every request of the day, in parts, counted in a histogram
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from harness.analysis.capacity.demand import Demand, Segment
from harness.analysis.capacity.queueing.steady_state import Servers
from harness.analysis.capacity.queueing.waiting import Seconds
from harness.analysis.capacity.service_model import ServiceModel

_LEVELS = 24
"""Different rates that are simulated; others count as the next higher one."""

_REQUESTS_PER_LEVEL = 200_000

_PART = 2_000_000
"""Requests of a whole day that are simulated together, which bounds the memory."""

_RESOLUTION = 1e-3
"""Width of the bins of a histogram of latencies, as a share of the latency."""

_LEAST_S, _MOST_S = 1e-9, 1e9


def day_percentiles(
    service: ServiceModel, demand: Demand, servers: Servers, percentiles: Sequence[float]
) -> dict[float, float]:
    """Return percentiles in seconds over all requests; the servers must keep up with the peak."""
    latencies, weights = [], []
    for rate, requests in levels(demand.segments):
        steady = service.steady(rate, servers, requests=_REQUESTS_PER_LEVEL).latencies.ravel()
        latencies.append(steady)
        weights.append(np.full(len(steady), requests / len(steady)))
    return _weighted_percentiles(np.concatenate(latencies), np.concatenate(weights), percentiles)


def whole_day_percentiles(
    service: ServiceModel, demand: Demand, servers: Servers, percentiles: Sequence[float]
) -> dict[float, float]:
    """Return percentiles in seconds over as many simulated requests as the day has, to within 0.1 %."""
    bins = math.ceil(math.log(_MOST_S / _LEAST_S) / _RESOLUTION) + 1
    counts = np.zeros(bins)
    for segment in demand.segments:
        if segment.rate > 0:
            own = np.zeros(bins)
            for latencies in _parts(service, segment, servers):
                own += _counted(latencies, bins)
            counts += own / own.sum() * segment.rate * segment.seconds
    shares = 100 * np.cumsum(counts) / counts.sum()
    places = np.minimum(np.searchsorted(shares, percentiles), bins - 1)
    values = _LEAST_S * np.exp((places + 0.5) * _RESOLUTION)
    return {percent: float(value) for percent, value in zip(percentiles, values, strict=True)}


def _parts(service: ServiceModel, segment: Segment, servers: Servers) -> Iterator[Seconds]:
    """Yield the latencies of a segment's requests, in parts; half of each simulation is left out."""
    remaining, number = math.ceil(segment.rate * segment.seconds), 0
    while remaining > 0:
        requests = 2 * min(remaining, _PART)
        latencies = service.steady(segment.rate, servers, requests=requests, seed=number).latencies.ravel()
        yield latencies
        remaining, number = remaining - len(latencies), number + 1


def _counted(latencies: Seconds, bins: int) -> Seconds:
    places = np.log(np.clip(latencies, _LEAST_S, _MOST_S) / _LEAST_S) / _RESOLUTION
    return np.bincount(places.astype(np.int64), minlength=bins).astype(np.float64)


def levels(segments: Sequence[Segment]) -> list[tuple[float, float]]:
    """Return at most `_LEVELS` rates and the requests that arrive at each."""
    busy = [segment for segment in segments if segment.rate > 0]
    rates = sorted({segment.rate for segment in busy})
    chosen = (
        rates if len(rates) <= _LEVELS else np.quantile(rates, np.linspace(0, 1, _LEVELS), method="higher")
    )
    requests = dict.fromkeys(map(float, chosen), 0.0)
    for segment in busy:
        level = min(rate for rate in requests if rate >= segment.rate)
        requests[level] += segment.rate * segment.seconds
    return [(rate, count) for rate, count in requests.items() if count > 0]


def _weighted_percentiles(
    values: np.ndarray, weights: np.ndarray, percentiles: Sequence[float]
) -> dict[float, float]:
    order = np.argsort(values)
    shares = 100 * np.cumsum(weights[order]) / weights.sum()
    places = np.minimum(np.searchsorted(shares, percentiles), len(values) - 1)
    return {percent: float(values[order][place]) for percent, place in zip(percentiles, places, strict=True)}
