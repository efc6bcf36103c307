"""Intervals that hold together for all candidates, because the reported one is chosen among them.

The fastest of several variants looks faster than it is: noise in its favour helped to choose it. Each
interval is therefore at the level 1 - 5 % / candidates (C. Bonferroni 1936), so that with a probability of at
least 95 % all of them hold, and with them the one of whichever variant is chosen.
"""

import math
from dataclasses import replace

from harness.analysis.statistics.estimates import CONFIDENCE, estimate_of_location
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate


def simultaneous_level(candidates: int) -> float:
    """Return the confidence of each interval so that the intervals of all candidates hold together."""
    return 1 - (1 - CONFIDENCE) / max(candidates, 1)


def widened_ratio(ratio: Ratio, candidates: int) -> Ratio:
    """Return the ratio with the interval that holds for all candidates together."""
    if ratio.location is None or candidates <= 1:
        return ratio
    level = simultaneous_level(candidates)
    estimate = estimate_of_location(ratio.location, confidence=level)
    return replace(ratio, low=estimate.low, high=estimate.high, confidence=level)


def widened_change(change: QualityChange, candidates: int) -> QualityChange:
    """Return the change of quality with the interval that holds for all candidates together.

    An interval paired by example is of Wilson's form (E. Wilson 1927): examples that were not drawn may be
    answered differently, so that it has a width where all drawn answers are equal.
    """
    level, points = simultaneous_level(candidates), change.points
    z, usual = _normal_quantile(level), _normal_quantile(points.confidence)
    below, above = ((points.value - points.low) / usual, (points.high - points.value) / usual)
    if change.paired:
        below, above = (_wilson_half_width(part / 100, points.count, z) * 100 for part in (below, above))
    else:
        below, above = z * below, z * above
    method = f"{points.method}, together for {candidates} candidates" if candidates > 1 else points.method
    widened = Estimate(points.value, points.value - below, points.value + above, level, method, points.count)
    return replace(change, points=widened)


def examples_needed(change: QualityChange, budget: float) -> int | None:
    """Return how many examples would show that a change as large as this one is within the budget, in points.

    None where the change itself is a greater loss, so that no number of examples would show it.
    """
    points = change.points
    room = (points.value + budget) / 100
    if room <= 0:
        return None
    z, below = _normal_quantile(points.confidence), (points.value - points.low) / 100
    # the inverse of `_wilson_half_width`: n = z^2 (h + v) / h^2, v the variance of one example
    variance = max(below * below * points.count / z**2 - below, 0.0)
    return math.ceil(z**2 * (room + variance) / room**2)


def _wilson_half_width(error: float, count: int, z: float) -> float:
    """Return the half-width for a standard error of `error` over `count` examples."""
    correction = z * z / (2 * max(count, 1))
    return correction + math.hypot(z * error, correction)


def _normal_quantile(confidence: float) -> float:
    from scipy.special import ndtri  # scipy.stats takes a second to import

    return float(ndtri((1 + confidence) / 2))
