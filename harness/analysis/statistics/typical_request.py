"""What pairs of requests say: the same request, asked of both systems in one round.

    rounds --log(reference / system) of every request--> where most pairs lie, its interval, its p-value

A disturbance of a few milliseconds falls on one request, and a request that is stopped as often in both
visits still tells how the two compare; a total has all of it in. So the ratio on which most pairs agree is
known far better than a ratio of totals where other work runs. It is the ratio of the *typical request*: where
requests gain unlike, as long and short ones do without padding, it is no speed-up of the whole, and reports
show the ratio of totals.

The estimator is a redescending one (R. Welsch's weights; P. Holland and R. Welsch 1977): a mean in which a
pair counts exp(-(d / WIDTH)^2 / 2) at a distance of d, begun at the median of all pairs. Requests of one
round share what happened in it, so its error is that of rounds (the sandwich of clustered observations).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.statistics.estimates import Floats
from harness.analysis.statistics.significance import Launches, between_launches, chance, inflation

WIDTH = 0.05
"""Pairs that lie 5 % from the others count 0.6, 10 % 0.14, 20 % nothing: a disturbance is more than that."""

FEWEST_ROUNDS = 11
"""Fewer rounds may agree by chance: requests that a time slice cuts alike lie in one place."""

STEPS = 50
LEAST_CURVATURE = 0.05
"""Where fewer pairs than this (as a share) hold the peak in its place, there is none."""


@dataclass(frozen=True, slots=True)
class TypicalRatio:
    """The ratio of the typical request with its interval; `p` as `significance.p_value` has it."""

    value: float
    low: float
    high: float
    p: float


def typical(logs: Sequence[Floats], launches: Sequence[int], confidence: float) -> TypicalRatio | None:
    """Return the ratio on which most pairs agree, and how surely it is not 1.

    `logs` holds the logarithms of the pairs' ratios, float64 [requests] for each round in order of time,
    `launches` the launch of each round. None for fewer rounds than `FEWEST_ROUNDS`, or without agreement.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to load

    if len(logs) < FEWEST_ROUNDS:
        return None
    found, freedom = np.asarray(launches), len(logs) - 1
    peak, variance = density_peak(logs, found)
    if math.isinf(variance):
        return None
    reach = math.sqrt(variance) * float(stdtrit(freedom, (1 + confidence) / 2))
    between = between_launches(np.concatenate(logs), np.repeat(found, [len(each) for each in logs]))
    p = chance(peak, (variance, freedom), between)
    return TypicalRatio(math.exp(peak), math.exp(peak - reach), math.exp(peak + reach), p)


def density_peak(logs: Sequence[Floats], launches: Launches) -> tuple[float, float]:
    """Return where most pairs lie, and the variance of that; infinite where they agree nowhere.

    The variance is that which rounds show, widened where neighbours are alike, or that of so many pairs alone
    if that is more.
    """
    every = np.concatenate(logs)
    peak = float(np.median(every))
    for _ in range(STEPS):
        weights = np.exp(-0.5 * ((every - peak) / WIDTH) ** 2)
        before, peak = peak, float((weights * every).sum() / weights.sum())
        if abs(peak - before) < 1e-7:  # noqa: PLR2004 -- far below any difference that counts
            break
    away = (every - peak) / WIDTH
    curvature = float((np.exp(-0.5 * away**2) * (1 - away**2)).sum())
    if curvature < LEAST_CURVATURE * len(every):
        return peak, math.inf
    pulls = [(each - peak) * np.exp(-0.5 * ((each - peak) / WIDTH) ** 2) for each in logs]
    of_rounds = np.array([float(each.sum()) for each in pulls])
    seen = len(logs) * float(np.var(of_rounds, ddof=1)) * inflation(of_rounds, launches)
    alone = sum(float((each**2).sum()) for each in pulls)
    return peak, max(seen, alone) / curvature**2
