"""Binomial quantiles, and Wilson's and the exact interval for a proportion.

The numbers equal those of scipy.stats, which takes a second to import: too long for every command that
measures.
"""

import math


def quantile(probability: float, count: int, share: float) -> int:
    """Return the least number k with P(B <= k) >= `probability`, where B is Binomial(count, share)."""
    from scipy.special import bdtr, bdtrik

    rank = math.ceil(float(bdtrik(probability, count, share)))
    # bdtrik inverts a continuous extension of the distribution: rounding can make a whole result one too high
    below = max(rank - 1, 0)
    return below if bdtr(below, count, share) >= probability else rank


def wilson_interval(right: int, count: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's interval for the proportion behind `right` successes in `count` trials."""
    from scipy.special import ndtri

    share, z = right / count, float(ndtri(0.5 + confidence / 2))
    scale = 2 * (count + z**2)
    center = (2 * count * share + z**2) / scale
    half_width = z / scale * math.sqrt(4 * count * share * (1 - share) + z**2)
    return (center - half_width if right else 0.0), (center + half_width if right < count else 1.0)


def exact_interval(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a rate (C. Clopper and E. Pearson 1934); the whole range for no units."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return low, high
