"""Data for fine-tuning: lessons from examples, the split that selects an epoch, and progress."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import label_columns
from harness.common.errors import CheckpointError, UsageError
from harness.systems.interface import Checkpoint, EncodedSequence, Request
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

RECORD = "training.json"
_HELD_OUT = 0.1  # of the training split, to choose the best epoch

SPLIT_SEED = 0
"""Of what is held out: the same for every recipe and seed, and what `bench train` holds out by default, so
that no model of a chain has been trained on the examples that choose its epoch or its thresholds."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train. The learning rate suits small encoders; FastFormers uses 1e-5 for BERT-base.

    `bf16` None lets the CPU decide: autocast where it has bfloat16 instructions, which halved the time of a
    step of MiniLM. Warm-up (`warmup_ratio` of all steps, then linear to zero), weight decay and clip are
    FastFormers'.
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


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where training stands: the share done, seconds left at the pace so far, epoch, last loss."""

    fraction: float
    seconds_left: float | None
    epoch: float
    loss: float | None


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """What goes through the model together: a sequence with the column of its label, or all of a choice.

    `targets` holds one number a sequence: the column, or for choices 1 where the candidate is right.
    """

    sequences: tuple[EncodedSequence, ...]
    targets: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Tokens over all sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True, slots=True)
class EncodedExamples:
    """Labelled examples with their requests, to be scored officially."""

    examples: Sequence[Example]
    requests: Sequence[Request]


def split_for_selection(
    train: Sequence[Example], seed: int, share: float = _HELD_OUT
) -> tuple[list[Example], list[Example]]:
    """Return what is trained on, and what chooses the epoch, by a seeded hash of the first text.

    Examples with the same first text (BoolQ asks several questions about a passage) lie next to each other,
    so that hardly one is on both sides.
    """
    if len(train) < 2:  # noqa: PLR2004 -- one for each side
        raise UsageError(f"{len(train)} training examples are too few to train on and to choose an epoch.")

    def place(example: Example) -> str:
        return hashlib.sha256(f"{seed} {example.inputs[0].first}".encode()).hexdigest()

    ordered = sorted(train, key=place)
    held_out = math.ceil(len(train) * share)
    return ordered[held_out:], ordered[:held_out]


def label_names(task: Task, model: Checkpoint) -> list[str]:
    """Return each column's label: the head's own order where it fits the task, else the task's."""
    config = read_config(model.folder)
    try:
        columns = label_columns(config, task, model.name)
    except CheckpointError:
        return list(task.labels)
    return [task.labels[columns.index(column)] for column in range(len(columns))]


def training_items(task: Task, columns: Sequence[int], asked: EncodedExamples) -> list[TrainingItem]:
    """Return what is trained on: a choice stays whole, every other sequence is a lesson of its own."""
    found = []
    for example, request in zip(asked.examples, asked.requests, strict=True):
        if not example.gold:
            raise UsageError(f"example {example.id} has no label.", remedy="Train on a labelled split.")
        targets = task.targets(example)
        if task.head == "choice":
            found.append(TrainingItem(request.sequences, targets))
        else:
            pairs = zip(request.sequences, targets, strict=True)
            found += [TrainingItem((sequence,), (columns[target],)) for sequence, target in pairs]
    return found
