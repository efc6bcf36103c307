"""What a training works towards: the part of the trainer that varies.

    lessons --targets--> tensors of a batch     model, batch --loss--> one number to go down

Fine-tuning works towards labels; distillation, towards a teacher
(`optimized/recipes/distillation/imitation.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn.functional import cross_entropy

from baselines.models.classifier import logits_of
from harness.workload.tasks.base import Head

if TYPE_CHECKING:
    from baselines.training.datasets import TrainingItem


class Objective(Protocol):
    """What is asked of a model in training; lessons are of the kind that the objective understands."""

    def targets(self, lessons: Sequence[Any]) -> dict[str, Any]:
        """Return the tensors that the loss needs beside the model's inputs."""

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:  # noqa: ANN401 -- transformers has no types
        """Return the loss of a batch, a scalar; `inputs` holds the model's inputs and the targets."""


@dataclass(frozen=True, slots=True)
class LabelObjective:
    """The mean cross-entropy: over labels, or over the candidates of each choice."""

    head: Head

    def targets(self, lessons: "Sequence[TrainingItem]") -> dict[str, Any]:
        """Return `targets`, one a sequence, and `sizes`, the sequences of each lesson."""
        return {
            "targets": torch.tensor([target for lesson in lessons for target in lesson.targets]),
            "sizes": torch.tensor([len(lesson.sequences) for lesson in lessons]),
        }

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:  # noqa: ANN401 -- transformers has no types
        """Return how far the model is from the labels."""
        targets, sizes = inputs.pop("targets"), inputs.pop("sizes")
        logits = logits_of(model, inputs).float()
        if self.head == "choice":
            return choice_loss(logits[:, 0], targets, sizes.tolist())
        return cross_entropy(logits, targets)


def choice_loss(scores: torch.Tensor, right: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Return the mean over choices of minus the log of the share that the right candidates have together.

    `scores` and `right` (1 or 0) hold one value a sequence; `sizes` counts the candidates of each choice. A
    choice without a right candidate teaches nothing and is left out.
    """
    losses = []
    for mine, gold in zip(scores.split(list(sizes)), right.split(list(sizes)), strict=True):
        if gold.any():
            losses.append(mine.logsumexp(0) - mine[gold.bool()].logsumexp(0))
    return torch.stack(losses).mean() if losses else scores.sum() * 0
