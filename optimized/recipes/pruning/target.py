"""The sizes that pruning should reach: what to keep of each layer, and whether a model can be cut to that."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from baselines.models.shape import EncoderShape
from harness.common.errors import UsageError
from optimized.recipes.pruning.budget import Kept, best_of_all, best_of_each, count_kept

if TYPE_CHECKING:
    from optimized.recipes.pruning.importance import Importance

_ACTIVATIONS = ("gelu", "relu", "gelu_new", "silu")


@dataclass(frozen=True, slots=True)
class PruningTarget:
    """What is kept of each layer: a count (whole number) or a share (with a decimal point) of it.

    `budget` layer keeps the same count in every layer; global keeps as many in all, where they matter most,
    and at least one in each layer, with `normalise` by scores divided by their layer's Euclidean norm.
    `hidden` is what to keep of the width. `vocabulary` keeps only the word pieces that training texts use,
    special tokens and single characters. `activation` replaces the feed-forward one, as the paper puts ReLU
    for GELU. Importance is measured on at most `examples` of the training split; `seed` draws them, and holds
    out the part that scores the outcome.
    """

    heads: int | float = 1.0
    ffn: int | float = 1.0
    budget: Literal["layer", "global"] = "layer"
    normalise: bool = False
    hidden: int | float = 1.0
    vocabulary: bool = False
    activation: str | None = None
    examples: int = 2000
    seed: int = 0

    def check(self, shape: EncoderShape) -> None:
        """Raise UsageError unless an encoder of this shape can be pruned so."""
        narrows = self.narrows(shape)
        if self.budget not in ("layer", "global"):
            raise UsageError(f"prune: there is no budget {self.budget!r}.", remedy="Use layer or global.")
        if self.activation not in (None, *_ACTIVATIONS):
            raise UsageError(
                f"prune: there is no activation {self.activation!r}.",
                remedy=f"Use {', '.join(_ACTIVATIONS)}.",
            )
        if self.examples < 1:
            raise UsageError(f"prune: examples is {self.examples}.", remedy="Use 1 or more, such as 2000.")
        if not (narrows or self.vocabulary or self.activation not in (None, shape.activation)):
            raise UsageError(
                "prune: nothing would be removed.",
                remedy="Say how many heads, ffn units or hidden components to keep, such as heads: 8.",
            )

    def narrows(self, shape: EncoderShape) -> bool:
        """Say whether heads, units or components of the width are to go: importance must choose them."""
        return (*self.counts(shape), self.width(shape)) != (shape.heads, shape.ffn, shape.hidden)

    def counts(self, shape: EncoderShape) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return heads and units to keep of each layer, on average where the budget is global."""
        shared = self.budget == "global"
        return (
            count_kept("heads", self.heads, shape.heads, shared=shared),
            count_kept("ffn", self.ffn, shape.ffn, shared=shared),
        )

    def width(self, shape: EncoderShape) -> int:
        """Return how many components of the width to keep."""
        return count_kept("hidden", self.hidden, (shape.hidden,))[0]

    def choose(self, shape: EncoderShape, importance: "Importance") -> tuple[Kept, Kept]:
        """Return the heads and the units of each layer that stay, in their old order."""
        heads, units = self.counts(shape)
        if self.budget == "layer":
            return best_of_each(importance.heads, heads), best_of_each(importance.units, units)
        return (
            best_of_all(importance.heads, sum(heads), normalise=self.normalise),
            best_of_all(importance.units, sum(units), normalise=self.normalise),
        )
