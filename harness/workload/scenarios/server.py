"""`server`: requests arrive at a given rate, whether the system is free or not; latency includes queueing.

    count, rate, seed --Poisson arrivals--> arrival times --calls--> latencies --is_overloaded--> overloaded?

Arrivals are a seeded Poisson process, scaled so that exactly `count` requests arrive in the window. That is
the process conditioned on its number of arrivals. Every window has exactly the offered load, the same for
every system.
"""

import random
from itertools import accumulate
from statistics import median

from harness.workload.scenarios.base import Scenario
from harness.workload.scenarios.single_stream import one_request_per_call

SERVER = Scenario(
    "server",
    "requests arrive at --rate per second; latency includes queueing",
    "request",
    one_request_per_call,
    timed_arrivals=True,
)

MIN_ACHIEVED_SHARE = 0.95
"""A system whose throughput is below this share of the offered load, while its queue grows, is overloaded."""

_GROWTH = 1.5
"""A queue grows where the median latency of a window's last third is this many times that of its first."""

_THIRD = 3


def arrival_times_ns(count: int, rate: float, seed: str) -> tuple[list[int], int]:
    """Return the arrival times of `count` requests from the start of the window, and its length, both in ns.

    The first request arrives at 0. The length is count / rate, so the window ends when the next request would
    arrive. With a rate of 0, all requests arrive at once.
    """
    if rate <= 0:
        return [0] * count, 0
    rng = random.Random(f"arrivals {seed}")  # noqa: S311 -- reproducible, not cryptographic
    arrivals = list(accumulate(rng.expovariate(1.0) for _ in range(count)))
    window_ns = round(count / rate * 1e9)
    return [0, *(round(arrival / arrivals[-1] * window_ns) for arrival in arrivals[:-1])], window_ns


def passes_within(window_ns: int, requests: int, rate: float) -> int:
    """Return how many whole passes over the requests fill a window at this rate, at least one."""
    if rate <= 0:
        return 1
    return max(1, -(-int(window_ns * rate) // (requests * 1_000_000_000)))


def queue_grew(latency_ns: list[int]) -> bool:
    """Return whether the last third of a window's requests waited longer than the first third."""
    third = len(latency_ns) // _THIRD
    if third == 0:
        return False
    return median(latency_ns[-third:]) > _GROWTH * median(latency_ns[:third])


def is_overloaded(offered: float, achieved: float, latency_ns: list[list[int]]) -> bool:
    """Return whether throughput fell behind the offered load, and the queue grew in most windows.

    `offered` and `achieved` are requests per second. `latency_ns` holds the latencies of each window, in the
    order of arrival.
    """
    grew = sum(map(queue_grew, latency_ns))
    return achieved < MIN_ACHIEVED_SHARE * offered and 2 * grew > len(latency_ns)
