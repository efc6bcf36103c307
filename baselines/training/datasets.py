"""Data for fine-tuning: settings, training items from examples, the selection split, and progress."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import match_labels
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import Checkpoint, EncodedSequence, Request
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.intermediate import IntermediateTask

RECORD = "training.json"
"""The file beside the weights that records how they were trained."""

_SELECTION_SHARE = 0.1
"""The share of the training split that selects the best epoch."""

SPLIT_SEED = 0
"""The seed of the selection split: the same for every recipe and seed, and the default of `bench train`, so
that no model of a chain has been trained on the examples that select its epoch or its thresholds."""


_FEW_EXAMPLES = frozenset(
    {"layer_decay", "reinit_layers", "r_drop", "average", "patience", "train_share", "split_seed"}
)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Hyperparameters. The learning rate suits small encoders; FastFormers uses 1e-5 for BERT-base.

    `bf16` None means autocast where the CPU has bfloat16 instructions, which halved the time of a step of
    MiniLM. Warm-up (`warmup_ratio` of all steps, then linear decay to zero), weight decay and gradient
    clipping (`clip`, the largest norm) are FastFormers'. The fields appear in training.json.

    The last fields are for tasks with few examples, and off by default. `layer_decay` is the factor from a
    layer's learning rate to that of the layer below (`baselines/training/layers.py`); `reinit_layers` is how
    many of the top layers begin with new weights. `r_drop` weights the divergence of two passes with
    different dropout (`baselines/training/consistency.py`). `average` is the decay of the moving average of
    the weights, which is scored and kept in their place (`baselines/training/average.py`); 0 is no average.
    Training ends after `patience` epochs without a better score on the held-out examples; 0 is never.
    `train_share` is the share of the examples to train on, for learning curves. `split_seed` seeds the
    selection split; None is `seed`.
    """

    epochs: int = 4
    learning_rate: float = 3e-5
    batch: int = 16
    max_length: int = 256
    seed: int = 0
    bf16: bool | None = None
    warmup_ratio: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    layer_decay: float = 1.0
    reinit_layers: int = 0
    r_drop: float = 0.0
    average: float = 0.0
    patience: int = 0
    train_share: float = 1.0
    split_seed: int | None = None

    @property
    def selection_seed(self) -> int:
        """The seed of the selection split."""
        return self.seed if self.split_seed is None else self.split_seed

    def facts(self) -> dict[str, Any]:
        """Return the fields for plans, cache keys and records, without those for few examples that are off.

        So a training without them has the plan and the key that it had before they existed.
        """
        off = {field.name for field in fields(self) if getattr(self, field.name) == field.default}
        return {name: value for name, value in asdict(self).items() if name not in off & _FEW_EXAMPLES}


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """The progress of a training: share of steps done, estimated seconds left, epoch, last loss.

    `scoring` is set while the held-out examples are scored, which makes no step.
    """

    fraction: float
    seconds_left: float | None
    epoch: float
    loss: float | None
    scoring: bool = False


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """A sequence with the column of its label, or all candidates of a choice, which have one loss together.

    `targets` holds one number for each sequence: the column, or for a choice 1 if the candidate is right.
    Where any number of labels may hold, or any of several is accepted, it has a number for each column: 1 if
    its label holds or is accepted.
    """

    sequences: tuple[EncodedSequence, ...]
    targets: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens over all sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True, slots=True)
class EncodedExamples:
    """Labelled examples with their requests, for scoring with the task's metrics."""

    examples: Sequence[Example]
    requests: Sequence[Request]


def split_for_selection(
    train: Sequence[Example], seed: int, share: float = _SELECTION_SHARE
) -> tuple[list[Example], list[Example]]:
    """Return the examples to train on, and those that select the epoch, by a seeded hash of the first text.

    Examples with the same first text (BoolQ has several questions about a passage) are adjacent in this
    order, so that at most one text is in both parts.
    """
    if len(train) < 2:  # noqa: PLR2004 -- one for each part
        raise UsageError(
            f"expected at least 2 training examples, to train on and to select an epoch, got {len(train)}.",
            remedy="Train on a larger split.",
        )

    def seeded_hash(example: Example) -> str:
        return hashlib.sha256(f"{seed} {example.inputs[0].first}".encode()).hexdigest()

    ordered = sorted(train, key=seeded_hash)
    held_out = math.ceil(len(train) * share)
    return ordered[held_out:], ordered[:held_out]


def first_share(examples: Sequence[Example], share: float) -> list[Example]:
    """Return the first `share` of the examples, at least one. A greater share contains a smaller one."""
    return list(examples[: max(1, math.ceil(len(examples) * share))])


def label_names(task: Task, model: Checkpoint) -> list[str]:
    """Return the label of each column: the head's own order if it fits the task, else the task's order."""
    config = read_config(model.folder)
    try:
        columns = match_labels(config, task, model.name)
    except CheckpointError:
        return list(task.labels)
    return [task.labels[columns.index(column)] for column in range(len(columns))]


def training_items(task: Task, columns: Sequence[int], encoded: EncodedExamples) -> list[TrainingItem]:
    """Return one item for each choice or set of labels, and for other tasks one for each sequence.

    UsageError if an example has no label.
    """
    items = []
    for example, request in zip(encoded.examples, encoded.requests, strict=True):
        if not example.gold:
            raise UsageError(f"example {example.id} has no label.", remedy="Train on a labelled split.")
        if isinstance(task, IntermediateTask):
            items.append(TrainingItem(request.sequences, by_column(columns, task.accepted(example))))
            continue
        targets = task.targets(example)
        if task.head == "choice":
            items.append(TrainingItem(request.sequences, targets))
        elif task.head == "multi_label":
            items.append(TrainingItem(request.sequences, by_column(columns, targets)))
        else:
            pairs = zip(request.sequences, targets, strict=True)
            items += [TrainingItem((sequence,), (columns[target],)) for sequence, target in pairs]
    return items


def by_column(columns: Sequence[int], targets: Sequence[int]) -> tuple[int, ...]:
    """Return targets of labels in the order of their columns."""
    return tuple(target for _, target in sorted(zip(columns, targets, strict=True)))
