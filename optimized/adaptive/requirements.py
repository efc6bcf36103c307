"""The models, tasks and data that early exit and token dropping support."""

from collections.abc import Sequence

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import require_head
from baselines.models.shape import NARROW_FAMILIES
from harness.common.errors import CheckpointError, DataError, UsageError
from harness.systems.interface import Checkpoint, PreparationSources
from harness.workload.tasks.base import Head, Task
from optimized.recipes.distillation.job import KNOWN_FAMILIES

_HEADS: Sequence[Head] = ("sequence", "span")
_UNSUPPORTED = {
    "choice": "a choice among candidates",
    "span": "a task about two spans, whose tokens must be kept",
    "multi_label": "a task with any number of labels per example",
}
_CASCADE = "Use a cascade (docs/explanation/cascade.md), which takes any systems."
_REMEDIES = {"multi_label": "Leave it out: other variants answer such tasks (docs/howto/custom.md)."}


def check_single_label(technique: str, task: Task, name: str) -> None:
    """Refuse a task with any number of labels per example: confidence is that of a single label."""
    if task.head == "multi_label":
        raise UsageError(
            f"{technique} does not support {task.name}, {_UNSUPPORTED[task.head]}.",
            where=name,
            remedy=_REMEDIES[task.head],
        )


def check_model(
    technique: str, task: Task, checkpoint: Checkpoint, name: str, heads: Sequence[Head] = _HEADS
) -> None:
    """Refuse a task with an unsupported head, an unsupported family, or an untrained model."""
    if task.head not in heads:
        raise UsageError(
            f"{technique} does not support {task.name}, {_UNSUPPORTED[task.head]}.",
            where=name,
            remedy=_REMEDIES.get(task.head, _CASCADE),
        )
    family = read_config(checkpoint.folder).get("model_type")
    if family not in KNOWN_FAMILIES:
        raise CheckpointError(
            f"{technique} does not support the family {family}.",
            where=checkpoint.name,
            remedy=f"Use one of {', '.join(NARROW_FAMILIES)}, or a cascade, which takes any systems.",
        )
    require_head(checkpoint.folder, task)
    if not checkpoint.trained:
        raise CheckpointError(
            f"{technique} needs a fine-tuned model, and this one is untrained.",
            where=checkpoint.name,
            remedy=f"Fine-tune it first: `bench train --task {task.model_task}`.",
        )


def check_data(technique: str, sources: PreparationSources, name: str) -> None:
    """Refuse an empty training split, and one that is also the reported split."""
    if sources.training_sha256 and sources.training_sha256 == sources.reported_sha256:
        raise DataError(
            "the training split is the file that is reported, so nothing must be trained on it.",
            where=name,
            remedy="Report another split.",
        )
    if not sources.training():
        raise UsageError(
            f"{technique} needs training examples, and there are none.",
            where=name,
            remedy="Use data with a training split.",
        )
