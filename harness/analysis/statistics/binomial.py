"""Counts out of a number of trials: their quantiles, and the interval of the share behind one.

The same numbers as scipy.stats gives, without loading it: that takes a second, in every command that
measures.
"""

import math


def quantile(probability: float, count: int, share: float) -> int:
    """Return the least number with P(B <= number) >= `probability`, where B is Binomial(count, share)."""
    from scipy.special import bdtr, bdtrik

    found = math.ceil(float(bdtrik(probability, count, share)))
    # the inverse is of a continuous function: where it is whole, rounding may put it one too high
    below = max(found - 1, 0)
    return below if bdtr(below, count, share) >= probability else found


def wilson_interval(right: int, count: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's interval of the share of which `right` in `count` is a sample."""
    from scipy.special import ndtri

    share, z = right / count, float(ndtri(0.5 + confidence / 2))
    scale = 2 * (count + z**2)
    middle = (2 * count * share + z**2) / scale
    reach = z / scale * math.sqrt(4 * count * share * (1 - share) + z**2)
    return (middle - reach if right else 0.0), (middle + reach if right < count else 1.0)
