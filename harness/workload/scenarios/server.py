"""`server`: requests arrive at a rate, whether the system is free or not; latency counts from the arrival.

Arrivals are a Poisson process that is seeded and then stretched so that exactly the asked number arrives in
the window: that is the process given how many arrive in it, and each window offers exactly the rate that was
asked, to every system the same.
"""

import random
from itertools import accumulate
from statistics import median

from harness.workload.scenarios.base import Scenario
from harness.workload.scenarios.single_stream import one_by_one

SERVER = Scenario(
    "server", "requests arrive at --rate a second; latency counts waiting", "request", one_by_one, True
)

KEPT_UP = 0.95
"""A system that answers less than this share of what was offered, while its queue grows, is overloaded."""

_GROWTH = 1.5
"""A queue grows if the median latency of a window's last third is this many times its first third's."""

_THIRD = 3


def arrival_times_ns(count: int, rate: float, seed: str) -> tuple[list[int], int]:
    """Return when each of `count` requests arrives, in ns since the window began, and how long the window is.

    The first arrives at 0. The window is count / rate long: as long as it takes until the next would arrive.
    A rate of 0 means all at once.
    """
    if rate <= 0:
        return [0] * count, 0
    draw = random.Random(f"arrivals {seed}")  # noqa: S311 -- a seeded draw, not a secret
    ends = list(accumulate(draw.expovariate(1.0) for _ in range(count)))
    span_ns = round(count / rate * 1e9)
    return [0, *(round(end / ends[-1] * span_ns) for end in ends[:-1])], span_ns


def passes_within(window_ns: int, requests: int, rate: float) -> int:
    """Return how many passes over so many requests fill a window at a rate: whole ones, at least one."""
    if rate <= 0:
        return 1
    return max(1, -(-int(window_ns * rate) // (requests * 1_000_000_000)))


def queue_grew(latency_ns: list[int]) -> bool:
    """Say whether the requests that came last waited longer than those that came first."""
    part = len(latency_ns) // _THIRD
    if part == 0:
        return False
    return median(latency_ns[-part:]) > _GROWTH * median(latency_ns[:part])


def is_overloaded(offered: float, achieved: float, latency_ns: list[list[int]]) -> bool:
    """Say whether a system fell behind: it answered less than was offered, and mostly its queue grew.

    `offered` and `achieved` are requests per second; `latency_ns` holds each window's, in order of arrival.
    """
    grew = sum(map(queue_grew, latency_ns))
    return achieved < KEPT_UP * offered and 2 * grew > len(latency_ns)
