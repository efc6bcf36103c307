"""Structured pruning: the heads and feed-forward units of lowest importance are removed from an encoder.

    training split --training part--> importance --selection--> kept heads, units --> smaller checkpoint
                   --held-out part--> selection score of the parent and of the pruned checkpoint

As in FastFormers (Kim and Hassan 2020, section 3.2), with these differences: importance is accumulated
example by example (`optimized/recipes/pruning/importance.py`), it is measured on training data and never on
the reported split, and with the activation of the pruned model. Additions: a global budget over all layers,
fewer components of the width, and a smaller vocabulary. Pruning costs quality; a second distillation recovers
most of it. `optimized/recipes/pruning/prune.py` does the work; this module has the parameters and the cache.
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
from baselines.models.families import facts_of
from baselines.models.shape import shape_of
from harness.common.errors import reason_of
from harness.common.json_types import JsonObject
from harness.systems.interface import Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.recipes.base import RecipeOutput, output_of
from optimized.recipes.pruning.target import PruningTarget
from optimized.recipes.pruning.vocabulary import require_wordpiece

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Prune(PruningTarget):
    """Structured pruning as a recipe; its parameters are the target sizes."""

    @property
    def kind(self) -> str:
        """The recipe's name in a ladder."""
        return "prune"

    def unsupported(self, task: Task, config: JsonObject) -> str | None:
        """Return what pruning lacks for the encoder of a checkpoint."""
        del task
        return reason_of(lambda: self._check(config, "config.json"))

    def _check(self, config: JsonObject, where: str) -> None:
        shape = shape_of(config, where, "pruning")
        self.check(shape)
        self.check_facts(facts_of(config, where, "pruning"), shape, where)

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: PreparationSources,
        settings: Settings,
        context: PreparationContext,
    ) -> RecipeOutput:
        """Prune the last checkpoint of the chain, or find the result in the cache.

        CheckpointError for a family that cannot be pruned or a head for another task; UsageError for target
        sizes that the model cannot reach, and for a task without training examples.
        """
        parent = chain[-1]
        require_head(parent.folder, task)
        config = read_config(parent.folder)
        check_length(config, settings.max_length)
        self._check(config, parent.name)
        if self.vocabulary:
            require_wordpiece(parent.folder)
        facts = {
            **asdict(self),
            "max_length": settings.max_length,
            "data_sha256": sources.training_sha256 or _sha256_of(sources.training()),
            "libraries": library_versions("torch", "transformers", "tokenizers"),
        }
        parents = [parent.fingerprint]

        def make(folder: Path) -> dict[str, Any]:
            from optimized.recipes.pruning.prune import prune

            outcome = prune(self, task, parent, sources, settings, context, folder)
            origin = {
                "recipe": self.kind,
                "version": _VERSION,
                "parents": parents,
                "parent_name": parent.name,
            }
            return {**origin, **facts, **outcome}

        key = cache_key(self.kind, _VERSION, task, parents, **facts)
        artifact = find_or_make(context.cache, key, make, energy=context.energy)
        return output_of(artifact, f"{parent.name}-pruned", parent)


def _sha256_of(training: Sequence[Example]) -> str:
    return hashlib.sha256(repr(list(training)).encode()).hexdigest()
