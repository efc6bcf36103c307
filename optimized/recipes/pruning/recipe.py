"""Structured pruning: the heads and feed-forward units that matter least are taken out of an encoder.

    training split --part that trains--> importance --choice--> what stays --> a smaller dense checkpoint
                   --held-out part-----> selection score of the parent and of what it became

As FastFormers prunes (Kim and Hassan 2020, section 3.2), with these differences: importance is accumulated
example by example (`optimized/importance.py`), it is measured on training data and never on what is reported,
and with the activation that the pruned model will have. Beyond it: a budget over all layers, fewer components
of the width, and a smaller vocabulary. What comes out has lost quality; a second distillation brings most of
it back. This module says what is asked for; `optimized/pruning.py` does it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from baselines.artifacts import cache_key, find_or_make, library_versions
from baselines.folder import read_config
from baselines.labels import require_head
from baselines.shape import EncoderShape, shape_of
from baselines.text import check_length
from harness.errors import UsageError
from harness.system import Checkpoint, Example, Settings, Sources, Workshop
from harness.tasks.base import Task
from optimized.budget import Kept, best_of_all, best_of_each, count_kept
from optimized.recipe import Made, made_from
from optimized.vocabulary import require_wordpiece

if TYPE_CHECKING:
    from optimized.importance import Importance

_VERSION = 1
_ACTIVATIONS = ("gelu", "relu", "gelu_new", "silu")


@dataclass(frozen=True, slots=True)
class Prune:
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

    @property
    def kind(self) -> str:
        """The recipe's name in a ladder."""
        return "prune"

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: Sources,
        settings: Settings,
        workshop: Workshop,
    ) -> Made:
        """Prune the last checkpoint of the chain, or find the outcome in the cache.

        CheckpointError for a family that cannot be pruned or a head for another task; UsageError for counts
        that the model does not have, and for a task without training examples.
        """
        parent = chain[-1]
        require_head(parent.folder, task)
        config = read_config(parent.folder)
        check_length(config, settings.max_length)
        self.check(shape_of(config, parent.name))
        if self.vocabulary:
            require_wordpiece(parent.folder)
        facts = {
            **asdict(self),
            "max_length": settings.max_length,
            "data_sha256": sources.training_sha256 or _hash_of(sources.training()),
            "libraries": library_versions("torch", "transformers", "tokenizers"),
        }
        parents = [parent.fingerprint]

        def make(folder: Path) -> dict[str, Any]:
            from optimized.pruning import prune

            known = {"recipe": self.kind, "version": _VERSION, "parents": parents, "parent_name": parent.name}
            return {**known, **facts, **prune(self, task, parent, sources, settings, workshop, folder)}

        key = cache_key(self.kind, _VERSION, task, parents, **facts)
        artifact = find_or_make(workshop.cache, key, make, energy=workshop.energy)
        return made_from(artifact, f"{parent.name}-pruned", parent)

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


def _hash_of(training: Sequence[Example]) -> str:
    return hashlib.sha256(repr(list(training)).encode()).hexdigest()
