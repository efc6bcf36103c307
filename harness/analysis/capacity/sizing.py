"""The fewest machines that keep an SLO at a rate, and the latency that requests get on them.

    machines 1 --busy too much?--> 2 --p99 too long?--> 4 --kept--> 3? --> the fewest that keep it

Utilisation is bounded by the headroom; waits are those of `harness/analysis/capacity/queueing/`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from harness.analysis.capacity.queueing.dispatch import Dispatch
from harness.analysis.capacity.queueing.steady_state import Servers, steady_latency
from harness.analysis.capacity.queueing.waiting import Seconds
from harness.analysis.capacity.service_times import ServiceTimes
from harness.records.estimate import Estimate, Unavailable

SEARCH_REQUESTS, FINAL_REQUESTS, RESAMPLED_REQUESTS = 200_000, 1_000_000, 100_000
RESAMPLES = 40
MOST_MACHINES = 100_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Objective:
    """The percentile of the latency that must be at most `bound_s`, and the highest utilisation."""

    percent: float
    bound_s: float
    headroom: float = 0.7


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in seconds with their intervals, by percent, and the utilisation of the instances."""

    percentiles: dict[float, Estimate]
    utilisation: float


@dataclass(frozen=True, slots=True)
class Sizing:
    """The fewest machines that keep the SLO, and why one machine fewer does not."""

    machines: int
    one_fewer: str


def fewest_machines(
    times: ServiceTimes, rate: float, objective: Objective, dispatch: Dispatch
) -> Sizing | Unavailable:
    """Return the fewest machines that keep the SLO at a rate, or why no number does."""
    service = times.all
    alone = float(np.percentile(service, objective.percent))
    if alone > objective.bound_s:
        return Unavailable(
            f"p{objective.percent:g} is {1e3 * alone:.3g} ms without any waiting, above "
            f"{1e3 * objective.bound_s:.3g} ms"
        )
    busiest = rate * float(service.mean()) / times.instances
    least = max(1, math.ceil(busiest / objective.headroom - 1e-9))
    if least > MOST_MACHINES:
        return Unavailable(f"it needs more than {MOST_MACHINES:,} machines")

    @cache
    def latency_on(machines: int) -> float:
        servers = Servers(times.instances, machines, dispatch)
        return steady_latency(service, rate, servers, requests=SEARCH_REQUESTS).percentile(objective.percent)

    machines = _first_kept(lambda number: latency_on(number) <= objective.bound_s, least)
    if machines is None:
        return Unavailable(f"it needs more than {MOST_MACHINES:,} machines")
    return Sizing(machines, _why_not(machines - 1, machines > least, busiest, latency_on, objective))


def latency_at(
    times: ServiceTimes,
    rate: float,
    servers: Servers,
    percentiles: Sequence[float] = (50.0, 90.0, 99.0),
) -> Latency:
    """Return the latency in steady state; intervals are by resampled rounds, each with other arrivals.

    A resample whose servers would be busy all the time counts as an endless wait.
    """
    steady = steady_latency(times.all, rate, servers, requests=FINAL_REQUESTS)
    draws = np.array([_resampled(times, rate, servers, percentiles, seed) for seed in range(RESAMPLES)])
    tail = 100 * (1 - _CONFIDENCE) / 2
    low, high = np.percentile(draws, [tail, 100 - tail], axis=0, method="nearest")
    return Latency(
        {
            percent: Estimate(
                value=steady.percentile(percent),
                low=min(float(low[number]), steady.percentile(percent)),
                high=max(float(high[number]), steady.percentile(percent)),
                confidence=_CONFIDENCE,
                method="queue in steady state, bootstrap over rounds and arrivals",
                count=len(times.rounds),
            )
            for number, percent in enumerate(percentiles)
        },
        steady.utilisation,
    )


def _resampled(
    times: ServiceTimes, rate: float, servers: Servers, percentiles: Sequence[float], seed: int
) -> list[float]:
    rng = np.random.default_rng([seed, len(times.rounds)])
    chosen = rng.integers(len(times.rounds), size=len(times.rounds))
    service: Seconds = np.concatenate([times.rounds[index] for index in chosen])
    if rate * float(service.mean()) / servers.total > _STEADY:
        return [math.inf] * len(percentiles)
    steady = steady_latency(service, rate, servers, requests=RESAMPLED_REQUESTS, seed=seed)
    return [steady.percentile(percent) for percent in percentiles]


_STEADY = 0.98


def _first_kept(kept: Callable[[int], bool], least: int) -> int | None:
    """Return the least number from `least` on that is kept, where all after it are; None without one."""
    high = least
    while not kept(high):
        if high > MOST_MACHINES:
            return None
        low, high = high + 1, 2 * high
    if high == least:
        return least
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle + 1, high)
    return high


def _why_not(
    machines: int, limited: bool, busiest: float, latency_on: Callable[[int], float], objective: Objective
) -> str:
    """Return why so many machines are too few."""
    if machines < 1:
        return "one is the minimum"
    if not limited:
        return (
            f"{100 * busiest / machines:.0f} % busy at the peak, above the headroom of "
            f"{100 * objective.headroom:.0f} %"
        )
    return f"p{objective.percent:g} would be {1e3 * latency_on(machines):.3g} ms"
