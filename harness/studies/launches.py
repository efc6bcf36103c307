"""The variance between launches of one program, from null tests with several launches.

    trace --typical request of each launch--> their variance, less that of noise --pooled--> allowance

Two equal processes differ a little for as long as they live (placement of memory, large pages). This
difference does not average out over the rounds of a launch; another launch has another.
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
"""Launches that the variance of a trace needs."""

LARGEST_ERROR = 0.01
"""A launch whose typical ratio has a larger standard error is left out."""

STEADY = 0.05
"""Limit of the spread of totals within a launch (a standard deviation, from quartiles): beyond it the machine
changes, between two speeds for instance, and the mode of the pairs is that change."""


@dataclass(frozen=True, slots=True)
class LaunchVariance:
    """The variance of log ratios over launches: `seen` in all, and the part `noise` that noise explains.

    `launches` counts the launches that are precise enough, `all` every launch.
    """

    variant: str
    task: str
    launches: int
    all: int
    seen: float
    noise: float

    @property
    def spread(self) -> float:
        """The standard deviation between launches; 0.0 if noise explains all of the variance."""
        return math.sqrt(max(self.seen - self.noise, 0.0))


def launch_variance(trace: Trace) -> LaunchVariance | None:
    """Return the variance over the launches of a trace; None with too few launches or rounds."""
    launches = sorted(set(trace.launch))
    logs = list(zip(logs_of(trace), trace.launch, strict=True))
    parts = [[log for log, of in logs if of == launch] for launch in launches]
    if min(map(len, parts)) < 2:  # noqa: PLR2004 -- the variance of noise needs two rounds
        return None
    wall_ns, launch_of = np.asarray(trace.wall_ns, dtype=np.float64), np.asarray(trace.launch)
    steady = [_spread(wall_ns[launch_of == launch]) <= STEADY for launch in launches]
    peaks = [density_peak(part, np.zeros(len(part), dtype=np.int64)) for part in parts]
    precise = [
        (peak, variance)
        for (peak, variance), is_steady in zip(peaks, steady, strict=True)
        if is_steady and variance <= LARGEST_ERROR**2
    ]
    if len(precise) < FEWEST:
        return None
    observed = float(np.var([peak for peak, _ in precise], ddof=1))
    noise = float(np.mean([variance for _, variance in precise]))
    return LaunchVariance(trace.variant, trace.task, len(precise), len(launches), observed, noise)


def _spread(wall_ns: Floats) -> float:
    """Return the standard deviation, from quartiles, of the log ratios of totals [rounds, 2]."""
    low, high = np.percentile(np.log(wall_ns[:, 1] / wall_ns[:, 0]), [25, 75])
    return float(high - low) / (2 * NormalDist().inv_cdf(0.75))


def pooled(variances: Sequence[LaunchVariance]) -> tuple[float, float, int]:
    """Return the pooled standard deviation between launches, its upper 95 % bound, its degrees of freedom."""
    from scipy.special import chdtri  # scipy.stats takes a second to import

    freedom = sum(variance.launches - 1 for variance in variances)
    observed = sum((variance.launches - 1) * variance.seen for variance in variances) / freedom
    noise = sum((variance.launches - 1) * variance.noise for variance in variances) / freedom
    bound = observed * freedom / float(chdtri(freedom, 0.95))
    return math.sqrt(max(observed - noise, 0.0)), math.sqrt(max(bound - noise, 0.0)), freedom
