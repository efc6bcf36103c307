"""How many heads and units stay, and which: counts and shares checked, and the best chosen."""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from harness.common.errors import UsageError

Scores = Sequence[Sequence[float]]
"""One score for each head, or unit, of each layer."""

Kept = list[list[int]]
"""Which of each layer stay, ascending."""


def count_kept(name: str, asked: float, there: Sequence[int], *, shared: bool = False) -> tuple[int, ...]:
    """Return how many to keep of what each layer has: a whole number is a count, another a share.

    UsageError if that is none, or more than there are; `shared` counts may exceed a layer's, but not the sum.
    """
    number = isinstance(asked, int | float) and not isinstance(asked, bool) and isfinite(asked)
    share = isinstance(asked, float)
    counts = tuple(int(asked * each + 0.5) if share else int(asked) for each in there if number)
    fits = sum(counts) <= sum(there) if shared else all(map(int.__le__, counts, there))
    if counts and min(counts) > 0 and fits and not (share and asked > 1):
        return counts
    most = sum(there) // len(there) if shared else min(there)
    raise UsageError(
        f"prune: {name} {asked!r} is not what can be kept of {_written(there)}.",
        remedy=f"Use a count of 1 to {most}, or a share with a decimal point, above 0.0 and at most 1.0.",
    )


def best_of_each(scores: Scores, counts: Sequence[int]) -> Kept:
    """Return the best of each layer, as many as are asked of it."""
    return [best(layer, count) for layer, count in zip(scores, counts, strict=True)]


def best_of_all(scores: Scores, budget: int, *, normalise: bool) -> Kept:
    """Return the best of each layer, and of all others the best of all up to the budget.

    With `normalise` a layer's scores count as shares of their Euclidean norm.
    """
    norms = [float(np.linalg.norm(layer)) if normalise else 1.0 for layer in scores]
    places = [(layer, at) for layer, row in enumerate(scores) for at in range(len(row))]
    flat = [scores[layer][at] / (norms[layer] or 1.0) for layer, at in places]
    first = {(layer, best(row, 1)[0]) for layer, row in enumerate(scores)}
    others = [places[at] for at in _ranking(flat) if places[at] not in first]
    kept = first.union(others[: budget - len(first)])
    return [sorted(at for layer, at in kept if layer == mine) for mine in range(len(scores))]


def best(scores: Sequence[float], count: int) -> list[int]:
    """Return the places of the `count` largest scores, ascending; of equal ones the first."""
    return sorted(_ranking(scores)[:count])


def _ranking(scores: Sequence[float]) -> list[int]:
    return [int(at) for at in np.argsort(-np.asarray(scores), kind="stable")]


def _written(there: Sequence[int]) -> str:
    low, high = min(there), max(there)
    return f"{low}" if low == high else f"{low} to {high}"
