"""Power that was looked at now and then becomes energy, by trapezoids.

    (time, microwatts) ... (time, microwatts) --integrate--> microjoules and how rough they are

Between two looks nobody knows what the power was. The trapezoid takes the line; the roughness says how far
the looks themselves scatter around lines, so that few looks at a restless sensor are not taken for many.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[int, float]
"""Nanoseconds on one clock, and microwatts."""


@dataclass(frozen=True, slots=True)
class Integral:
    """Energy in microjoules, its roughness in microjoules, and the longest time between two looks."""

    microjoules: int
    rough_uj: int
    longest_gap_ns: int


def integrate(points: Sequence[Point]) -> Integral:
    """Return the energy under two or more points that rise in time; ValueError if they do not.

    Each stretch may be wrong by half its change of power times its length. Stretches err apart from one
    another, so these are added as squares.
    """
    if len(points) < 2:  # noqa: PLR2004 -- a stretch has two ends
        raise ValueError("one look at a power is no energy")
    area = rough = 0.0
    longest = 0
    for (begin, first), (end, last) in pairwise(points):
        if end <= begin:
            raise ValueError("the points do not rise in time")
        seconds = (end - begin) / 1e9
        area += (first + last) / 2 * seconds
        rough += (abs(last - first) / 2 * seconds) ** 2
        longest = max(longest, end - begin)
    return Integral(round(area), math.ceil(math.sqrt(rough)), longest)


def at(points: Sequence[Point], when_ns: int) -> float:
    """Return the value on the line between the two points around a time, which must lie within them."""
    for (begin, first), (end, last) in pairwise(points):
        if begin <= when_ns <= end:
            return first if end == begin else first + (last - first) * (when_ns - begin) / (end - begin)
    raise ValueError("the time lies outside the points")
