"""Latency in steady state of requests that arrive at random at a rate, by simulation.

    service times (measured) --resampled--+
    rate --exponential gaps---------------+--> waits --beginning left out--> percentiles of wait + service

A measured window begins with an empty queue and ends soon, so it has fewer long waits than a server that has
run for hours. The error of the simulation is that of its independent streams.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.queueing.waiting import Seconds, waits_several
from harness.common.errors import UsageError

REQUESTS = 8_000_000
"""Requests of a simulation over all streams, half of them after the beginning that is left out."""

MAX_UTILISATION = 0.98
"""Above this the beginning that must be left out is longer than a stream."""

_GROUPS = 16
"""Groups of streams, whose percentiles give the error."""

Gaps = Callable[[np.random.Generator, tuple[int, int]], Seconds]


@dataclass(frozen=True, slots=True)
class SteadyLatency:
    """Percentiles of the latency by percent, in seconds, their standard errors, and the utilisation."""

    percentiles: dict[float, float]
    errors: dict[float, float]
    mean: float
    utilisation: float
    servers: int


def utilisation_of(service: Seconds, rate: float, servers: int) -> float:
    """Return the share of time that a server is busy."""
    return rate * float(np.mean(service)) / servers


def steady_latency(
    service: Sequence[float] | Seconds,
    rate: float,
    servers: int = 1,
    *,
    percentiles: Sequence[float] = (50.0, 90.0, 99.0),
    requests: int = REQUESTS,
    seed: int = 0,
) -> SteadyLatency:
    """Return the latency of Poisson arrivals at `rate` per second, served by `servers` from one queue.

    Each request takes one of the times in `service` (seconds), drawn at random. UsageError for a rate that is
    not positive, or one at which the servers are busy for more than `MAX_UTILISATION` of the time: no wait
    is long enough to be called steady there.
    """
    times = np.asarray(service, dtype=np.float64)
    _check(times, rate, servers)
    busy = utilisation_of(times, rate, servers)
    beginning = _beginning(times, busy)
    length = 2 * beginning
    streams = max(_GROUPS, requests // length) // _GROUPS * _GROUPS
    latencies = [
        _simulate(times, rate, servers, (streams // _GROUPS, length), np.random.default_rng([seed, group]))[
            :, beginning:
        ]
        for group in range(_GROUPS)
    ]
    by_group = np.array([np.percentile(group, percentiles) for group in latencies])
    pooled = np.percentile(np.concatenate(latencies, axis=0), percentiles)
    errors = by_group.std(axis=0, ddof=1) / math.sqrt(_GROUPS)
    return SteadyLatency(
        dict(zip(percentiles, pooled.tolist(), strict=True)),
        dict(zip(percentiles, errors.tolist(), strict=True)),
        float(np.mean([group.mean() for group in latencies])),
        busy,
        servers,
    )


def _simulate(
    times: Seconds, rate: float, servers: int, shape: tuple[int, int], rng: np.random.Generator
) -> Seconds:
    """Return the latencies of streams [streams, requests]."""
    gaps = rng.exponential(1 / rate, shape)
    service = rng.choice(times, shape)
    latencies: Seconds = waits_several(gaps, service, servers) + service
    return latencies


def _beginning(times: Seconds, busy: float) -> int:
    """Return how many requests pass before a stream has forgotten that it began empty.

    A queue's memory is about (1 + c^2) / 2 / (1 - sqrt(utilisation))^2 requests, with c the coefficient of
    variation of service times (the relaxation time of M/M/1, scaled as heavy traffic scales it; Asmussen
    2003, Applied Probability and Queues, III.8 and X.7); four times that is left out.
    """
    variation = (1 + float(np.var(times)) / float(np.mean(times)) ** 2) / 2
    return max(200, math.ceil(4 * variation / (1 - math.sqrt(busy)) ** 2))


def _check(times: Seconds, rate: float, servers: int) -> None:
    if times.size == 0 or not np.all(np.isfinite(times)) or times.min() < 0 or times.max() <= 0:
        raise UsageError("service times must be finite, not negative, and at least one above 0.")
    if not (math.isfinite(rate) and rate > 0) or servers < 1:
        raise UsageError(f"expected a rate above 0 and at least one server, got {rate:g} and {servers}.")
    busy = utilisation_of(times, rate, servers)
    if busy > MAX_UTILISATION:
        raise UsageError(
            f"{rate:g} requests a second keep {servers} server{'s' if servers > 1 else ''} busy for "
            f"{100 * busy:.0f} % of the time: the queue has no steady state, or hardly one.",
            remedy="Lower the rate, or use more servers.",
        )
