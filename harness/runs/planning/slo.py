"""The highest rate within a service-level objective (SLO) such as `p99=20ms`, found by bisection.

    0 ........ 1/2 ........ 3/4 .. 7/8 ... capacity         each trial offers the whole sample at one rate
               kept         kept   missed

An SLO is kept where the percentile of the latencies, waiting included, is within the bound, measured and in
steady state, and the system does not fall behind. Latency grows with the rate, so the interval between the
highest rate that kept it and the lowest that missed it is halved until it is narrow.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.statistics.estimates import MINIMUM_REQUESTS
from harness.common.errors import UsageError

NARROW = 0.05
"""Bisection ends where the interval is this share of its upper end."""

TRIALS = 6
"""More trials find differences smaller than those between two trials at the same rate."""

LEAST = 1 / 16
"""Below this share of its capacity a system hardly waits: an SLO missed there is missed at any rate."""

_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_FORM = re.compile(r"p(\d+(?:\.\d+)?)\s*=\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s)")


@dataclass(frozen=True, slots=True)
class LatencyObjective:
    """An SLO: this percentile of the latencies is at most `bound_ns`."""

    percentile: float
    bound_ns: int

    @property
    def needed(self) -> int:
        """How many distinct requests this percentile needs."""
        return MINIMUM_REQUESTS[self.percentile]


@dataclass(frozen=True, slots=True)
class TriedRate:
    """A trial: requests per second offered and answered, the percentile's latency, if the SLO is kept.

    `steady_ns` is the percentile in steady state; None where it is unknown, or where there is none.
    """

    rate: float
    achieved: float
    requests: int
    value_ns: int
    overloaded: bool
    kept: bool
    steady_ns: int | None = None
    utilisation: float | None = None


def parse(slo: str) -> LatencyObjective:
    """Parse an SLO such as `p99=20ms`; UsageError if it is malformed, or its percentile is unknown."""
    match = _FORM.fullmatch(slo.strip())
    if not match or float(match[1]) not in MINIMUM_REQUESTS or float(match[2]) == 0:
        known = ", ".join(f"p{percentile:g}" for percentile in MINIMUM_REQUESTS)
        raise UsageError(
            f"not a service-level objective: {slo!r}.",
            where="--slo",
            remedy=f"Write it as p99=20ms: one of {known}, and a time in ns, us, ms or s.",
        )
    return LatencyObjective(float(match[1]), round(float(match[2]) * _UNITS[match[3]]))


def nearest_rank(samples_ns: Sequence[int], percentile: float) -> int:
    """Return the sample of rank ceil(p n), however few there are; reports show how many."""
    return sorted(samples_ns)[math.ceil(round(percentile / 100 * len(samples_ns), 9)) - 1]


def highest_rate(
    trial: Callable[[float], TriedRate], capacity: float
) -> tuple[float | None, tuple[TriedRate, ...]]:
    """Return the highest rate tried that kept the SLO, None if none did, and all trials in order.

    `capacity` is what the system answers a second when it never waits for a request.
    """
    low, high = 0.0, capacity
    trials: list[TriedRate] = []
    while len(trials) < TRIALS and high - low > NARROW * high and (low or high > LEAST * capacity):
        result = trial((low + high) / 2)
        trials.append(result)
        low, high = (result.rate, high) if result.kept else (low, result.rate)
    return low or None, tuple(trials)
