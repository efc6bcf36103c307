"""Losses between the hidden states and the attention of teacher and student, token by token.

They need a teacher and a student with the same tokenizer. The teacher runs beside the student in training,
because its states are too large to store. Where widths differ, a linear projection from the student's width
to the teacher's is trained with the student, and removed afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor
from torch.nn import Identity, Linear, Module, ModuleDict

from baselines.encoding.batching import pad
from baselines.models.classifier import input_names, tensors_of
from baselines.models.families import is_described
from baselines.models.families.layers import Map, layers_of
from baselines.models.span_classifier import SpanClassifier
from baselines.training.datasets import TrainingItem
from harness.common.errors import CheckpointError
from optimized.recipes.distillation.losses import hidden_loss, relation_loss

_STATES = ("embeddings", "last")
_RELATIONS = ("query", "key", "value")
PROJECTIONS = "projections"
"""The name of the student's submodule that holds the projections during training."""


@dataclass(frozen=True, slots=True)
class Features:
    """The teacher, and the features that hooks recorded in the last forward pass of both models.

    `hidden` weights the loss of the embedding output and the last hidden state, `attention` that of the last
    layer's relations of queries, keys and values. `recorded` holds the tensors of "student" and "teacher" by
    name; `heads` is the number of relation heads.
    """

    teacher: Module
    pad_id: int
    hidden: float
    attention: float
    recorded: Mapping[str, dict[str, Tensor]]
    heads: int

    def teacher_inputs(self, items: Sequence[TrainingItem]) -> dict[str, Tensor]:
        """Return the teacher's inputs for a batch."""
        padded = pad([sequence for item in items for sequence in item.sequences], self.pad_id)
        return tensors_of(padded, input_names(self.teacher))

    def loss(
        self, model: Module, inputs: Mapping[str, Tensor], teacher_inputs: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the weighted losses of the batch that the student's last forward pass was on."""
        with torch.no_grad():
            self.teacher(**teacher_inputs)
        mask = inputs["attention_mask"]
        student, teacher = self.recorded["student"], self.recorded["teacher"]
        total = torch.zeros((), device=mask.device)
        if self.hidden:
            projections = getattr(model, PROJECTIONS)
            for name in _STATES:
                projected = projections[name](student[name]).float()
                total = total + self.hidden * hidden_loss(projected, teacher[name].float(), mask)
        if self.attention:
            for name in _RELATIONS:
                loss = relation_loss(student[name].float(), teacher[name].float(), mask, self.heads)
                total = total + self.attention * loss / len(_RELATIONS)
        return total


def record_features(
    student: Module, teacher: Module, pad_id: int, *, hidden: float, attention: float
) -> Features:
    """Add the hooks to both models and the projections to the student, for the losses with a weight above 0.

    CheckpointError for an encoder whose embeddings or layers are at an unknown place.
    """
    recorded: dict[str, dict[str, Tensor]] = {"student": {}, "teacher": {}}
    models = {"student": student, "teacher": teacher}
    for name, model in models.items():
        _encoder(model).register_forward_pre_hook(_clear(recorded[name]))
    if hidden:
        for name, model in models.items():
            _record_states(model, recorded[name])
        student.add_module(PROJECTIONS, _projections(student, teacher, recorded))
    heads = 1
    if attention:
        heads = gcd(*(_record_relations(model, recorded[name]) for name, model in models.items()))
    teacher.eval().requires_grad_(requires_grad=False)
    return Features(teacher, pad_id, hidden, attention, recorded, heads)


def remove_projections(student: Module) -> None:
    """Remove the projections, which are not part of the student's checkpoint."""
    if hasattr(student, PROJECTIONS):
        delattr(student, PROJECTIONS)


def _encoder(model: Module) -> Module:
    return model.encoder if isinstance(model, SpanClassifier) else model.base_model


def _record_states(model: Module, recorded: dict[str, Tensor]) -> None:
    encoder = _encoder(model)
    embeddings = getattr(encoder, "embeddings", None)
    if embeddings is None and is_described(encoder.config.to_dict()):
        embeddings = encoder.get_input_embeddings()
    if embeddings is None:
        raise CheckpointError(
            f"the hidden-state loss needs an encoder with `embeddings`, and {type(encoder).__name__} "
            "has none.",
            remedy="Distil without this loss: hidden 0.",
        )
    _record_output(embeddings, recorded, "embeddings")
    encoder.register_forward_hook(lambda _module, _inputs, output: recorded.update(last=output[0]))


def _record_relations(model: Module, recorded: dict[str, Tensor]) -> int:
    """Record queries, keys and values of the last layer; return its number of attention heads."""
    layer = layers_of(model)[-1]
    for name in _RELATIONS:
        _record_output(getattr(layer, name), recorded, name)
    return layer.heads


def _record_output(module: Module | Map, recorded: dict[str, Tensor], name: str) -> None:
    def record(_module: object, _inputs: object, output: Tensor) -> None:
        # the first output of a pass: DeBERTa's maps of queries and keys then map relative positions too
        recorded.setdefault(name, output)

    module.register_forward_hook(record)


def _clear(recorded: dict[str, Tensor]) -> Callable[..., None]:
    return lambda *_: recorded.clear()


def _projections(
    student: Module, teacher: Module, recorded: Mapping[str, Mapping[str, Tensor]]
) -> ModuleDict:
    """Return a map from the student's width to the teacher's for each state: the identity if they agree."""
    for model in (student, teacher):
        _run_two_tokens(model)
    maps = {}
    for name in _STATES:
        narrow, wide = (recorded[side][name].shape[-1] for side in ("student", "teacher"))
        maps[name] = Identity() if narrow == wide else Linear(narrow, wide).to(student.device)
    return ModuleDict(maps)


def _run_two_tokens(model: Module) -> None:
    """Run a forward pass, so that widths come from tensors and not from fields of a configuration."""
    ids = torch.ones((1, 2), dtype=torch.int64, device=model.device)
    inputs = dict.fromkeys(("input_ids", "attention_mask"), ids)
    with torch.no_grad():
        _encoder(model)(**inputs)
