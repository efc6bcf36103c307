"""The fewest machines that keep an SLO at a rate, and the latency that requests get on them.

    machines 1 --busy too much?--> 2 --p99 too long?--> 4 --kept--> 3? --> the fewest that keep it

Utilisation is bounded by the headroom; waits are those of `harness/analysis/capacity/queueing/`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from harness.analysis.capacity.queueing.dispatch import Dispatch
from harness.analysis.capacity.queueing.steady_state import MAX_UTILISATION, Servers
from harness.analysis.capacity.service_model import ServiceModel, load_of
from harness.records.estimate import Estimate, Unavailable

REQUESTS, RESAMPLED_REQUESTS = 1_000_000, 200_000
RESAMPLES = 40
MOST_MACHINES = 100_000
MOST_SHARED = 256
"""The most instances in dispatch `least-loaded` and `one-queue`, which follow each of them."""

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Objective:
    """The percentile of the latency that must be at most `bound_s`, and the highest utilisation."""

    percent: float
    bound_s: float
    headroom: float = 0.7


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in seconds with their intervals, by percent, and the utilisation of the instances.

    `batch` is the mean number of requests of a call.
    """

    percentiles: dict[float, Estimate]
    utilisation: float
    batch: float = 1.0


@dataclass(frozen=True, slots=True)
class Sizing:
    """The fewest machines that keep the SLO, and why one machine fewer does not.

    `why_not` returns why another, smaller number does not.
    """

    machines: int
    one_fewer: str
    why_not: Callable[[int], str] | None = field(default=None, compare=False, repr=False)


def fewest_machines(
    service: ServiceModel, rate: float, objective: Objective, dispatch: Dispatch
) -> Sizing | Unavailable:
    """Return the fewest machines that keep the SLO at a rate, or why no number does.

    A tighter bound never takes fewer: the numbers that are tried do not depend on it, and each has one
    latency, which is that of the plan.
    """
    alone = service.shortest(objective.percent)
    if alone > objective.bound_s:
        return Unavailable(
            f"p{objective.percent:g} is {1e3 * alone:.3g} ms without any queue, above "
            f"{1e3 * objective.bound_s:.3g} ms"
        )
    busiest = load_of(service, rate, 1)
    most = most_machines(service, dispatch)
    too_many = Unavailable(
        f"it needs more than {most:,} machines for {rate:,.4g} requests a second, the most that are computed "
        f"with dispatch {dispatch}"
    )
    least = max(1, math.ceil(busiest / objective.headroom - 1e-9))
    if least > most:
        return too_many

    @cache
    def latency_on(machines: int) -> float:
        servers = Servers(service.instances, machines, dispatch)
        return service.steady(rate, servers, requests=REQUESTS).percentile(objective.percent)

    machines = _first_kept(lambda number: latency_on(number) <= objective.bound_s, least, most)
    if machines is None:
        return too_many

    def why_not(number: int) -> str:
        if number < least:
            return _too_busy(
                busiest / number, objective, "% of what full batches serve" if service.how else "% busy"
            )
        return f"p{objective.percent:g} would be {1e3 * latency_on(number):.3g} ms"

    fewer = "one is the minimum" if machines == 1 else why_not(machines - 1)
    return Sizing(machines, fewer, why_not)


def latency_at(
    service: ServiceModel,
    rate: float,
    servers: Servers,
    percentiles: Sequence[float] = (50.0, 90.0, 99.0),
) -> Latency:
    """Return the latency in steady state; intervals are by resampled rounds.

    A resample whose servers would be busy all the time counts as an endless wait.
    """
    steady = service.steady(rate, servers, requests=REQUESTS)
    draws = np.array([_resampled(service, rate, servers, percentiles, seed) for seed in range(RESAMPLES)])
    tail = 100 * (1 - _CONFIDENCE) / 2
    low, high = np.percentile(draws, [tail, 100 - tail], axis=0, method="nearest")
    return Latency(
        {
            percent: Estimate(
                value=steady.percentile(percent),
                low=min(float(low[number]), steady.percentile(percent)),
                high=max(float(high[number]), steady.percentile(percent)),
                confidence=_CONFIDENCE,
                method="queue in steady state, bootstrap over rounds",
                count=service.round_count,
            )
            for number, percent in enumerate(percentiles)
        },
        steady.utilisation,
        steady.batch,
    )


def _resampled(
    service: ServiceModel, rate: float, servers: Servers, percentiles: Sequence[float], seed: int
) -> list[float]:
    rng = np.random.default_rng([seed, service.round_count])
    drawn = service.resampled(rng)
    if rate * drawn.mean / servers.total > MAX_UTILISATION:
        return [math.inf] * len(percentiles)
    steady = drawn.steady(rate, servers, requests=RESAMPLED_REQUESTS, seed=seed)
    return [steady.percentile(percent) for percent in percentiles]


def most_machines(service: ServiceModel, dispatch: Dispatch) -> int:
    """Return the most machines that are simulated."""
    return (
        MOST_MACHINES if dispatch in ("round-robin", "random") else max(1, MOST_SHARED // service.instances)
    )


def _first_kept(kept: Callable[[int], bool], least: int, most: int) -> int | None:
    """Return the least kept number from `least` to `most`, where all after it are kept; None without one."""
    low = high = least
    while not kept(high):
        if high == most:
            return None
        low, high = high + 1, min(2 * high, most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if kept(middle) else (middle + 1, high)
    return high


def _too_busy(share: float, objective: Objective, measure: str) -> str:
    return f"{100 * share:.3g} {measure} at the peak, above the headroom of {100 * objective.headroom:.0f} %"
