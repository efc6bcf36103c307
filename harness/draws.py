"""The draws of a bootstrap over rounds, which depend on the number of rounds and the seed alone.

What is left to do for each interval is little, so that thousands of them share the draws: with an odd number
of rounds in one launch, an end of the interval lies between two ranks that never change.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
"""Draws of every interval over rounds."""


def ends_of(ordered: Sequence[float], seed: int, shares: tuple[float, float]) -> tuple[float, float]:
    """Return two quantiles of the medians of resamples of these sorted values, as numpy interpolates them."""
    if len(ordered) % 2:
        low, high = (_between(ordered, *_ranks(len(ordered), seed, share)) for share in shares)
        return low, high
    medians = sorted(
        ((ordered[lower] + ordered[upper]) / 2, times)
        for lower, upper, times in _drawn_middles(len(ordered), seed)
    )
    edges = list(accumulate(times for _, times in medians))
    low, high = (_between([each for each, _ in medians], *_place(edges, share)) for share in shares)
    return low, high


def medians_of(parts: Sequence[npt.NDArray[np.float64]], seed: int) -> npt.NDArray[np.float64]:
    """Return medians of resamples: launches are drawn, then rounds within each. Every launch weighs the same.

    `parts` holds the values of each launch. How often a resample holds the first, second, ... value of a
    launch is drawn once for launches of these lengths; its median is where these counts, added up in the
    order of the values, reach half.
    """
    values = np.concatenate(parts)
    order = np.argsort(values, kind="stable")
    counts = _drawn_counts(tuple(map(len, parts)), seed)
    reached = np.cumsum(counts[order], axis=0, dtype=counts.dtype)
    size = int(reached[-1, 0])
    lower, upper = (
        (reached <= rank).sum(axis=0, dtype=counts.dtype) for rank in ((size - 1) // 2, size // 2)
    )
    ordered = values[order]
    medians: npt.NDArray[np.float64] = (ordered[lower] + ordered[upper]) / 2
    return medians


def _between(values: Sequence[float], below: int, above: int, part: float) -> float:
    return values[below] + (values[above] - values[below]) * part


@lru_cache(maxsize=256)
def _ranks(count: int, seed: int, share: float) -> tuple[int, int, float]:
    """Return between which ranks of an odd number of values a quantile of the medians lies, and where."""
    middles = _drawn_middles(count, seed)
    below, above, part = _place(list(accumulate(times for _, _, times in middles)), share)
    return middles[below][0], middles[above][0], part


def _place(edges: Sequence[int], share: float) -> tuple[int, int, float]:
    """Return between which of some values, added up to `edges`, a quantile lies, and how far along."""
    place = share * (edges[-1] - 1)
    below, above = (bisect_right(edges, end) for end in (math.floor(place), math.ceil(place)))
    return below, above, place % 1


@lru_cache(maxsize=64)
def _drawn_middles(count: int, seed: int) -> tuple[tuple[int, int, int], ...]:
    """Return the two ranks whose mean is a resample's median, and how often: each pair of ranks once."""
    places = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    places.sort(axis=1)
    pairs, times = np.unique(places[:, [(count - 1) // 2, count // 2]], axis=0, return_counts=True)
    return tuple(
        (int(lower), int(upper), int(often)) for (lower, upper), often in zip(pairs, times, strict=True)
    )


@lru_cache(maxsize=8)
def _drawn_counts(lengths: tuple[int, ...], seed: int) -> npt.NDArray[Any]:
    """Return how often each value, launch by launch, is in each resample: [values, RESAMPLES]."""
    random = np.random.default_rng(seed)
    launches, width = len(lengths), max(lengths)
    drawn = random.integers(launches, size=(RESAMPLES, launches, 1))
    places = (random.random((RESAMPLES, launches, width)) * np.array(lengths)[drawn]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    at = (starts[drawn] + places).reshape(RESAMPLES, -1)
    total = sum(lengths)
    flat = np.bincount((at + total * np.arange(RESAMPLES)[:, None]).ravel(), minlength=total * RESAMPLES)
    small = np.uint8 if launches * width <= np.iinfo(np.uint8).max else np.uint32
    return np.ascontiguousarray(flat.reshape(RESAMPLES, total).T.astype(small))
