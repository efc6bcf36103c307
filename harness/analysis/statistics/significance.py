"""How surely two systems differ: the p-value of a paired comparison, from its ratios round by round.

If both are the same, the names of the two visits of a round are interchangeable, so the logarithm of their
ratio is symmetric around zero, whatever the noise. (Where requests were timed one by one,
`harness.analysis.statistics.typical_request`
tells more than totals of rounds do.) Neither a sign test nor sign flips can use that at the levels a family
asks for: 11 rounds give no p-value below 2 / 2^11 = 0.001, and twenty verdicts at 1 % in all ask for 0.0005.
The test is therefore Student's t on the logarithms, made to last on a real machine:

    outliers     the outer tenth of the rounds on both sides is moved in to its neighbours (J. Tukey and
                 D. McLaughlin 1963), so that one disturbed round neither makes nor hides a difference
    neighbours   rounds near in time may be disturbed alike: their correlation widens the standard error; of
                 fewer than five rounds it cannot be seen, and counts as the most that it may be
    launches     two processes of one program differ a little for as long as they live: an allowance is in
                 the standard error, joined by what three launches or more show (as G. Smyth 2004 joins a
                 prior variance with a sample's), or in its place what they show, if it hardly explains that

What this does on real machines is shown by replay: docs/method.md, "False alarms".
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
"""The share of rounds on each side that is moved in: 1 of 10, 2 of 20."""

LAUNCH_SPREAD = 0.01
"""Standard deviation of the ratio of two launches of one program, as allowed for: the upper bound of what
`python -m harness.cli.measure.null_traces --launches` prints for the committed traces, rounded up to a
percent."""

LAUNCH_FREEDOM = 113
"""Degrees of freedom of that figure: the launches that it was measured over, less one for each variant."""

_SEVERAL = 3
"""Launches whose own spread is looked at."""

_EXPLAINED = 0.9
"""Up to this quantile of F the allowance explains what launches show."""

_MOST_CORRELATED = 0.8

_FEW = 5
"""Rounds below which neighbours do not show how alike they are: a disturbance may last through them all."""


def p_value(ratios: Sequence[float] | Floats, launches: Sequence[int]) -> float:
    """Return the probability that two equal systems seem to differ at least so clearly.

    `ratios` holds one positive number per paired round, in order of time, `launches` the launch of each. 1.0
    for fewer than two rounds.
    """
    return p_values([(ratios, launches)])[0]


def p_values(many: Sequence[tuple[Sequence[float] | Floats, Sequence[int]]]) -> list[float]:
    """Return `p_value` of each (ratios, launches), in their order; the distribution is asked once for all."""
    from scipy.special import stdtr  # scipy.stats takes a second to load

    students = [
        _student(list(map(math.log, np.asarray(ratios).tolist())), launches) for ratios, launches in many
    ]
    found: list[float] = (2 * stdtr(*np.array(students).reshape(-1, 2).T)).tolist()
    return found


def _student(logs: Sequence[float], launches: Sequence[int]) -> tuple[float, float]:
    """Return degrees of freedom and Student's t, negative; a single round is no distance from 0."""
    if len(logs) < 2:  # noqa: PLR2004 -- a spread needs two
        return 1.0, 0.0
    middle, within, freedom = trimmed(logs)
    within *= inflation(logs, launches) if len(logs) >= _FEW else widened(_MOST_CORRELATED)
    between, _ = between_launches(logs, launches)
    # the allowance gains no freedom here: few rounds may be near one another by chance
    return freedom, -abs(middle) / math.sqrt(within + between)


def chance(middle: float, *parts: tuple[float, float]) -> float:
    """Return how likely a mean is so far from 0 by chance; `parts` are variances, each with its freedom.

    Freedom is that of the sum of the variances (F. Satterthwaite 1946).
    """
    from scipy.special import stdtr

    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / of for variance, of in parts)
    return float(2 * stdtr(freedom, -abs(middle) / math.sqrt(total)))


def trimmed(values: Sequence[float] | Floats) -> tuple[float, float, int]:
    """Return the trimmed mean, the variance of that mean, and its degrees of freedom."""
    ordered, count = sorted(map(float, values)), len(values)
    cut = int(TRIM * count)
    kept = ordered[cut : count - cut]
    moved = [kept[0]] * cut + kept + [kept[-1]] * cut
    variance = _variance(moved) / ((1 - 2 * cut / count) ** 2 * count)
    return math.fsum(kept) / len(kept), variance, len(kept) - 1


def inflation(values: Sequence[float] | Floats, launches: Sequence[int] | Launches) -> float:
    """Return by how much correlated neighbours raise the variance of a mean: (1 + r) / (1 - r), at least 1.

    `r` is the correlation of ranks at a distance of one round, within launches: ranks, so that one disturbed
    round does not decide it.
    """
    ranks = _ranks(values)
    pairs = [
        rank * after
        for rank, after, one, next_one in zip(ranks, ranks[1:], launches, launches[1:], strict=False)
        if one == next_one
    ]
    if not pairs or not any(ranks):
        return 1.0
    # ranks are halves of whole numbers, so their sums of products are exact
    mean_square = sum([rank * rank for rank in ranks]) / len(ranks)
    return widened(min(max(sum(pairs) / len(pairs) / mean_square, 0.0), _MOST_CORRELATED))


def widened(correlation: float) -> float:
    """Return by how much so much correlation of neighbours raises the variance of a mean of many."""
    return (1 + correlation) / (1 - correlation)


def _ranks(values: Sequence[float] | Floats) -> list[float]:
    """Return the rank of each value about their middle; equal values share their mean rank."""
    ordered, middle = sorted(values), (len(values) + 1) / 2
    rank_of = {value: rank - middle for rank, value in enumerate(ordered, 1)}
    if len(rank_of) == len(ordered):
        return [rank_of[value] for value in values]
    return [(bisect_left(ordered, each) + bisect_right(ordered, each) + 1) / 2 - middle for each in values]


def between_launches(
    values: Sequence[float] | Floats, launches: Sequence[int] | Launches
) -> tuple[float, float]:
    """Return what launches add to the variance of the mean, with its freedom.

    That is the allowance. Three launches or more that show more raise it to the mean of both, by freedom; if
    they show so much more that the allowance explains it in one case of ten only, they count alone.
    """
    from scipy.special import fdtri  # scipy.stats takes a second to load

    count = len(set(launches))
    allowed = LAUNCH_SPREAD**2
    if count < _SEVERAL:
        return allowed / count, LAUNCH_FREEDOM
    by_launch: dict[int, list[float]] = {}
    for value, launch in zip(values, launches, strict=True):
        by_launch.setdefault(launch, []).append(float(value))
    seen, freedom = _variance([statistics.median(each) for each in by_launch.values()]), count - 1
    if seen <= allowed:
        return allowed / count, LAUNCH_FREEDOM
    if seen > allowed * float(fdtri(freedom, LAUNCH_FREEDOM, _EXPLAINED)):
        return seen / count, freedom
    both = LAUNCH_FREEDOM + freedom
    return (LAUNCH_FREEDOM * allowed + freedom * seen) / both / count, both


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum([(each - mean) ** 2 for each in values]) / (len(values) - 1)
