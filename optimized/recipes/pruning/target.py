"""The target sizes of pruning: what to keep of each layer, checked against the shape of a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from baselines.models.families.facts import EncoderFacts
from baselines.models.shape import EncoderShape
from harness.common.errors import UnsupportedError, UsageError
from optimized.recipes.pruning.budget import Kept, Scores, best_of_all, best_of_each, count_kept

if TYPE_CHECKING:
    from optimized.recipes.pruning.importance import Importance

_ACTIVATIONS = ("gelu", "relu", "gelu_new", "silu")


@dataclass(frozen=True, slots=True)
class PruningTarget:
    """How many heads and feed-forward units each layer keeps: a count (integer) or a share (float).

    With `budget` "layer", every layer keeps the same count. With "global", the same total is kept where
    importance is highest, at least one in each layer; `normalise` divides scores by the Euclidean norm of
    their layer. `hidden` is the count or share of the width to keep. `vocabulary` keeps only special tokens,
    single characters and the word pieces that training texts use. `activation` replaces that of the
    feed-forward block, as the paper replaces GELU by ReLU. Importance is measured on at most `examples` of
    the training split; `seed` draws them and holds out the part that scores the result.
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
        """Raise UsageError unless an encoder of this shape can be pruned to these sizes."""
        narrows = self.narrows(shape)
        if self.budget not in ("layer", "global"):
            raise UsageError(
                f"prune: expected the budget layer or global, got {self.budget!r}.",
                remedy="Use budget: layer.",
            )
        if self.activation not in (None, *_ACTIVATIONS):
            raise UsageError(
                f"prune: unknown activation {self.activation!r}.",
                remedy=f"Use one of {', '.join(_ACTIVATIONS)}.",
            )
        if self.examples < 1:
            raise UsageError(
                f"prune: examples must be 1 or more, got {self.examples}.", remedy="Use 2000, say."
            )
        if not (narrows or self.vocabulary or self.activation not in (None, shape.activation)):
            raise UsageError(
                "prune: nothing would be removed.",
                remedy="Set how many heads, ffn units or hidden components to keep, such as heads: 8.",
            )

    def check_facts(self, facts: EncoderFacts, shape: EncoderShape, where: str) -> None:
        """Raise CheckpointError that names the first fact about the encoder that pruning does not support."""
        reason = next(self._unsupported(facts, shape), None)
        if reason:
            raise UnsupportedError(
                f"pruning has no {reason}.",
                where=where,
                remedy="Leave it out of prune, or use another model.",
            )

    def _unsupported(self, facts: EncoderFacts, shape: EncoderShape) -> Iterator[str]:
        heads, _ = self.counts(shape)
        if len(set(facts.shared_with)) > 1 and facts.shared_layers:
            yield "several groups of layers with shared weights"
        if heads != shape.heads and facts.grouped_keys:
            yield "heads that share keys and values with others"
        if heads != shape.heads and facts.heads_divide_width and shape.hidden % max(heads):
            yield f"{max(heads)} heads in {facts.family}, whose heads must divide its width of {shape.hidden}"
        if self.width(shape) != shape.hidden and facts.convolution and facts.convolution.groups > 1:
            yield "width other than the whole beside a convolution in groups"

    def narrows(self, shape: EncoderShape) -> bool:
        """Return whether heads, units or components of the width are removed, which needs importance."""
        return (*self.counts(shape), self.width(shape)) != (shape.heads, shape.ffn, shape.hidden)

    def counts(self, shape: EncoderShape) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return how many heads and units each layer keeps; with a global budget, the mean of all layers."""
        shared = self.budget == "global"
        return (
            count_kept("heads", self.heads, shape.heads, shared=shared),
            count_kept("ffn", self.ffn, shape.ffn, shared=shared),
        )

    def width(self, shape: EncoderShape) -> int:
        """Return how many components of the width to keep."""
        return count_kept("hidden", self.hidden, (shape.hidden,))[0]

    def choose(
        self, shape: EncoderShape, importance: "Importance", facts: EncoderFacts | None = None
    ) -> tuple[Kept, Kept]:
        """Return the indices of the heads and units that each layer keeps, ascending.

        Layers that share heads or units keep the same, those of the highest importance in all of them.
        """
        heads, units = self.counts(shape)
        own = tuple(range(shape.layers))
        return (
            self._best(importance.heads, heads, facts.shared_heads if facts else own),
            self._best(importance.units, units, facts.shared_with if facts else own),
        )

    def _best(self, scores: Scores, counts: Sequence[int], shared: Sequence[int]) -> Kept:
        """Return the best of each layer; layers with the same number in `shared` are scored together."""
        members = [
            [layer for layer, owner in enumerate(shared) if owner == number] for number in sorted(set(shared))
        ]
        sums = [[sum(column) for column in zip(*(scores[layer] for layer in layers), strict=True)]
                for layers in members]  # fmt: skip
        if self.budget == "layer":
            kept = best_of_each(sums, [counts[layers[0]] for layers in members])
        else:
            budget = round(sum(counts) * len(members) / len(counts))
            kept = best_of_all(sums, budget, normalise=self.normalise)
        return [kept[number] for number in shared]
