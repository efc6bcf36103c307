"""The highest rate that keeps a promise such as `p99=20ms`: trials at rates between none and all it can do.

    0 ........ 1/2 ........ 3/4 .. 7/8 ... capacity         each trial offers the whole sample at one rate
               kept         kept   broken

A promise is kept where the percentile of the latencies, waiting included, is within the bound and the system
does not fall behind. Latency grows with the rate, so the interval between the highest rate that kept it and
the lowest that broke it is halved until it is narrow.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.statistics.estimates import MINIMUM_REQUESTS
from harness.common.errors import UsageError

NARROW = 0.05
"""Halving ends where the interval is this share of its upper end."""

TRIALS = 6
"""More halvings than this find differences smaller than those between two trials at the same rate."""

LEAST = 1 / 16
"""Below this share of its capacity a system hardly waits: a promise broken there is broken at any rate."""

_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_FORM = re.compile(r"p(\d+(?:\.\d+)?)\s*=\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s)")


@dataclass(frozen=True, slots=True)
class LatencyObjective:
    """So many percent of requests are answered within `bound_ns`."""

    percentile: float
    bound_ns: int

    @property
    def needed(self) -> int:
        """Distinct requests that such a percentile needs."""
        return MINIMUM_REQUESTS[self.percentile]


@dataclass(frozen=True, slots=True)
class TriedRate:
    """A trial: requests per second offered and answered, the percentile's latency, whether it is kept."""

    rate: float
    achieved: float
    requests: int
    value_ns: int
    overloaded: bool
    kept: bool


def parse(words: str) -> LatencyObjective:
    """Return the promise that `p99=20ms` stands for; UsageError if it is none, or of another percentile."""
    found = _FORM.fullmatch(words.strip())
    known = ", ".join(f"p{each:g}" for each in MINIMUM_REQUESTS)
    if not found or float(found[1]) not in MINIMUM_REQUESTS or float(found[2]) == 0:
        raise UsageError(
            f"{words!r} is no promise.",
            where="--slo",
            remedy=f"Write it as p99=20ms: one of {known}, and a time in ns, us, ms or s.",
        )
    return LatencyObjective(float(found[1]), round(float(found[2]) * _UNITS[found[3]]))


def nearest_rank(samples_ns: Sequence[int], percentile: float) -> int:
    """Return the sample of rank ceil(p n), however few there are; whoever shows it says how many."""
    return sorted(samples_ns)[math.ceil(round(percentile / 100 * len(samples_ns), 9)) - 1]


def highest_rate(
    trial: Callable[[float], TriedRate], capacity: float
) -> tuple[float | None, tuple[TriedRate, ...]]:
    """Return the highest rate tried that kept the promise, None if none did, and all trials in order.

    `capacity` is what the system answers a second when it never waits for a request.
    """
    low, high = 0.0, capacity
    tried: list[TriedRate] = []
    while len(tried) < TRIALS and high - low > NARROW * high and (low or high > LEAST * capacity):
        found = trial((low + high) / 2)
        tried.append(found)
        low, high = (found.rate, high) if found.kept else (low, found.rate)
    return low or None, tuple(tried)
