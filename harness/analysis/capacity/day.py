"""Latency over a whole day: that of each rate in steady state, weighted by its requests.

A segment of a day lasts thousands of times longer than a queue remembers, so what happens where two segments
meet does not matter. A test holds this against the recursion over every request of a day.
"""

from collections.abc import Sequence

import numpy as np

from harness.analysis.capacity.demand import Demand, Segment
from harness.analysis.capacity.queueing.steady_state import Servers, steady_latency
from harness.analysis.capacity.service_times import ServiceTimes

_LEVELS = 24
"""Different rates that are simulated; others count as the next higher one."""

_REQUESTS_PER_LEVEL = 200_000


def day_percentiles(
    times: ServiceTimes, demand: Demand, servers: Servers, percentiles: Sequence[float]
) -> dict[float, float]:
    """Return percentiles in seconds over all requests; the servers must keep up with the peak."""
    service, latencies, weights = times.all, [], []
    for rate, requests in _levels(demand.segments):
        steady = steady_latency(service, rate, servers, requests=_REQUESTS_PER_LEVEL).latencies.ravel()
        latencies.append(steady)
        weights.append(np.full(len(steady), requests / len(steady)))
    return _weighted_percentiles(np.concatenate(latencies), np.concatenate(weights), percentiles)


def _levels(segments: Sequence[Segment]) -> list[tuple[float, float]]:
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
