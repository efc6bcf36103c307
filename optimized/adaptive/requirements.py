"""Which models, tasks and data can be made adaptive: what early exit and token reduction refuse alike."""

from collections.abc import Sequence

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import require_head
from baselines.models.shape import NARROW_FAMILIES
from harness.common.errors import CheckpointError, DataError, UsageError
from harness.systems.interface import Checkpoint, PreparationSources
from harness.workload.tasks.base import Head, Task
from optimized.recipes.distillation.job import KNOWN_FAMILIES

_HEADS: Sequence[Head] = ("sequence", "span")
_ASKS = {"choice": "a choice among candidates", "span": "asked of two spans, whose tokens must stay"}


def check_model(
    what: str, task: Task, checkpoint: Checkpoint, name: str, heads: Sequence[Head] = _HEADS
) -> None:
    """Refuse, for the recipe `what`, a task of another head, an unknown family, an untrained model."""
    if task.head not in heads:
        raise UsageError(
            f"{task.name} is {_ASKS[task.head]}, which {what} does not do.",
            where=name,
            remedy="Use a cascade (docs/cascade.md): it takes any system.",
        )
    family = read_config(checkpoint.folder).get("model_type")
    if family not in KNOWN_FAMILIES:
        raise CheckpointError(
            f"{what} does not know the layers of the family {family}.",
            where=checkpoint.name,
            remedy=f"It knows {', '.join(NARROW_FAMILIES)}; a cascade takes any.",
        )
    require_head(checkpoint.folder, task)
    if not checkpoint.trained:
        raise CheckpointError(
            f"an untrained model knows nothing: what {what} would spend on it means nothing.",
            where=checkpoint.name,
            remedy=f"Fine-tune it first: `bench train --task {task.model_task}`.",
        )


def check_data(what: str, sources: PreparationSources, name: str) -> None:
    """Refuse a training split that is not there, or that is what is reported."""
    if sources.training_sha256 and sources.training_sha256 == sources.reported_sha256:
        raise DataError(
            "the training split is the file that is reported, and must not be learned from.",
            where=name,
            remedy="Report another split.",
        )
    if not sources.training():
        raise UsageError(
            f"{what} learns from training examples, and there are none.",
            where=name,
            remedy="Use data with a training split.",
        )
