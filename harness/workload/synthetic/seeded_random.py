"""Random choices that repeat for a seed on every version of Python and every platform.

Python promises to repeat only `random.Random.random()` for a seed, so every method here is built on it.
"""

import hashlib
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


class SeededRandom:
    """A random generator, seeded by the SHA-256 of its arguments (for a row: version, task, split, index)."""

    def __init__(self, *seed: object) -> None:
        digest = hashlib.sha256("/".join(map(str, seed)).encode()).digest()
        self._random = random.Random(int.from_bytes(digest[:16], "big"))  # noqa: S311 -- texts, no secrets

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self._random.random() < probability

    def below(self, bound: int) -> int:
        """Draw an integer from 0 to `bound` - 1, uniformly."""
        return int(self._random.random() * bound)

    def choice(self, items: Sequence[T]) -> T:
        """Draw one item, uniformly."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Draw `count` items without replacement (all of them, if there are fewer), in random order."""
        return self.shuffled(items)[:count]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Copy the items into random order (Fisher-Yates)."""
        shuffled = list(items)
        for last in range(len(shuffled) - 1, 0, -1):
            other = self.below(last + 1)
            shuffled[last], shuffled[other] = shuffled[other], shuffled[last]
        return shuffled

    def weighted_choice(self, weights: Sequence[tuple[T, float]]) -> T:
        """Draw one item by its weight; the weights need not sum to one."""
        remaining = self._random.random() * sum(weight for _, weight in weights)
        for item, weight in weights:
            remaining -= weight
            if remaining < 0:
                return item
        return weights[-1][0]

    def from_quantiles(self, quantiles: Sequence[int]) -> int:
        """Draw from the distribution with these evenly spaced quantiles, linear between them."""
        position = self._random.random() * (len(quantiles) - 1)
        low, high = list(pairwise(quantiles))[int(position)]
        return low + int((high - low) * (position - int(position)))
