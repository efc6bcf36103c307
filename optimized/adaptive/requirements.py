"""The models, tasks and data that early exit and token dropping support."""

from collections.abc import Callable, Iterator, Sequence

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import require_head
from baselines.models.families import require_facts
from baselines.models.families.facts import EncoderFacts
from harness.common.errors import CheckpointError, DataError, UsageError
from harness.systems.interface import Checkpoint, PreparationSources
from harness.workload.tasks.base import Head, Task

_HEADS: Sequence[Head] = ("sequence", "span")
_UNSUPPORTED = {
    "choice": "a choice among candidates",
    "span": "a task about two spans, whose tokens must be kept",
    "multi_label": "a task with any number of labels per example",
}
CASCADE = "Use a cascade (docs/explanation/cascade.md), which takes any systems."
_POSITIONS = {
    "rotary": "rotary positions",
    "relative-bias": "relative position bias",
    "disentangled": "disentangled attention",
}
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
    technique: str,
    task: Task,
    checkpoint: Checkpoint,
    name: str,
    missing: Callable[[EncoderFacts], Iterator[str]],
    heads: Sequence[Head] = _HEADS,
) -> None:
    """Refuse a task with an unsupported head, an unsupported encoder, or an untrained model.

    `missing` yields what the technique lacks for an encoder with these facts.
    """
    if task.head not in heads:
        raise UsageError(
            f"{technique} does not support {task.name}, {_UNSUPPORTED[task.head]}.",
            where=name,
            remedy=_REMEDIES.get(task.head, CASCADE),
        )
    require_facts(technique, read_config(checkpoint.folder), checkpoint.name, missing, CASCADE)
    require_head(checkpoint.folder, task)
    if not checkpoint.trained:
        raise CheckpointError(
            f"{technique} needs a fine-tuned model, and this one is untrained.",
            where=checkpoint.name,
            remedy=f"Fine-tune it first: `bench train --task {task.model_task}`.",
        )


def missing_in_exits(facts: EncoderFacts) -> Iterator[str]:
    """Yield what early exit lacks for an encoder."""
    if facts.shared_layers and len(set(facts.shared_with)) > 1:
        yield "several groups of layers with shared weights"
    if facts.head.pooling == "mean-logits":
        yield "head that takes the mean of all tokens' logits"


def missing_in_dropping(facts: EncoderFacts) -> Iterator[str]:
    """Yield what token dropping lacks for an encoder: kept tokens have no place of their own."""
    for position in facts.positions:
        if position != "learned":
            yield f"{_POSITIONS[position]}: kept tokens have their position in their states alone"
    if facts.convolution:
        yield "convolution over neighbouring tokens"
    if facts.gated or any(layer.norm_before for layer in facts.layers):
        yield "gated units and norms before a layer"
    if facts.head.pooling != "first":
        yield "head that reads all tokens"


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
