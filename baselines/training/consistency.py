"""R-Drop: the same batch twice with different dropout, and a loss for the difference of the answers.

    batch --dropout 1--> logits --+--> mean of both losses + weight * divergence
          --dropout 2--> logits --+

Source: Liang et al. 2021 (R-Drop, arXiv 2106.14448, equation 4). A step takes twice the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from baselines.models.classifier import logits_of
from baselines.training.objective import Objective, objective_of
from harness.workload.tasks.base import Head, Task


class _RecordedPass(Module):  # type: ignore[misc]  # mypy does not follow torch
    """A model that keeps the logits of its last pass."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        self._model = model
        self.logits: Tensor | None = None

    def forward(self, **inputs: Tensor) -> Tensor:
        self.logits = logits_of(self._model, inputs).float()
        return self.logits


@dataclass(frozen=True, slots=True)
class ConsistentObjective:
    """An objective, and `weight` times the divergence of two passes with different dropout."""

    objective: Objective
    head: Head
    weight: float

    def targets(self, items: Sequence[Any]) -> dict[str, Any]:
        """Return the tensors that the objective needs."""
        return self.objective.targets(items)

    def loss(self, model: Module, inputs: dict[str, Any]) -> Tensor:
        """Return the mean loss of both passes, and their weighted divergence."""
        first, second = _RecordedPass(model), _RecordedPass(model)
        losses = [self.objective.loss(each, dict(inputs)) for each in (first, second)]
        sizes = inputs["sizes"].tolist() if self.head == "choice" else ()
        divergence = symmetric_divergence(first.logits, second.logits, self.head, sizes)
        return (losses[0] + losses[1]) / 2 + self.weight * divergence


def training_objective(task: Task, weight: float) -> Objective:
    """Return the objective of fine-tuning for a task, with the divergence unless its weight is 0."""
    objective = objective_of(task)
    return ConsistentObjective(objective, task.head, weight) if weight else objective


def symmetric_divergence(first: Tensor, second: Tensor, head: Head, sizes: Sequence[int]) -> Tensor:
    """Return the mean over items of (KL(p || q) + KL(q || p)) / 2, for their logits [sequences, columns].

    The distributions are over labels, over the candidates of each choice (`sizes` of them), or for any number
    of labels over each holding or not, of which the mean is taken.
    """
    if head == "choice":
        pairs = zip(first[:, 0].split(list(sizes)), second[:, 0].split(list(sizes)), strict=True)
        return torch.stack([_divergence(p, q) for p, q in pairs]).mean()
    if head == "multi_label":
        return ((first.sigmoid() - second.sigmoid()) * (first - second)).mean() / 2
    return _divergence(first, second).mean()


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return the symmetric divergence over the last axis: half the sum of (p - q) (log p - log q)."""
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    return ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2
