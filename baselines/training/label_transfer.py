"""Transfer of a classification head to a task with other labels, by name.

    entailment     <- entailment
    not_entailment <- neutral, contradiction (the mean of their rows)

Without a name in common the head stays as transformers initialised it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from baselines.checkpoints.folder import read_config
from baselines.checkpoints.labels import HEAD_MODULES, label_names
from baselines.models.classifier import load_classifier
from harness.workload.tasks.intermediate import complement_of


@dataclass(frozen=True, slots=True)
class LabelTransfer:
    """For each column of the new head, the columns of the old one from which it begins; and their names."""

    columns: tuple[tuple[int, ...], ...]
    names: Mapping[str, Sequence[str]]

    @property
    def identical(self) -> bool:
        """Whether the new head has the columns of the old one in their order."""
        return self.columns == tuple((column,) for column in range(len(self.columns)))


def find_transfer(folder: Path, names: Sequence[str]) -> LabelTransfer | None:
    """Return how the head of the checkpoint in `folder` becomes one for `names`, the columns of the new one.

    None where a label has no counterpart by name.
    """
    old = label_names(read_config(folder), folder.name)
    columns = tuple(_counterparts(name, old) for name in names)
    if not all(columns):
        return None
    sources = {name: [old[column] for column in part] for name, part in zip(names, columns, strict=True)}
    return LabelTransfer(columns, sources)


def reset_head(classifier: Any) -> None:  # noqa: ANN401 -- a torch module
    """Draw the last layer anew, as transformers does: it keeps that of other labels where the shape fits."""
    labels = output_layer(classifier)
    torch.nn.init.normal_(labels.weight, std=getattr(classifier.config, "initializer_range", 0.02))
    if labels.bias is not None:
        torch.nn.init.zeros_(labels.bias)


def transfer_head(classifier: Any, folder: Path, transfer: LabelTransfer) -> None:  # noqa: ANN401 -- a torch module
    """Set the last layer of `classifier` from that of the checkpoint in `folder`, in place.

    Several columns become their mean, with the logarithm of their number added to the bias: that is the logit
    of "any of them" where their logits are equal.
    """
    old, new = output_layer(load_classifier(folder)), output_layer(classifier)
    with torch.no_grad():
        for column, sources in enumerate(transfer.columns):
            new.weight[column] = old.weight[list(sources)].mean(dim=0)
            if new.bias is not None:
                new.bias[column] = old.bias[list(sources)].mean() + math.log(len(sources))


def output_layer(classifier: Any) -> Any:  # noqa: ANN401 -- a torch module
    """Return the linear layer that makes the logits: the last one of the head."""
    linears = [
        module
        for name, module in classifier.named_modules()
        if isinstance(module, torch.nn.Linear) and name.split(".")[0] in HEAD_MODULES
    ]
    return linears[-1]


def _counterparts(name: str, old: Sequence[str]) -> tuple[int, ...]:
    same = tuple(column for column, label in enumerate(old) if label.casefold() == name.casefold())
    negated = complement_of(name, old)
    if same or negated is None:
        return same
    return tuple(column for column, label in enumerate(old) if label != negated)
