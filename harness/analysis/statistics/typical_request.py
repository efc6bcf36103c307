"""The ratio of the typical request, from pairs of the same request to both systems in one round.

    rounds --log(reference / system) of every request--> mode of the pairs, its interval, its p-value

A disturbance of a few milliseconds falls on one request, and a request that is interrupted equally often in
both visits still shows the ratio of the two systems; a total includes every disturbance. Under other load,
the ratio on which most pairs agree is therefore far more precise than a ratio of totals. It is the ratio of
the *typical request*: where requests gain differently, as long and short ones do without padding, it is not
the speed-up of the whole, and reports show the ratio of totals.

The estimator is a redescending M-estimator (R. Welsch's weights; P. Holland and R. Welsch 1977): a mean in
which a pair at distance d has the weight exp(-(d / WIDTH)^2 / 2), started at the median of all pairs.
Requests of one round share the conditions of that round, so the variance is estimated over rounds (the
sandwich estimator for clustered observations).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.statistics.estimates import Floats
from harness.analysis.statistics.significance import (
    Launches,
    p_value_of_mean,
    variance_between_launches,
    variance_inflation,
)

WIDTH = 0.05
"""Scale of the weights: a pair 5 % away from the mode has the weight 0.6, 10 % away 0.14, 20 % away none."""

FEWEST_ROUNDS = 11
"""With fewer rounds pairs may agree by chance: requests interrupted by one time slice have equal times."""

STEPS = 50
"""Iterations at most."""

LEAST_CURVATURE = 0.05
"""Least share of pairs that must define the mode; below it there is none."""


@dataclass(frozen=True, slots=True)
class TypicalRatio:
    """The ratio of the typical request with its interval; `p` is a p-value as in `significance.p_value`."""

    value: float
    low: float
    high: float
    p: float


def typical_ratio(logs: Sequence[Floats], launches: Sequence[int], confidence: float) -> TypicalRatio | None:
    """Return the ratio on which most pairs agree, and how surely it differs from 1.

    `logs` holds the logarithms of the ratios of pairs, float64 [requests] for each round in order of time,
    `launches` the launch of each round. None for fewer than `FEWEST_ROUNDS` rounds, or without a mode.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    if len(logs) < FEWEST_ROUNDS:
        return None
    launch_of, freedom = np.asarray(launches), len(logs) - 1
    peak, variance = density_peak(logs, launch_of)
    if math.isinf(variance):
        return None
    half_width = math.sqrt(variance) * float(stdtrit(freedom, (1 + confidence) / 2))
    of_requests = np.repeat(launch_of, [len(part) for part in logs])
    between = variance_between_launches(np.concatenate(logs), of_requests)
    p = p_value_of_mean(peak, (variance, freedom), between)
    return TypicalRatio(math.exp(peak), math.exp(peak - half_width), math.exp(peak + half_width), p)


def density_peak(logs: Sequence[Floats], launches: Launches) -> tuple[float, float]:
    """Return the mode of the pairs and its variance; the variance is infinite where there is no mode.

    The variance is estimated over rounds and widened for correlated neighbours; it is at least that of
    independent pairs.
    """
    pairs = np.concatenate(logs)
    peak = float(np.median(pairs))
    for _ in range(STEPS):
        weights = np.exp(-0.5 * ((pairs - peak) / WIDTH) ** 2)
        before, peak = peak, float((weights * pairs).sum() / weights.sum())
        if abs(peak - before) < 1e-7:  # noqa: PLR2004 -- far below any difference that matters
            break
    distances = (pairs - peak) / WIDTH
    curvature = float((np.exp(-0.5 * distances**2) * (1 - distances**2)).sum())
    if curvature < LEAST_CURVATURE * len(pairs):
        return peak, math.inf
    scores = [(part - peak) * np.exp(-0.5 * ((part - peak) / WIDTH) ** 2) for part in logs]
    of_rounds = np.array([float(part.sum()) for part in scores])
    clustered = len(logs) * float(np.var(of_rounds, ddof=1)) * variance_inflation(of_rounds, launches)
    independent = sum(float((part**2).sum()) for part in scores)
    return peak, max(clustered, independent) / curvature**2
