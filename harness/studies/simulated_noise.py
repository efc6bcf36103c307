"""Coverage of the variance model's intervals on simulated rounds, whose true value is known.

    kind of noise, shape --draws--> locations --> how many intervals hold the true value, and their width

Real noise is replayed by `harness.studies.null_test`. Here the assumptions are broken one at a time: heavy
tails, neighbours that are alike, launches that differ.
"""

import math
from dataclasses import dataclass

import numpy as np

from harness.analysis.statistics.estimates import CONFIDENCE
from harness.analysis.statistics.variance.model import Floats, KnownVariance, locations
from harness.studies.null_test import Count, Shape


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of rounds, in units of its standard deviation.

    `freedom` is that of Student's t (0: normal), `correlation` that of neighbours, `launches` the standard
    deviation between launches, known with `known` degrees of freedom.
    """

    name: str
    freedom: float = 0.0
    correlation: float = 0.0
    launches: float = 0.0
    known: float = 16.0


KINDS = (
    Noise("normal"),
    Noise("heavy tails (Student's t, 3 degrees of freedom)", freedom=3),
    Noise("neighbours alike, correlation 0.5", correlation=0.5),
    Noise("neighbours alike, correlation 0.8", correlation=0.8),
    Noise("launches differ by 0.3 of a round", launches=0.3),
    Noise("launches differ by as much as rounds", launches=1.0),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many intervals hold the true value; `width` is their median over the width that is needed."""

    noise: Noise
    shape: Shape
    covered: Count
    width: float


def coverage(noise: Noise, shape: Shape, draws: int, seed: int = 0) -> Coverage:
    """Draw series of one shape and count the intervals that hold the true value, 0."""
    random = np.random.default_rng(seed)
    known = KnownVariance(noise.launches**2, noise.known) if noise.launches else None
    values = np.concatenate(
        [_launch(noise, shape.rounds, draws, random) for _ in range(shape.launches)], axis=1
    )
    launches = np.repeat(range(shape.launches), shape.rounds).tolist()
    estimates = locations([(row, launches, known) for row in values])
    centers = np.array([each.value for each in estimates])
    reach = np.array([each.half_width(CONFIDENCE) for each in estimates])
    needed = float(np.quantile(np.abs(centers), CONFIDENCE))
    hits = int((np.abs(centers) <= reach).sum())
    return Coverage(noise, shape, Count(hits, draws), float(np.median(reach)) / needed)


def _launch(noise: Noise, rounds: int, draws: int, random: np.random.Generator) -> Floats:
    """Return the rounds of one launch, [draws, rounds]."""
    size = (draws, rounds)
    steps = random.standard_t(noise.freedom, size) if noise.freedom else random.standard_normal(size)
    values = steps.copy()
    for at in range(1, rounds):
        values[:, at] = (
            noise.correlation * values[:, at - 1] + math.sqrt(1 - noise.correlation**2) * steps[:, at]
        )
    return values + noise.launches * random.standard_normal((draws, 1))
