"""How many tokens reach each layer, and what work that is: arithmetic on lengths, nothing else.

    tokens of a sequence --share kept--> layer 2 --share kept--> ... --> last layer, first token

A layer lets every token through its attention, and only those that are kept through its feed-forward block
and into the next layer. In the last one only the first token is asked, since the classifier reads no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baselines.models.shape import EncoderShape, shape_of

ALL = 100
"""Hundredths kept where nothing is dropped."""

FAMILY = (ALL, 95, 90, 85, 80, 75, 70, 60, 50, 40)
"""Hundredths of a layer's tokens that may be kept, the schedules among which one is chosen."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A model's layers with the hundredths of its tokens that each keeps; the last has no next one."""

    shape: EncoderShape
    keep: tuple[int, ...]

    def entering(self, tokens: int) -> list[int]:
        """Return how many tokens of a sequence of `tokens` enter each layer."""
        found = [tokens]
        for keep in self.keep[:-1]:
            found.append(kept(found[-1], keep))
        return found

    def mean_tokens(self, tokens: int) -> float:
        """Return the tokens that entered a layer, the mean of all layers."""
        return sum(self.entering(tokens)) / len(self.keep)

    def operations(self, tokens: int) -> int:
        """Return the operations of the layers' products, as `baselines/models/flops.py` counts them."""
        entering = [*self.entering(tokens), 1]
        last = len(self.keep) - 1
        total = 0
        for at, (heads, ffn) in enumerate(zip(self.shape.heads, self.shape.ffn, strict=True)):
            inner, here = heads * self.shape.head_size, entering[at]
            asked, passed = (1, 1) if at == last else (here, entering[at + 1])
            products = (
                self.shape.hidden * inner * (2 * here + 2 * asked) + 2 * self.shape.hidden * ffn * passed
            )
            total += 2 * products + 4 * inner * here * asked
        return total


def budget_of(config: Mapping[str, Any], after: Sequence[int], keep: int) -> Budget:
    """Return the schedule that keeps `keep` hundredths in each of the layers `after`, counted from 1."""
    shape = shape_of(config)
    return Budget(shape, tuple(keep if layer in after else ALL for layer in range(1, shape.layers + 1)))


def kept(tokens: int, keep: int) -> int:
    """Return how many of so many tokens are kept: never fewer than one."""
    return (tokens * keep + ALL - 1) // ALL
