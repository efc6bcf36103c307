"""The objective of distillation: to answer as the teacher does, and where asked, as the labels say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from baselines.models.classifier import logits_of
from baselines.training.datasets import EncodedExamples, TrainingItem
from baselines.training.objective import LabelObjective, choice_loss
from harness.systems.interface import Predictions
from harness.workload.tasks.base import Head, Task
from harness.workload.tasks.example import Logits
from optimized.recipes.distillation.features import Features
from optimized.recipes.distillation.losses import soft_cross_entropy

_UNLABELLED = -100  # the column that cross-entropy leaves out


@dataclass(frozen=True, slots=True, eq=False)
class DistillationItem(TrainingItem):
    """A lesson with what the teacher says: logits [sequences, labels], columns in the student's order.

    `labelled` is False where there is no label to learn from.
    """

    taught: Logits = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    labelled: bool = True


def soft_lessons(
    task: Task,
    columns: Sequence[int],
    asked: EncodedExamples,
    taught: Sequence[Logits],
    *,
    labelled: bool = True,
) -> list[DistillationItem]:
    """Return what is trained on: a choice stays whole, every other sequence is a lesson of its own.

    `taught` holds the teacher's rows of each example, columns in the task's order of labels.
    """
    order = np.argsort(columns)
    found = []
    for example, request, rows in zip(asked.examples, asked.requests, taught, strict=True):
        targets = task.targets(example) if labelled else ()
        ordered = rows[:, order]
        if task.head == "choice":
            right = targets or (0,) * len(rows)
            found.append(DistillationItem(request.sequences, right, ordered, any(right)))
            continue
        for place, sequence in enumerate(request.sequences):
            column = columns[targets[place]] if labelled else _UNLABELLED
            found.append(DistillationItem((sequence,), (column,), ordered[place : place + 1], labelled))
    return found


def rows_of(said: Predictions) -> list[Logits]:
    """Return the logits of each request."""
    return list(np.split(said.logits, said.offsets[1:-1]))


@dataclass(frozen=True, slots=True)
class Imitation:
    """Soft cross-entropy to the teacher, mixed with the labels' by `hard_label` (0: the teacher alone).

    Soft targets are over labels, or over the candidates of each choice. `features` adds losses of hidden
    states and of attention.
    """

    head: Head
    temperature: float
    hard_label: float
    features: Features | None = None

    def targets(self, lessons: Sequence[DistillationItem]) -> dict[str, Any]:
        """Return labels and sizes, the teacher's logits, and what the teacher itself reads where it must."""
        return {
            **LabelObjective(self.head).targets(lessons),
            "taught": torch.from_numpy(np.concatenate([lesson.taught for lesson in lessons])),
            "labelled": torch.tensor([float(lesson.labelled) for lesson in lessons]),
            **({"read": self.features.read(lessons)} if self.features else {}),
        }

    def loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:  # noqa: ANN401 -- transformers has no types
        """Return the mean over lessons, and the losses of features."""
        names = ("targets", "sizes", "taught", "labelled")
        targets, sizes, taught, labelled = (inputs.pop(name) for name in names)
        read = inputs.pop("read", None)
        logits = logits_of(model, inputs).float()
        soft, hard = self._by_lesson(logits, taught, targets, sizes.tolist())
        share = self.hard_label * labelled
        loss = ((1 - share) * soft + share * hard).mean()
        return loss if self.features is None else loss + self.features.loss(model, inputs, read)

    def _by_lesson(
        self, logits: Tensor, taught: Tensor, targets: Tensor, sizes: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Return the loss to the teacher and the loss to the label, one each a lesson."""
        if self.head != "choice":
            hard = cross_entropy(logits, targets, reduction="none", ignore_index=_UNLABELLED)
            return soft_cross_entropy(logits, taught, self.temperature), hard
        parts = [column.split(sizes) for column in (logits[:, 0], taught[:, 0], targets)]
        choices = list(zip(*parts, strict=True))
        soft = [soft_cross_entropy(mine, theirs, self.temperature) for mine, theirs, _ in choices]
        hard = [choice_loss(mine, right, [len(right)]) for mine, _, right in choices]
        return torch.stack(soft), torch.stack(hard)
