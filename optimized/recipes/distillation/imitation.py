"""The objective of distillation: match the teacher's logits and, with a share of the loss, the labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from baselines.models.classifier import logits_of
from baselines.training.datasets import EncodedExamples, TrainingItem, by_column
from baselines.training.objective import LabelObjective, choice_loss, label_losses
from harness.systems.interface import Predictions
from harness.workload.tasks.base import Head, Task
from harness.workload.tasks.example import Logits
from optimized.recipes.distillation.fake_quantization import FakeQuantized
from optimized.recipes.distillation.features import Features
from optimized.recipes.distillation.losses import soft_cross_entropy, soft_label_losses

_UNLABELLED = -100  # the target that cross-entropy ignores


@dataclass(frozen=True, slots=True, eq=False)
class DistillationItem(TrainingItem):
    """A training item with the teacher's logits [sequences, labels], columns in the student's order.

    `labelled` is False where there is no label.
    """

    teacher_logits: Logits = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    labelled: bool = True


def distillation_items(
    task: Task,
    columns: Sequence[int],
    encoded: EncodedExamples,
    teacher_logits: Sequence[Logits],
    *,
    labelled: bool = True,
) -> list[DistillationItem]:
    """Return one item for each choice, or for each sequence of the other tasks.

    `teacher_logits` holds the rows of each example, columns in the task's order of labels.
    """
    order = np.argsort(columns)
    items = []
    for example, request, rows in zip(encoded.examples, encoded.requests, teacher_logits, strict=True):
        targets = task.targets(example) if labelled else ()
        logits = rows[:, order]
        if task.head == "choice":
            right = targets or (0,) * len(rows)
            items.append(DistillationItem(request.sequences, right, logits, any(right)))
            continue
        if task.head == "multi_label":
            holds = by_column(columns, targets or (0,) * len(columns))
            items.append(DistillationItem(request.sequences, holds, logits, labelled))
            continue
        for row, sequence in enumerate(request.sequences):
            column = columns[targets[row]] if labelled else _UNLABELLED
            items.append(DistillationItem((sequence,), (column,), logits[row : row + 1], labelled))
    return items


def logits_by_request(predictions: Predictions) -> list[Logits]:
    """Return the logits of each request."""
    return list(np.split(predictions.logits, predictions.offsets[1:-1]))


@dataclass(frozen=True, slots=True)
class Imitation:
    """Soft cross-entropy with the teacher, mixed with the labels' loss by `hard_label` (0: teacher only).

    Soft targets are distributions over labels or over the candidates of each choice, or a probability for
    each label. `features` adds losses of hidden states and of attention. With `quantization_aware` the
    student answers as int8.
    """

    head: Head
    temperature: float
    hard_label: float
    features: Features | None = None
    quantization_aware: bool = False

    def targets(self, items: Sequence[DistillationItem]) -> dict[str, Any]:
        """Return labels, sizes and the teacher's logits, and with `features` the teacher's own inputs."""
        return {
            **LabelObjective(self.head).targets(items),
            "teacher_logits": torch.from_numpy(np.concatenate([item.teacher_logits for item in items])),
            "labelled": torch.tensor([float(item.labelled) for item in items]),
            **({"teacher_inputs": self.features.teacher_inputs(items)} if self.features else {}),
        }

    def loss(self, model: Module, inputs: dict[str, Any]) -> Tensor:
        """Return the mean over items, plus the losses of features."""
        names = ("targets", "sizes", "teacher_logits", "labelled")
        targets, sizes, teacher_logits, labelled = (inputs.pop(name) for name in names)
        teacher_inputs = inputs.pop("teacher_inputs", None)
        logits = logits_of(FakeQuantized(model) if self.quantization_aware else model, inputs).float()
        soft, hard = self._losses_by_item(logits, teacher_logits, targets, sizes.tolist())
        share = self.hard_label * labelled
        loss = ((1 - share) * soft + share * hard).mean()
        return loss if self.features is None else loss + self.features.loss(model, inputs, teacher_inputs)

    def _losses_by_item(
        self, logits: Tensor, teacher_logits: Tensor, targets: Tensor, sizes: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Return each item's loss against the teacher and its loss against the label."""
        if self.head == "multi_label":
            soft = soft_label_losses(logits, teacher_logits, self.temperature)
            return soft, label_losses(logits, targets)
        if self.head != "choice":
            hard = cross_entropy(logits, targets, reduction="none", ignore_index=_UNLABELLED)
            return soft_cross_entropy(logits, teacher_logits, self.temperature), hard
        parts = [column.split(sizes) for column in (logits[:, 0], teacher_logits[:, 0], targets)]
        choices = list(zip(*parts, strict=True))
        soft = [soft_cross_entropy(student, teacher, self.temperature) for student, teacher, _ in choices]
        hard = [choice_loss(student, right, [len(right)]) for student, _, right in choices]
        return torch.stack(soft), torch.stack(hard)
