"""The ratio of the typical request, from pairs of the same request to both systems in one round.

    rounds --log(reference / system) of every request--> mode of the pairs --by round--> Location

A disturbance of a few milliseconds falls on one request, and a request that is interrupted equally often in
both visits still shows the ratio of the two systems; a total includes every disturbance. Under other load,
the ratio on which most pairs agree is therefore far more precise than a ratio of totals. It is the ratio of
the *typical request*: where requests gain differently, as long and short ones do without padding, it is not
the speed-up of the whole, and reports show the ratio of totals.

The estimator is a redescending M-estimator (R. Welsch's weights; P. Holland and R. Welsch 1977): a mean in
which a pair at distance d has the weight exp(-(d / WIDTH)^2 / 2), started at the median of all pairs.
Requests of one round share its conditions, so the variance is that of the rounds' influences, by the same
model as that of totals.
"""

from collections.abc import Sequence

import numpy as np

from harness.analysis.statistics.variance.model import Floats, KnownVariance, Location, locations

WIDTH = 0.05
"""Scale of the weights: a pair 5 % away from the mode has the weight 0.6, 10 % away 0.14, 20 % away none."""

FEWEST_ROUNDS = 11
"""With fewer rounds pairs may agree by chance: requests interrupted by one time slice have equal times."""

STEPS = 50
"""Iterations at most."""

LEAST_CURVATURE = 0.05
"""Least share of pairs that must define the mode; below it there is none."""


RequestSeries = tuple[Sequence[Floats], Sequence[int], KnownVariance | None]
"""Logarithms of the ratios of pairs, float64 [requests] for each round; launches; what is known of them."""


def typical_locations(series: Sequence[RequestSeries]) -> list[Location | None]:
    """Return the location on which most pairs of each series agree.

    None for fewer than `FEWEST_ROUNDS` rounds, or without a mode.
    """
    influences = [influence_of_rounds(logs) if logs else None for logs, *_ in series]
    usable = [
        (values, launches, known)
        for values, (_, launches, known) in zip(influences, series, strict=True)
        if values is not None and len(values) >= FEWEST_ROUNDS
    ]
    by_influence = iter(locations(usable, trim=0.0))
    return [
        None if values is None or len(values) < FEWEST_ROUNDS else next(by_influence) for values in influences
    ]


def influence_of_rounds(logs: Sequence[Floats]) -> Floats | None:
    """Return for each round the mode of all pairs, moved by what that round adds to it; None without a mode.

    Their mean is the mode, and their variance that of the estimator (its sandwich estimate).
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
        return None
    scores = [float(((part - peak) * np.exp(-0.5 * ((part - peak) / WIDTH) ** 2)).sum()) for part in logs]
    return peak + np.array(scores) * len(logs) / curvature
