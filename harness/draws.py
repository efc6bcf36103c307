"""The draws of a bootstrap over the rounds of one launch: which ranks are a resample's median, and how often.

They depend on the number of rounds and the seed alone, so that thousands of intervals share them.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

RESAMPLES = 10_000
"""Draws of every interval over rounds."""


@lru_cache(maxsize=64)
def drawn_middles(count: int, seed: int) -> tuple[tuple[int, int, int], ...]:
    """Return the two ranks whose mean is a resample's median, and how often: each pair of ranks once."""
    places = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    places.sort(axis=1)
    pairs, times = np.unique(places[:, [(count - 1) // 2, count // 2]], axis=0, return_counts=True)
    return tuple(
        (int(lower), int(upper), int(often)) for (lower, upper), often in zip(pairs, times, strict=True)
    )


def quantile(values: Sequence[tuple[float, int]], edges: Sequence[int], share: float) -> float:
    """Return a quantile of sorted values, each drawn so often, as numpy interpolates it of all draws."""
    place = share * (edges[-1] - 1)
    below, above = (values[bisect_right(edges, end)][0] for end in (math.floor(place), math.ceil(place)))
    return below + (above - below) * (place % 1)
