"""Seeded choices that stay the same on every Python and every platform.

Only `random.Random.random()` is promised to repeat for a seed across versions of Python, so every choice
here is built on it, and a seed is a SHA-256 of what the row is: its version, task, split and index.
"""

import hashlib
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Choices that depend on nothing but the words the dice were made from."""

    def __init__(self, *words: object) -> None:
        digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
        self._random = random.Random(int.from_bytes(digest[:16], "big"))  # noqa: S311 -- texts, no secrets

    def chance(self, probability: float) -> bool:
        """Say yes with the given probability."""
        return self._random.random() < probability

    def below(self, bound: int) -> int:
        """Draw an integer from 0 to `bound` - 1, each as likely."""
        return int(self._random.random() * bound)

    def pick(self, items: Sequence[T]) -> T:
        """Draw one item, each as likely."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """Draw `count` different items (all of them, if there are fewer) in random order."""
        return self.shuffled(items)[:count]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Copy the items into random order (Fisher and Yates)."""
        deck = list(items)
        for last in range(len(deck) - 1, 0, -1):
            other = self.below(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return deck

    def weighted(self, weights: Sequence[tuple[T, float]]) -> T:
        """Draw one item by its share; the shares need not sum to one."""
        left = self._random.random() * sum(share for _, share in weights)
        for item, share in weights:
            left -= share
            if left < 0:
                return item
        return weights[-1][0]

    def from_quantiles(self, quantiles: Sequence[int]) -> int:
        """Draw from the distribution whose evenly spaced quantiles are given, straight lines between them."""
        place = self._random.random() * (len(quantiles) - 1)
        low, high = list(pairwise(quantiles))[int(place)]
        return low + int((high - low) * (place - int(place)))
