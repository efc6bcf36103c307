"""What a recipe is: one transformation of a fine-tuned encoder into another, cached by all it depends on.

    chain of checkpoints --apply--> the next checkpoint, an artifact in the cache

A recipe is a frozen dataclass: its fields are its parameters, and together with its parents, the data and the
library versions they make the cache key. Engines and numbers of lower precision come after recipes: they are
the variants that load what a recipe made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from baselines.checkpoints.folder import fingerprint
from harness.systems.interface import Artifact, Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task


@dataclass(frozen=True, slots=True)
class RecipeOutput:
    """A checkpoint that a recipe made, and the artifact it lies in."""

    checkpoint: Checkpoint
    artifact: Artifact


class Recipe(Protocol):
    """One transformation."""

    @property
    def kind(self) -> str:
        """The recipe's name in a ladder and in manifests."""

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: PreparationSources,
        settings: Settings,
        workshop: PreparationContext,
    ) -> RecipeOutput:
        """Make the next checkpoint of the chain, or find it in the cache.

        `chain` holds the fine-tuned model that all began with, then what each recipe made of it; the last is
        what this one starts from.
        """


def made_from(artifact: Artifact, name: str, parent: Checkpoint) -> RecipeOutput:
    """Return an artifact that holds a checkpoint as the next of a chain, trained on what its parent was."""
    checkpoint = Checkpoint(
        name,
        artifact.folder,
        parent.tier,
        fingerprint(artifact.folder),
        trained=parent.trained,
        trained_on=parent.trained_on,
    )
    return RecipeOutput(checkpoint, artifact)
