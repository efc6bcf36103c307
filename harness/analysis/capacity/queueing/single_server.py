"""The exact latency of one server with Poisson arrivals, M/G/1, from its service times.

Pollaczek and Khinchine: the wait is a sum of residual service times, whose number is geometric with ratio
`utilisation`. Transforms on a lattice turn that sum into one division (Feller 1971, An Introduction to
Probability Theory and Its Applications II, XII.5; Kleinrock 1975, Queueing Systems I, 5.7). No random
numbers are drawn, so the only error is that of the lattice, below a hundredth of a mean service time.
"""

import math
from dataclasses import dataclass

import numpy as np

from harness.analysis.capacity.queueing.waiting import Seconds

_STEPS = 128
"""Points of the lattice in a mean service time."""

_WAITS = 40
"""Mean waits of those who wait that the lattice covers: e^-40 of the waits are longer."""

_MOST_POINTS = 2**22
"""The lattice is coarser where single times are thousands of times as long as the mean."""


@dataclass(frozen=True, slots=True, eq=False)
class LatencyDistribution:
    """Shares of requests that are answered within 0, 1, 2, ... steps of so many seconds."""

    step: float
    shares: Seconds

    def quantiles(self, shares: Seconds) -> Seconds:
        """Return the latencies below which these shares of the requests lie."""
        places: Seconds = np.searchsorted(self.shares, shares * self.shares[-1]).astype(np.float64)
        return places * self.step


def single_server_latency(service: Seconds, rate: float) -> LatencyDistribution:
    """Return wait plus service of Poisson arrivals; the server must be free for some of the time."""
    mean, busy = float(service.mean()), rate * float(service.mean())
    residual = float((service**2).mean()) / (2 * mean)
    longest = 2 * float(service.max()) + _WAITS * residual / (1 - busy)
    step = max(mean / _STEPS, longest / (_MOST_POINTS - 2))
    points = 2 ** math.ceil(math.log2(longest / step + 2))
    transform = np.fft.rfft(_on_lattice(service / step, points))
    residuals = np.fft.rfft(_residuals(service, step, points))
    latency = np.fft.irfft((1 - busy) / (1 - busy * residuals) * transform, points)
    return LatencyDistribution(step, np.cumsum(np.maximum(latency, 0.0)))


def _on_lattice(places: Seconds, points: int) -> Seconds:
    """Return the share at each point; a value between two points is divided so that the mean is kept."""
    below = np.minimum(places.astype(np.int64), points - 2)
    above = places - below
    shares = np.bincount(below, 1 - above, points) + np.bincount(below + 1, above, points)
    on_lattice: Seconds = shares / len(places)
    return on_lattice


def _residuals(service: Seconds, step: float, points: int) -> Seconds:
    """Return the share of residuals R near each point: P(R <= t) = E[min(S, t)] / E[S] of service times S."""
    ordered = np.sort(service)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    moments = step * np.arange(points + 1)
    shorter = np.searchsorted(ordered, moments)
    within = (sums[shorter] + moments * (len(ordered) - shorter)) / sums[-1]
    cells = np.diff(within)
    shares: Seconds = (cells + np.concatenate([[0.0], cells[:-1]])) / 2
    return shares
