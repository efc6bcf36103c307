"""How much two processes of one program differ for as long as they live: null tests of several launches.

    trace --typical request of each launch--> their variance, less that of noise --pool--> allowance

What one launch shows as a difference between two equal processes (where memory lies, what the kernel backs
with large pages) does not average out over its rounds; another launch shows another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from harness.analysis.statistics.estimates import Floats
from harness.analysis.statistics.typical_request import density_peak
from harness.studies.null_test import logs_of
from harness.studies.traces import Trace

FEWEST = 3
"""Launches below which a trace says nothing of them."""

TOLD = 0.01
"""A launch whose own rounds leave more than this uncertain says nothing of launches: it is left out."""

STEADY = 0.05
"""Where totals of rounds spread by more within a launch (a standard deviation, by quartiles), the machine
changes, between two speeds for instance, and most pairs agree on its change."""


@dataclass(frozen=True, slots=True)
class LaunchVariance:
    """Of so many launches: variance of the logarithms of their ratios, and what noise explains of it.

    `launches` counts those that their rounds tell well enough, `all` every one.
    """

    variant: str
    task: str
    launches: int
    all: int
    seen: float
    noise: float

    @property
    def spread(self) -> float:
        """The standard deviation between launches; 0.0 where noise explains all that is seen."""
        return math.sqrt(max(self.seen - self.noise, 0.0))


def launch_variance(trace: Trace) -> LaunchVariance | None:
    """Return what a trace shows of its launches; None if too few are told, or one has a single round."""
    launches = sorted(set(trace.launch))
    parts = [
        [log for log, of in zip(logs_of(trace), trace.launch, strict=True) if of == one] for one in launches
    ]
    if min(map(len, parts)) < 2:  # noqa: PLR2004 -- noise is seen between two rounds
        return None
    of = np.asarray(trace.launch)
    steady = [_spread(np.asarray(trace.wall_ns, dtype=np.float64)[of == one]) <= STEADY for one in launches]
    every = [density_peak(logs, np.zeros(len(logs), dtype=np.int64)) for logs in parts]
    found = [each for each, told in zip(every, steady, strict=True) if told and each[1] <= TOLD**2]
    if len(found) < FEWEST:
        return None
    seen = float(np.var([peak for peak, _ in found], ddof=1))
    noise = float(np.mean([variance for _, variance in found]))
    return LaunchVariance(trace.variant, trace.task, len(found), len(launches), seen, noise)


def _spread(wall_ns: Floats) -> float:
    """Return how far the logarithms of ratios of totals [rounds, 2] spread, by quartiles."""
    low, high = np.percentile(np.log(wall_ns[:, 1] / wall_ns[:, 0]), [25, 75])
    return float(high - low) / (2 * NormalDist().inv_cdf(0.75))


def pooled(found: Sequence[LaunchVariance]) -> tuple[float, float, int]:
    """Return the standard deviation between launches of several variants, its bound, its freedom.

    The bound is the upper one at 95 %: so much there may be that so few launches do not show.
    """
    from scipy.special import chdtri  # scipy.stats takes a second to load

    freedom = sum(each.launches - 1 for each in found)
    seen, noise = (
        sum((each.launches - 1) * part for each, part in zip(found, parts, strict=True)) / freedom
        for parts in ([each.seen for each in found], [each.noise for each in found])
    )
    most = seen * freedom / float(chdtri(freedom, 0.95))
    return math.sqrt(max(seen - noise, 0.0)), math.sqrt(max(most - noise, 0.0)), freedom
