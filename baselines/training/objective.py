"""Training objectives: the targets of a batch and the loss, which differ between recipes.

    items --targets--> tensors of a batch     model, batch --loss--> the scalar that training minimises

The objective of fine-tuning is the cross-entropy with the labels; that of intermediate training accepts any
of several labels; that of distillation compares with a teacher
(`optimized/recipes/distillation/imitation.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from baselines.models.classifier import logits_of
from harness.workload.tasks.base import Head, Task
from harness.workload.tasks.intermediate import IntermediateTask

if TYPE_CHECKING:
    from baselines.training.datasets import TrainingItem


class Objective(Protocol):
    """A loss and the targets that it needs; the type of the items depends on the objective."""

    def targets(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return the tensors that the loss needs in addition to the model's inputs."""

    def loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the loss of a batch, a scalar; `inputs` holds the model's inputs and the targets."""


@dataclass(frozen=True, slots=True)
class LabelObjective:
    """The mean cross-entropy: over labels, over the candidates of each choice, or of each label by itself."""

    head: Head

    def targets(self, items: "Sequence[TrainingItem]") -> dict[str, Any]:
        """Return `targets`, of all items in one row, and `sizes`, the number of sequences of each item."""
        return {
            "targets": torch.tensor([target for item in items for target in item.targets]),
            "sizes": torch.tensor([len(item.sequences) for item in items]),
        }

    def loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the mean cross-entropy of the batch."""
        targets, sizes = inputs.pop("targets"), inputs.pop("sizes")
        logits = logits_of(model, inputs).float()
        if self.head == "choice":
            return choice_loss(logits[:, 0], targets, sizes.tolist())
        if self.head == "multi_label":
            return label_losses(logits, targets).mean()
        return cross_entropy(logits, targets)


@dataclass(frozen=True, slots=True)
class AcceptedLabelsObjective:
    """Minus the log of the accepted labels' total probability, the mean over examples.

    With one accepted label this is the cross-entropy.
    """

    def targets(self, items: "Sequence[TrainingItem]") -> dict[str, Any]:
        """Return `accepted`: for each item a True for each column that is right."""
        return {"accepted": torch.tensor([item.targets for item in items], dtype=torch.bool)}

    def loss(self, model: torch.nn.Module, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the mean loss of the batch."""
        accepted = inputs.pop("accepted")
        logits = logits_of(model, inputs).float()
        return (logits.logsumexp(1) - logits.masked_fill(~accepted, -torch.inf).logsumexp(1)).mean()


def objective_of(task: Task) -> Objective:
    """Return the objective of fine-tuning for a task."""
    return AcceptedLabelsObjective() if isinstance(task, IntermediateTask) else LabelObjective(task.head)


def label_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return for each row of logits the mean binary cross-entropy of its labels, each of which holds or not.

    `targets` has a 1 or 0 for each logit, in their order. The mean over rows is the loss of transformers'
    multi-label classifiers.
    """
    holds = targets.reshape(logits.shape).to(logits.dtype)
    return binary_cross_entropy_with_logits(logits, holds, reduction="none").mean(dim=-1)


def choice_loss(scores: torch.Tensor, right: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Return the mean over choices of minus the log of the right candidates' total probability.

    `scores` and `right` (1 or 0) hold one value for each sequence; `sizes` holds the number of candidates of
    each choice. A choice without a right candidate is left out.
    """
    losses = []
    for candidates, gold in zip(scores.split(list(sizes)), right.split(list(sizes)), strict=True):
        if gold.any():
            losses.append(candidates.logsumexp(0) - candidates[gold.bool()].logsumexp(0))
    return torch.stack(losses).mean() if losses else scores.sum() * 0
