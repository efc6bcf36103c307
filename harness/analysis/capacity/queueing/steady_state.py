"""Latency in steady state of requests that arrive at random at a rate, by simulation.

    service times (measured) --resampled--+
    rate --exponential gaps---------------+--> waits --beginning left out--> percentiles of wait + service

A measured window begins with an empty queue and ends soon, so it has fewer long waits than a server that has
run for hours. The error of the simulation is that of its independent streams.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.capacity.queueing.dispatch import Dispatch, gaps_at, share_of, waits_of
from harness.analysis.capacity.queueing.waiting import Seconds
from harness.common.errors import UsageError

REQUESTS = 8_000_000
"""Requests of a simulation over all streams, half of them after the beginning that is left out."""

MAX_UTILISATION = 0.98
"""Above this the beginning that must be left out is longer than a stream."""

_GROUPS = 16
"""Groups of streams, whose percentiles give the error."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Machines with the same number of instances each, and how requests are divided among the machines."""

    instances: int = 1
    machines: int = 1
    dispatch: Dispatch = "round-robin"

    @property
    def total(self) -> int:
        """How many requests can be served at once."""
        return self.instances * self.machines


@dataclass(frozen=True, slots=True, eq=False)
class SteadyLatency:
    """Latencies in seconds in steady state, [groups, requests]; the groups are independent."""

    latencies: Seconds
    utilisation: float

    @property
    def mean(self) -> float:
        """The mean in seconds."""
        return float(self.latencies.mean())

    def percentile(self, percent: float) -> float:
        """Return a percentile in seconds."""
        return float(np.percentile(self.latencies, percent))

    def error(self, percent: float) -> float:
        """Return the standard error of a percentile, in seconds."""
        by_group = np.percentile(self.latencies, percent, axis=1)
        return float(by_group.std(ddof=1) / math.sqrt(len(by_group)))


def utilisation_of(service: Seconds, rate: float, servers: int) -> float:
    """Return the share of time that a server is busy."""
    return rate * float(np.mean(service)) / servers


def steady_latency(
    service: Sequence[float] | Seconds,
    rate: float,
    servers: Servers | int = 1,
    *,
    requests: int = REQUESTS,
    seed: int = 0,
) -> SteadyLatency:
    """Return the latency of Poisson arrivals at `rate` per second over all servers.

    Each request takes one of the times in `service` (seconds), drawn at random. UsageError for a rate that is
    not positive, or one at which the servers are busy for more than `MAX_UTILISATION` of the time: no wait
    is long enough to be called steady there.
    """
    times = np.asarray(service, dtype=np.float64)
    servers = servers if isinstance(servers, Servers) else Servers(servers)
    _check(times, rate, servers.total)
    busy = utilisation_of(times, rate, servers.total)
    beginning = _beginning(times, busy) * share_of(servers.dispatch, servers.machines)
    streams = max(1, requests // (2 * beginning) // _GROUPS)
    groups = [
        _simulate(times, rate, servers, (streams, 2 * beginning), np.random.default_rng([seed, group]))
        for group in range(_GROUPS)
    ]
    return SteadyLatency(np.stack([group[:, beginning:].ravel() for group in groups]), busy)


def _simulate(
    times: Seconds, rate: float, servers: Servers, shape: tuple[int, int], rng: np.random.Generator
) -> Seconds:
    """Return the latencies of streams [streams, requests]."""
    gaps = gaps_at(servers.dispatch, rate, servers.machines, shape, rng)
    service = rng.choice(times, shape)
    latencies: Seconds = (
        waits_of(servers.dispatch, servers.machines, servers.instances)(gaps, service) + service
    )
    return latencies


def _beginning(times: Seconds, busy: float) -> int:
    """Return how many requests of a machine pass before a stream has forgotten that it began empty.

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
