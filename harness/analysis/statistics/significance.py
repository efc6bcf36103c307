"""How surely two systems differ: the p-value of a paired comparison, from its ratios round by round.

If both systems are the same, the labels of the two visits of a round are interchangeable, so that the
logarithm of their ratio is symmetric around zero, whatever the noise.
(`harness.analysis.statistics.typical_request` uses requests that were timed one by one, which are more
precise than totals of rounds.) Neither a sign test nor sign flips can use that symmetry at the levels of a
family of verdicts: 11 rounds give no p-value below 2 / 2^11 = 0.001, and twenty verdicts at 1 % in all need
0.0005. The test is therefore Student's t on the logarithms, made robust for real machines:

    outliers         the outer tenth of the rounds on either side is winsorised (J. Tukey and D. McLaughlin
                     1963), so that one disturbed round neither creates nor hides a difference
    autocorrelation  rounds near in time may be disturbed alike: the correlation of neighbours widens the
                     standard error; with fewer than five rounds it cannot be estimated, and its upper bound
                     is used
    launches         two processes of one program differ a little for as long as they live: the standard error
                     includes an allowance for it. Three launches or more also estimate this variance; the
                     estimate is pooled with the allowance (as G. Smyth 2004 pools a prior variance with a
                     sample's), or replaces it where the allowance hardly explains the estimate

docs/method.md, "False alarms", shows by replay how often it errs on real machines.
"""

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.analysis.statistics.estimates import Floats

Launches = npt.NDArray[np.int64]

TRIM = 0.1
"""The share of rounds on either side that is winsorised: 1 of 10, 2 of 20."""

LAUNCH_SPREAD = 0.01
"""Standard deviation of the ratio of two launches of one program: the upper bound that
`python -m harness.cli.measure.null_traces --launches` prints for the committed traces, rounded up to a
percent."""

LAUNCH_FREEDOM = 113
"""Degrees of freedom of `LAUNCH_SPREAD`: the launches it was measured over, less one for each variant."""

_SEVERAL_LAUNCHES = 3
"""Launches from which on their own variance is estimated."""

_EXPLAINED = 0.9
"""The allowance explains the variance of launches up to this quantile of the F distribution."""

_MOST_CORRELATED = 0.8
"""Upper bound of the correlation of neighbouring rounds."""

_FEW_ROUNDS = 5
"""With fewer rounds the correlation cannot be estimated: a disturbance may last through them all."""


def p_value(ratios: Sequence[float] | Floats, launches: Sequence[int]) -> float:
    """Return the probability that two equal systems seem to differ at least so clearly.

    `ratios` holds one positive number per paired round, in order of time, `launches` the launch of each. 1.0
    for fewer than two rounds.
    """
    return p_values([(ratios, launches)])[0]


def p_values(pairs: Sequence[tuple[Sequence[float] | Floats, Sequence[int]]]) -> list[float]:
    """Return `p_value` of each (ratios, launches), in order, with one evaluation of the distribution."""
    from scipy.special import stdtr  # scipy.stats takes a second to import

    t_statistics = [
        _t_statistic(list(map(math.log, np.asarray(ratios).tolist())), launches) for ratios, launches in pairs
    ]
    probabilities: list[float] = (2 * stdtr(*np.array(t_statistics).reshape(-1, 2).T)).tolist()
    return probabilities


def _t_statistic(logs: Sequence[float], launches: Sequence[int]) -> tuple[float, float]:
    """Return the degrees of freedom and minus the absolute value of Student's t; 0 for a single round."""
    if len(logs) < 2:  # noqa: PLR2004 -- a variance needs two values
        return 1.0, 0.0
    mean, within, freedom = trimmed_mean(logs)
    within *= (
        variance_inflation(logs, launches) if len(logs) >= _FEW_ROUNDS else inflation_factor(_MOST_CORRELATED)
    )
    between, _ = variance_between_launches(logs, launches)
    # the allowance adds no degrees of freedom here: few rounds may agree by chance
    return freedom, -abs(mean) / math.sqrt(within + between)


def p_value_of_mean(mean: float, *variances: tuple[float, float]) -> float:
    """Return the two-sided p-value of a mean, given independent variances with their degrees of freedom.

    The degrees of freedom of their sum follow F. Satterthwaite (1946).
    """
    from scipy.special import stdtr

    total = sum(variance for variance, _ in variances)
    freedom = total**2 / sum(variance**2 / part_freedom for variance, part_freedom in variances)
    return float(2 * stdtr(freedom, -abs(mean) / math.sqrt(total)))


def trimmed_mean(values: Sequence[float] | Floats) -> tuple[float, float, int]:
    """Return the trimmed mean, the variance of that mean, and its degrees of freedom."""
    ordered, count = sorted(map(float, values)), len(values)
    cut = int(TRIM * count)
    kept = ordered[cut : count - cut]
    winsorised = [kept[0]] * cut + kept + [kept[-1]] * cut
    variance = _variance(winsorised) / ((1 - 2 * cut / count) ** 2 * count)
    return math.fsum(kept) / len(kept), variance, len(kept) - 1


def variance_inflation(values: Sequence[float] | Floats, launches: Sequence[int] | Launches) -> float:
    """Return (1 + r) / (1 - r), at least 1: the factor by which correlation raises the variance of a mean.

    `r` is the rank correlation of neighbouring rounds (lag 1), within launches; ranks, so that one disturbed
    round does not dominate it.
    """
    ranks = _centered_ranks(values)
    products = [
        rank * next_rank
        for rank, next_rank, launch, next_launch in zip(
            ranks, ranks[1:], launches, launches[1:], strict=False
        )
        if launch == next_launch
    ]
    if not products or not any(ranks):
        return 1.0
    # ranks are multiples of one half, so that sums of their products are exact
    mean_square = sum([rank * rank for rank in ranks]) / len(ranks)
    return inflation_factor(min(max(sum(products) / len(products) / mean_square, 0.0), _MOST_CORRELATED))


def inflation_factor(correlation: float) -> float:
    """Return the factor by which a correlation of neighbours raises the variance of a mean of many values."""
    return (1 + correlation) / (1 - correlation)


def _centered_ranks(values: Sequence[float] | Floats) -> list[float]:
    """Return the rank of each value minus the mean rank; equal values share their mean rank."""
    ordered, middle = sorted(values), (len(values) + 1) / 2
    rank_of = {value: rank - middle for rank, value in enumerate(ordered, 1)}
    if len(rank_of) == len(ordered):
        return [rank_of[value] for value in values]
    return [(bisect_left(ordered, value) + bisect_right(ordered, value) + 1) / 2 - middle for value in values]


def variance_between_launches(
    values: Sequence[float] | Floats, launches: Sequence[int] | Launches
) -> tuple[float, float]:
    """Return the variance of the mean that launches contribute, with its degrees of freedom.

    By default that is the allowance. Where three launches or more show a larger variance, the two are pooled
    by their degrees of freedom; where the allowance explains the observed variance in one case of ten only,
    the observed variance is used alone.
    """
    from scipy.special import fdtri  # scipy.stats takes a second to import

    count = len(set(launches))
    allowed = LAUNCH_SPREAD**2
    if count < _SEVERAL_LAUNCHES:
        return allowed / count, LAUNCH_FREEDOM
    by_launch: dict[int, list[float]] = {}
    for value, launch in zip(values, launches, strict=True):
        by_launch.setdefault(launch, []).append(float(value))
    observed, freedom = _variance([statistics.median(part) for part in by_launch.values()]), count - 1
    if observed <= allowed:
        return allowed / count, LAUNCH_FREEDOM
    if observed > allowed * float(fdtri(freedom, LAUNCH_FREEDOM, _EXPLAINED)):
        return observed / count, freedom
    pooled_freedom = LAUNCH_FREEDOM + freedom
    pooled = (LAUNCH_FREEDOM * allowed + freedom * observed) / pooled_freedom
    return pooled / count, pooled_freedom


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum([(value - mean) ** 2 for value in values]) / (len(values) - 1)
