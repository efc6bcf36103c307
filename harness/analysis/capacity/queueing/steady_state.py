"""Latency in steady state of requests that arrive at random at a rate: exact for one server, else simulated.

    service times (measured) --resampled--+
    rate --exponential gaps---------------+--> waits --beginning left out--> percentiles of wait + service

A measured window begins with an empty queue and ends soon, so it has fewer long waits than a server that has
run for hours. The error of the simulation is that of its independent streams.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.capacity.queueing.batching import Batching, CallTimes, serve_batches
from harness.analysis.capacity.queueing.dispatch import Dispatch, gaps_at, share_of, waits_of
from harness.analysis.capacity.queueing.measured_order import MeasuredOrder
from harness.analysis.capacity.queueing.single_server import single_server_latency
from harness.analysis.capacity.queueing.waiting import Seconds
from harness.common.errors import UsageError

REQUESTS = 4_000_000
"""Requests of a simulation over all streams, half of them after the beginning that is left out."""

MAX_UTILISATION = 0.98
"""Above this the beginning that must be left out is longer than a stream."""

_ROUNDING = 1e-9

_GROUPS = 16
"""Groups of streams, whose percentiles give the error."""

_SHORTEST, _SHORTEST_BATCHED = 200, 40
"""The fewest requests, or batches, that are left out; longer streams cost less than many short ones."""

_LONGEST = 250_000
"""The most requests that are left out, which bounds the memory; only times that vary by hundreds of their
mean, on servers that are hardly ever free, remember longer."""

_SERVICES = 20
"""Service times after which a server has forgotten what it began with, however many servers there are."""


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
    """Latencies in seconds in steady state, [groups, requests]; the groups are independent.

    `utilisation` is the share of time that a server is busy, `batch` the mean number of requests of a call.
    """

    latencies: Seconds
    utilisation: float
    batch: float = 1.0

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
    service: Sequence[float] | Seconds | MeasuredOrder,
    rate: float,
    servers: Servers | int = 1,
    *,
    requests: int = REQUESTS,
    seed: int = 0,
) -> SteadyLatency:
    """Return the latency of Poisson arrivals at `rate` per second over all servers.

    Each request takes one of the times in `service` (seconds), drawn at random, or in blocks of their
    measured order. A single server with Poisson arrivals and times that are drawn one by one is computed
    exactly, and everything else simulated. UsageError for a rate that is
    not positive, or one at which the servers are busy for more than `MAX_UTILISATION` of the time: no wait
    is long enough to be called steady there.
    """
    ordered = service if isinstance(service, MeasuredOrder) else None
    times = np.asarray(service.all if isinstance(service, MeasuredOrder) else service, dtype=np.float64)
    servers = servers if isinstance(servers, Servers) else Servers(servers)
    _check(times, rate, servers.total)
    busy = utilisation_of(times, rate, servers.total)
    _check_busy(busy, rate, servers.total)
    alone = servers.instances == 1 and (servers.machines == 1 or servers.dispatch == "random")
    if alone and ordered is None:
        return _exact(times, rate / servers.machines, busy, requests)
    beginning = _beginning(times, busy, servers) + (2 * ordered.block if ordered else 0)
    shape = (_streams(requests, beginning), 2 * beginning)
    gaps, drawn = [], []
    for group in range(_GROUPS):
        rng = np.random.default_rng([seed, group])
        gaps.append(gaps_at(servers.dispatch, rate, servers.machines, shape, rng))
        drawn.append(ordered.draw(shape, rng) if ordered else rng.choice(times, shape))
    taken = np.concatenate(drawn)
    waits = waits_of(servers.dispatch, servers.machines, servers.instances)(np.concatenate(gaps), taken)
    latencies = (waits + taken)[:, beginning:]
    return SteadyLatency(latencies.reshape(_GROUPS, -1), busy)


def steady_batched_latency(
    times: CallTimes,
    rate: float,
    servers: Servers,
    batching: Batching,
    *,
    requests: int = REQUESTS,
    seed: int = 0,
) -> SteadyLatency:
    """Return the latency of servers that collect requests into batches; errors as of `steady_latency`.

    With dispatch `one-queue` all machines take their batches from one queue; `least-loaded` is not simulated.
    """
    if servers.dispatch == "least-loaded" and servers.machines > 1:
        raise UsageError(
            "batches are not simulated with least-loaded dispatch.",
            where="--dispatch",
            remedy="Choose round-robin, random or one-queue.",
        )
    _check(times.table[batching.most], rate, servers.total)
    load = batched_load(times, rate, servers.total, batching)
    _check_busy(load, rate, servers.total)
    shared = servers.dispatch == "one-queue"
    arriving = rate if shared else rate / servers.machines
    batch = min(batching.most, math.ceil(1 + arriving * (batching.wait_s + times.mean(batching.most))))
    beginning = batch * _beginning(times.table[batching.most], load, servers, _SHORTEST_BATCHED)
    shape = (_streams(requests, beginning), 2 * beginning + batching.most)
    gaps, shares = [], []
    for group in range(_GROUPS):
        rng = np.random.default_rng([seed, group])
        gaps.append(gaps_at(servers.dispatch, rate, servers.machines, shape, rng))
        shares.append(rng.random(shape))
    serving = servers.total if shared else servers.instances
    served = serve_batches(np.concatenate(gaps), np.concatenate(shares), times, batching, serving)
    steady = slice(beginning, 2 * beginning)  # the last requests find none to share a batch with
    sizes = served.sizes[:, steady]
    busy = rate * float((served.services[:, steady] / sizes).mean()) / servers.total
    latencies = served.latencies[:, steady].reshape(_GROUPS, -1)
    return SteadyLatency(latencies, busy, float(1 / (1 / sizes).mean()))


def batched_load(times: CallTimes, rate: float, servers: int, batching: Batching) -> float:
    """Return the rate as a share of what the servers answer in full batches."""
    return rate * times.mean(batching.most) / batching.most / servers


def _exact(times: Seconds, rate: float, busy: float, requests: int) -> SteadyLatency:
    """Return the latencies of M/G/1 at evenly spaced shares of the requests, dealt out to the groups."""
    count = max(1, requests // 2 // _GROUPS)
    shares = (np.arange(_GROUPS * count) + 0.5) / (_GROUPS * count)
    latencies = single_server_latency(times, rate).quantiles(shares)
    return SteadyLatency(latencies.reshape(count, _GROUPS).T.copy(), busy)


def _streams(requests: int, beginning: int) -> int:
    """Return how many streams a group has."""
    return max(1, requests // (2 * beginning) // _GROUPS)


def _beginning(times: Seconds, busy: float, servers: Servers, least: int = _SHORTEST) -> int:
    """Return how many requests of a stream pass before it has forgotten that it began empty.

    A queue's memory is about (1 + c^2) / 2 / (1 - sqrt(utilisation))^2 requests, with c the coefficient of
    variation of service times (the relaxation time of M/M/1, scaled as heavy traffic scales it; Asmussen
    2003, Applied Probability and Queues, III.8 and X.7); six times that is left out. Many servers forget
    no faster than a request is served. Machines with queues of their own each need as many requests.
    """
    variation = (1 + float(np.var(times)) / float(np.mean(times)) ** 2) / 2
    queue = min(_LONGEST, max(least, math.ceil(6 * variation / (1 - math.sqrt(busy)) ** 2)))
    share = share_of(servers.dispatch, servers.machines)
    queues = 1 if servers.dispatch == "one-queue" else share
    return queue * queues + _SERVICES * servers.instances * share


def _check(times: Seconds, rate: float, servers: int) -> None:
    if times.size == 0 or not np.all(np.isfinite(times)) or times.min() < 0 or times.max() <= 0:
        raise UsageError("service times must be finite, not negative, and at least one above 0.")
    if not (math.isfinite(rate) and rate > 0) or servers < 1:
        raise UsageError(f"expected a rate above 0 and at least one server, got {rate:g} and {servers}.")


def _check_busy(busy: float, rate: float, servers: int) -> None:
    if busy > MAX_UTILISATION + _ROUNDING:
        raise UsageError(
            f"{rate:g} requests a second keep {servers} server{'s' if servers > 1 else ''} busy for "
            f"{100 * busy:.0f} % of the time: the queue has no steady state, or hardly one.",
            remedy="Lower the rate, or use more servers.",
        )
