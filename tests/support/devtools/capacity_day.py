"""Compares the latency of a day by `bench plan` with the recursion over every request, and times both.

    python -m devtools.capacity_day [REQUESTS]    # 100 million by default

A day of 24 hours with a peak of 1.6 times the mean, at most 70 % busy, exponential service times of mean 1 s.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from records import a_record

from harness.analysis.capacity.day import day_percentiles, whole_day_percentiles
from harness.analysis.capacity.demand import Demand, Segment, daily_demand
from harness.analysis.capacity.queueing.steady_state import Servers
from harness.analysis.capacity.queueing.waiting import waits_several
from harness.analysis.capacity.service_times import ServiceTimes

BUSIEST = 0.7
RECURSION = 1_000_000
SERVERS = (1, 2, 8)
PERCENTILES = (50.0, 99.0)


def main(requests: float) -> None:
    """Print a line for each number of servers and each method."""
    service = ServiceTimes(a_record(), (-np.log(1 - (np.arange(2_000) + 0.5) / 2_000),) * 7, 1, 2_000)
    for servers in SERVERS:
        small, whole = _day(RECURSION, servers), _day(requests, servers)
        exact, seconds = _timed(lambda day=small, count=servers: _recursion(service, day, count))
        _show(servers, "recursion", RECURSION, exact, exact, seconds)
        for name, method, day in (
            ("sampled hours", day_percentiles, small),
            ("every request", whole_day_percentiles, small),
            ("every request", whole_day_percentiles, whole),
        ):
            computed, seconds = _timed(
                lambda method=method, day=day, count=servers: method(
                    service, day, Servers(count), PERCENTILES
                )
            )
            _show(servers, name, day.requests, computed, exact, seconds)


def _day(requests: float, servers: int) -> Demand:
    """Return a day whose busiest hour keeps the servers 70 % busy; its length follows from the requests."""
    shape = daily_demand(requests, 1.6)
    factor = BUSIEST * servers / shape.peak
    return Demand(
        tuple(Segment(factor * part.rate, part.seconds / factor) for part in shape.segments), "a day"
    )


def _recursion(service: ServiceTimes, demand: Demand, servers: int) -> dict[float, float]:
    """Follow every request of one day, with the queue carried from hour to hour."""
    rng = np.random.default_rng(1)
    gaps = np.concatenate(
        [rng.exponential(1 / part.rate, round(part.rate * part.seconds)) for part in demand.segments]
    )[None]
    times = rng.choice(service.all, gaps.shape)
    latencies = waits_several(gaps, times, servers) + times
    return dict(zip(PERCENTILES, np.percentile(latencies, PERCENTILES).tolist(), strict=True))


def _timed(work: Callable[[], dict[float, float]]) -> tuple[dict[float, float], float]:
    begun = time.perf_counter()
    return work(), time.perf_counter() - begun


def _show(
    servers: int,
    name: str,
    requests: float,
    computed: dict[float, float],
    exact: dict[float, float],
    seconds: float,
) -> None:
    figures = ", ".join(
        f"p{percent:g} {computed[percent]:.3f} s ({100 * (computed[percent] / exact[percent] - 1):+.1f} %)"
        for percent in PERCENTILES
    )
    sys.stdout.write(f"{servers} servers, {name}, {requests:,.0f} requests: {figures}, {seconds:.0f} s\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1e8)
