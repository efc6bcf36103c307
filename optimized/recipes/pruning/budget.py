"""How many heads and units to keep, and which: checked counts and shares, and the selection by score."""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from harness.common.errors import UsageError

Scores = Sequence[Sequence[float]]
"""One score for each head, or unit, of each layer."""

Kept = list[list[int]]
"""The indices that each layer keeps, ascending."""


def count_kept(name: str, keep: float, sizes: Sequence[int], *, shared: bool = False) -> tuple[int, ...]:
    """Return how many elements each layer keeps: an integer `keep` is a count, a float a share.

    UsageError unless the count is from 1 to the size of every layer. With `shared` it may exceed the size of
    a layer, but its total not the total size.
    """
    is_number = isinstance(keep, int | float) and not isinstance(keep, bool) and isfinite(keep)
    is_share = isinstance(keep, float)
    counts = tuple(int(keep * size + 0.5) if is_share else int(keep) for size in sizes if is_number)
    fits = sum(counts) <= sum(sizes) if shared else all(map(int.__le__, counts, sizes))
    if counts and min(counts) > 0 and fits and not (is_share and keep > 1):
        return counts
    low, high = min(sizes), max(sizes)
    size = f"{low}" if low == high else f"{low} to {high}"
    largest = sum(sizes) // len(sizes) if shared else low
    raise UsageError(
        f"prune: {name} cannot be {keep!r}, with {size} in each layer.",
        remedy=f"Use a count of 1 to {largest}, or a share with a decimal point, above 0.0 and at most 1.0.",
    )


def best_of_each(scores: Scores, counts: Sequence[int]) -> Kept:
    """Return the best of each layer, as many as its count."""
    return [best(layer, count) for layer, count in zip(scores, counts, strict=True)]


def best_of_all(scores: Scores, budget: int, *, normalise: bool) -> Kept:
    """Return the best of each layer, then the best of all others, `budget` in total.

    With `normalise`, the scores of each layer are divided by their Euclidean norm.
    """
    norms = [float(np.linalg.norm(layer)) if normalise else 1.0 for layer in scores]
    places = [(layer, index) for layer, row in enumerate(scores) for index in range(len(row))]
    flat = [scores[layer][index] / (norms[layer] or 1.0) for layer, index in places]
    first = {(layer, best(row, 1)[0]) for layer, row in enumerate(scores)}
    others = [places[rank] for rank in _ranking(flat) if places[rank] not in first]
    kept = first.union(others[: budget - len(first)])
    return [sorted(index for layer, index in kept if layer == number) for number in range(len(scores))]


def best(scores: Sequence[float], count: int) -> list[int]:
    """Return the indices of the `count` largest scores, ascending; of equal scores the first."""
    return sorted(_ranking(scores)[:count])


def _ranking(scores: Sequence[float]) -> list[int]:
    return [int(index) for index in np.argsort(-np.asarray(scores), kind="stable")]
