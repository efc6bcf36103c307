"""The interface of recipes: a recipe transforms one fine-tuned encoder into another, with a cached result.

    chain of checkpoints --apply--> the next checkpoint, an artifact in the cache

A recipe is a frozen dataclass whose fields are its parameters. The cache key is made of the parameters, the
parents, the data and the versions of the libraries. Engines and lower precision come after all recipes: they
are variants that load the last checkpoint of the chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from baselines.checkpoints.folder import fingerprint
from harness.systems.interface import Artifact, Checkpoint, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task


@dataclass(frozen=True, slots=True)
class RecipeOutput:
    """The checkpoint that a recipe wrote, and the artifact that holds it."""

    checkpoint: Checkpoint
    artifact: Artifact


class Recipe(Protocol):
    """One transformation of a checkpoint."""

    @property
    def kind(self) -> str:
        """The recipe's name in ladders and manifests."""

    def apply(
        self,
        task: Task,
        chain: Sequence[Checkpoint],
        sources: PreparationSources,
        settings: Settings,
        context: PreparationContext,
    ) -> RecipeOutput:
        """Make the next checkpoint of the chain, or find it in the cache.

        `chain` holds the fine-tuned model, then the output of each earlier recipe. A recipe starts from the
        last checkpoint unless its parameters name another.
        """


def output_of(artifact: Artifact, name: str, parent: Checkpoint) -> RecipeOutput:
    """Return the checkpoint in `artifact`, with the tier and the training data of its parent."""
    checkpoint = Checkpoint(
        name,
        artifact.folder,
        parent.tier,
        fingerprint(artifact.folder),
        trained=parent.trained,
        trained_on=parent.trained_on,
    )
    return RecipeOutput(checkpoint, artifact)
