"""The length schedule: how many tokens reach each layer, and how many operations that takes.

    tokens of a sequence --kept share--> layer 2 --kept share--> ... --> last layer, first token

The attention of a layer reads all its tokens; only kept tokens go through its feed-forward block and into the
next layer. The last layer computes only the first token, because the classifier reads no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.models.shape import EncoderShape, shape_of

ALL = 100
"""The kept share, in hundredths, where nothing is dropped."""

FAMILY = (ALL, 95, 90, 85, 80, 75, 70, 60, 50, 40)
"""The kept shares, in hundredths, of the schedules that calibration chooses from."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A length schedule: the share of its tokens, in hundredths, that each layer of a model keeps."""

    shape: EncoderShape
    keep: tuple[int, ...]

    def entering(self, tokens: int) -> list[int]:
        """Return how many tokens of a sequence with `tokens` enter each layer."""
        counts = [tokens]
        for keep in self.keep[:-1]:
            counts.append(kept(counts[-1], keep))
        return counts

    def mean_tokens(self, tokens: int) -> float:
        """Return the tokens that enter a layer, as the mean over all layers."""
        return sum(self.entering(tokens)) / len(self.keep)

    def operations(self, tokens: int) -> int:
        """Return the operations of the layers' matrix products, counted as in `baselines/models/flops.py`."""
        entering = [*self.entering(tokens), 1]
        last = len(self.keep) - 1
        total = 0
        for index, (heads, ffn) in enumerate(zip(self.shape.heads, self.shape.ffn, strict=True)):
            inner, keys = heads * self.shape.head_size, entering[index]
            queries, passed = (1, 1) if index == last else (keys, entering[index + 1])
            products = (
                self.shape.hidden * inner * (2 * keys + 2 * queries) + 2 * self.shape.hidden * ffn * passed
            )
            total += 2 * products + 4 * inner * keys * queries
        return total


def budget_of(config: Mapping[str, Any], after: Sequence[int], keep: int) -> Budget:
    """Return the schedule that keeps `keep` hundredths in each of the layers `after`, counted from 1."""
    shape = shape_of(config)
    return Budget(shape, tuple(keep if layer in after else ALL for layer in range(1, shape.layers + 1)))


def kept(tokens: int, keep: int) -> int:
    """Return how many of `tokens` are kept, rounded up, so never fewer than one."""
    return (tokens * keep + ALL - 1) // ALL
