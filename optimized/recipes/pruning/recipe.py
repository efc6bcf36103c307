"""Structured pruning: the heads and feed-forward units that matter least are taken out of an encoder.

    training split --part that trains--> importance --choice--> what stays --> a smaller dense checkpoint
                   --held-out part-----> selection score of the parent and of what it became

As FastFormers prunes (Kim and Hassan 2020, section 3.2), with these differences: importance is accumulated
example by example (`optimized/recipes/pruning/importance.py`), it is measured on training data and never on
what is reported,
and with the activation that the pruned model will have. Beyond it: a budget over all layers, fewer components
of the width, and a smaller vocabulary. What comes out has lost quality; a second distillation brings most of
it back. This module says what is asked for; `optimized/recipes/pruning/prune.py` does it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions
from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import require_head
from baselines.encoding.tokenizer import check_length
from baselines.models.shape import shape_of
from harness.systems.interface import Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.recipes.base import RecipeOutput, made_from
from optimized.recipes.pruning.target import PruningTarget
from optimized.recipes.pruning.vocabulary import require_wordpiece

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Prune(PruningTarget):
    """Structured pruning as a recipe: its parameters are the sizes to reach."""

    @property
    def kind(self) -> str:
        """The recipe's name in a ladder."""
        return "prune"

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: PreparationSources,
        settings: Settings,
        workshop: PreparationContext,
    ) -> RecipeOutput:
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
            from optimized.recipes.pruning.prune import prune

            known = {"recipe": self.kind, "version": _VERSION, "parents": parents, "parent_name": parent.name}
            return {**known, **facts, **prune(self, task, parent, sources, settings, workshop, folder)}

        key = cache_key(self.kind, _VERSION, task, parents, **facts)
        artifact = find_or_make(workshop.cache, key, make, energy=workshop.energy)
        return made_from(artifact, f"{parent.name}-pruned", parent)


def _hash_of(training: Sequence[Example]) -> str:
    return hashlib.sha256(repr(list(training)).encode()).hexdigest()
