"""What is inside teacher and student, compared token by token: hidden states and attention.

Only for two that tokenise alike. The teacher runs beside the student in training, since its states are too
large to keep. Where widths differ, a linear projection is learned on the student's side and thrown away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import torch
from torch import Tensor

from baselines.encoding.batching import pad
from baselines.models.classifier import input_names, tensors_of
from baselines.models.resize import layers_of
from baselines.models.span_classifier import SpanClassifier
from baselines.training.datasets import TrainingItem
from harness.common.errors import CheckpointError
from optimized.recipes.distillation.losses import hidden_loss, relation_loss

_STATES = ("embeddings", "last")
_RELATIONS = ("query", "key", "value")
PROJECTIONS = "projections"
"""The name under which the student carries what is thrown away after."""


@dataclass(frozen=True, slots=True)
class Features:
    """The teacher at work, and what both have shown in their last forward pass.

    `hidden` weighs the loss of embedding output and last hidden state, `attention` that of the last layer's
    relations of queries, keys and values.
    """

    teacher: Any
    pad_id: int
    hidden: float
    attention: float
    shown: Mapping[str, dict[str, Tensor]]
    heads: int

    def read(self, lessons: Sequence[TrainingItem]) -> dict[str, Tensor]:
        """Return the teacher's inputs for a batch."""
        padded = pad([sequence for lesson in lessons for sequence in lesson.sequences], self.pad_id)
        return tensors_of(padded, input_names(self.teacher))

    def loss(self, model: Any, inputs: Mapping[str, Tensor], read: Mapping[str, Tensor]) -> Tensor:  # noqa: ANN401
        """Return the weighted losses of a batch that the student has just been through."""
        with torch.no_grad():
            self.teacher(**read)
        mask = inputs["attention_mask"]
        mine, theirs = self.shown["student"], self.shown["teacher"]
        total = torch.zeros((), device=mask.device)
        if self.hidden:
            projections = getattr(model, PROJECTIONS)
            for name in _STATES:
                state = projections[name](mine[name]).float()
                total = total + self.hidden * hidden_loss(state, theirs[name].float(), mask)
        if self.attention:
            for name in _RELATIONS:
                loss = relation_loss(mine[name].float(), theirs[name].float(), mask, self.heads)
                total = total + self.attention * loss / len(_RELATIONS)
        return total


def watch(student: Any, teacher: Any, pad_id: int, *, hidden: float, attention: float) -> Features:  # noqa: ANN401
    """Look into both models from now on, and give the student the projections that it needs.

    CheckpointError for an architecture whose parts are not known.
    """
    shown: dict[str, dict[str, Tensor]] = {"student": {}, "teacher": {}}
    heads = 1
    for who, model in (("student", student), ("teacher", teacher)):
        if hidden:
            _tap_states(model, shown[who])
        if attention:
            heads = _tap_relations(model, shown[who], heads if who == "teacher" else 0)
    if hidden:
        student.add_module(PROJECTIONS, _projections(student, teacher, shown))
    teacher.eval().requires_grad_(requires_grad=False)
    return Features(teacher, pad_id, hidden, attention, shown, heads)


def forget(student: Any) -> None:  # noqa: ANN401 -- transformers has no types
    """Throw the projections away."""
    if hasattr(student, PROJECTIONS):
        delattr(student, PROJECTIONS)


def _encoder(model: Any) -> Any:  # noqa: ANN401
    return model.encoder if isinstance(model, SpanClassifier) else model.base_model


def _tap_states(model: Any, shown: dict[str, Tensor]) -> None:  # noqa: ANN401
    encoder = _encoder(model)
    if not hasattr(encoder, "embeddings"):
        raise CheckpointError(
            f"the hidden-state loss does not know the embeddings of {type(encoder).__name__}.",
            remedy="Distil without it: hidden 0.",
        )
    _keep(encoder.embeddings, shown, "embeddings")
    encoder.register_forward_hook(lambda _module, _inputs, out: shown.update(last=out[0]))


def _tap_relations(model: Any, shown: dict[str, Tensor], heads: int) -> int:  # noqa: ANN401
    """Watch the last layer; return how many relation heads divide its heads and `heads` (0: any)."""
    layer = layers_of(model)[-1]
    for name in _RELATIONS:
        _keep(getattr(layer, name), shown, name)
    return gcd(layer.heads, heads)


def _keep(module: Any, shown: dict[str, Tensor], name: str) -> None:  # noqa: ANN401
    module.register_forward_hook(lambda _module, _inputs, out: shown.update({name: out}))


def _projections(student: Any, teacher: Any, shown: Mapping[str, Mapping[str, Tensor]]) -> Any:  # noqa: ANN401
    """Return a map from the student's width to the teacher's for each state, learned where they differ."""
    for model in (student, teacher):
        _look(model)
    widths = {name: (shown["student"][name].shape[-1], shown["teacher"][name].shape[-1]) for name in _STATES}
    maps = {
        name: torch.nn.Identity() if mine == theirs else torch.nn.Linear(mine, theirs).to(student.device)
        for name, (mine, theirs) in widths.items()
    }
    return torch.nn.ModuleDict(maps)


def _look(model: Any) -> None:  # noqa: ANN401
    """Run two tokens through, so that widths are seen rather than read from a configuration."""
    ids = torch.ones((1, 2), dtype=torch.int64, device=model.device)
    inputs = dict.fromkeys(("input_ids", "attention_mask"), ids)
    with torch.no_grad():
        _encoder(model)(**inputs)
