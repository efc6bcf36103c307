"""Integration of sampled power into energy, by the trapezoidal rule.

    (time, microwatts) ... (time, microwatts) --integrate--> microjoules and their roughness

The power between two samples is unknown; the trapezoidal rule assumes a straight line. The roughness states
how far the samples scatter around such lines, so that a few samples of an unsteady sensor are not taken for
an exact result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

LATE = 5
"""A gap of more than this many usual intervals is a hole, over which nothing can be interpolated."""

Point = tuple[int, float]
"""Nanoseconds on one clock, and microwatts."""


@dataclass(frozen=True, slots=True)
class Integral:
    """Energy in microjoules, its roughness in microjoules, and the longest gap between two samples."""

    microjoules: int
    rough_uj: int
    longest_gap_ns: int


def integrate(points: Sequence[Point]) -> Integral:
    """Return the energy under two or more points in the order of time; ValueError otherwise.

    The error of each stretch may be half its change of power times its length. The errors of different
    stretches are independent, so they are added as squares.
    """
    if len(points) < 2:  # noqa: PLR2004 -- a stretch has two ends
        raise ValueError(f"integration needs two points or more, got {len(points)}")
    area = variance = 0.0
    longest = 0
    for (begin, first), (end, last) in pairwise(points):
        if end <= begin:
            raise ValueError(f"the times of points must increase, got {end} ns after {begin} ns")
        seconds = (end - begin) / 1e9
        area += (first + last) / 2 * seconds
        variance += (abs(last - first) / 2 * seconds) ** 2
        longest = max(longest, end - begin)
    return Integral(round(area), math.ceil(math.sqrt(variance)), longest)


def at(points: Sequence[Point], when_ns: int) -> float:
    """Return the linearly interpolated value at a time; ValueError if it is outside of the points."""
    for (begin, first), (end, last) in pairwise(points):
        if begin <= when_ns <= end:
            return first if end == begin else first + (last - first) * (when_ns - begin) / (end - begin)
    raise ValueError(f"the time must be within the points, got {when_ns} ns")
