"""What large units of an encoder cost in int8, by parts of a layer: a simulation in PyTorch.

weights: a scale for each output; inputs: a scale and a least value for each token, 256 levels
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from devtools.int8.subject import Subject
from torch import Tensor
from torch.nn import Linear, Module

from baselines.encoding.batching import pad
from baselines.models.classifier import load_classifier, runner
from baselines.models.families.layers import Rows, distinct_layers
from harness.workload.tasks.example import Logits
from optimized.native.smoothing import FLOOR

KINDS = ("query", "key", "value", "out", "gate", "up", "down")
_LEVELS, _LARGEST = 255, 127


@dataclass(frozen=True, slots=True)
class Form:
    """What is rounded: weights, inputs, in groups of so many values, but for some maps and columns."""

    title: str
    weights: bool = True
    inputs: bool = True
    group: int = 0
    floats: tuple[str, ...] = ()
    columns: int = 0
    smoothed: tuple[str, ...] = ()


FORMS = (
    Form("a scale for each token and each output, as in `native-int8` without smoothing"),
    Form("weights alone in int8", inputs=False),
    Form("activations alone", weights=False),
    Form("a scale for each group of 32 values of both", group=32),
    Form("queries, keys and values in float", floats=("query", "key", "value")),
    Form("first half of the feed-forward part in float", floats=("gate", "up")),
    Form("the map behind attention in float", floats=("out",)),
    Form("second half of the feed-forward part in float", floats=("down",)),
    Form("its four largest columns in float", columns=4),
    Form("its columns smoothed by the square roots of their activations and weights", smoothed=("down",)),
    Form("inputs of all maps smoothed alike", smoothed=KINDS),
)


def table(subject: Subject) -> Iterator[str]:
    """Yield the table."""
    yield f"| form | error, {len(subject.answered)} requests |"
    yield "|---|---:|"
    model = load_classifier(subject.folder)
    maps = maps_of(model)
    largest = _largest_inputs(model, maps, subject)
    exact = _answers(model, subject)
    for form in FORMS:
        for kind, linear in maps:
            linear.forward = rounded(linear, kind, form, largest[linear])
        changes = subject.changes(exact, _answers(model, subject))
        for _, linear in maps:
            del linear.forward
        yield f"| {form.title} | {changes.error:.2g} |"
    units = [largest[linear] for kind, linear in maps if kind == "down"]
    ratios = [float(values.max() / values.median()) for values in units]
    yield ""
    yield f"Largest unit of a layer over its median unit: {', '.join(f'{ratio:.0f}' for ratio in ratios)}."


def maps_of(model: Module) -> list[tuple[str, Linear]]:
    """Return the linear maps of the layers, each once, with the first kind that it serves."""
    maps: dict[int, tuple[str, Linear]] = {}
    for layer in distinct_layers(model):
        for kind in KINDS:
            part = getattr(layer, kind)
            if part is not None:
                linear = part.linear if isinstance(part, Rows) else part
                maps.setdefault(id(linear), (kind, linear))
    return list(maps.values())


def _answers(model: Module, subject: Subject) -> Logits:
    run = runner(model)
    return np.concatenate([run(pad([one], 0)) for one in subject.sequences(subject.answered)])


def _largest_inputs(
    model: Module, maps: Sequence[tuple[str, Linear]], subject: Subject
) -> Mapping[Linear, Tensor]:
    """Return the largest absolute value of each input of each map on training examples."""
    largest: dict[Linear, Tensor] = {}

    def note(linear: Linear, arguments: Any) -> None:
        values = arguments[0].abs().flatten(0, -2).amax(0)
        largest[linear] = torch.maximum(largest[linear], values) if linear in largest else values

    hooks = [linear.register_forward_pre_hook(note) for _, linear in maps]
    run = runner(model)
    for padded in subject.calibration():
        run(padded)
    for hook in hooks:
        hook.remove()
    return largest


def rounded(linear: Linear, kind: str, form: Form, largest: Tensor) -> Any:
    """Return a forward function that rounds as the form says."""
    if kind in form.floats:
        return lambda states: torch.nn.functional.linear(states, linear.weight, linear.bias)
    weight = linear.weight.detach()
    scales = _scales(largest, weight.abs().amax(0)) if kind in form.smoothed else torch.ones_like(largest)
    weight = weight * scales
    int8 = _symmetric(weight, form.group) if form.weights else weight
    kept = largest.topk(form.columns).indices if form.columns and kind == "down" else torch.empty(0).long()

    def forward(states: Tensor) -> Tensor:
        divided = states / scales
        exact = divided[..., kept] @ weight[:, kept].T
        divided[..., kept] = 0
        lower = _asymmetric(divided, form.group) if form.inputs else divided
        lower[..., kept] = 0
        return torch.nn.functional.linear(lower, int8, linear.bias) + exact

    return forward


def _scales(values: Tensor, weights: Tensor) -> Tensor:
    """Return SmoothQuant's divisors for alpha 0.5, as optimized/native/smoothing.py."""
    values, weights = ((sizes / sizes.median()).clamp(min=FLOOR) for sizes in (values, weights))
    return torch.sqrt(values / weights)


def _symmetric(weight: Tensor, group: int) -> Tensor:
    rows, back = _grouped(weight, group)
    scale = rows.abs().amax(-1, keepdim=True).clamp(min=1e-30) / _LARGEST
    return back(torch.round(rows / scale) * scale)


def _asymmetric(states: Tensor, group: int) -> Tensor:
    rows, back = _grouped(states, group)
    least = rows.amin(-1, keepdim=True)
    step = (rows.amax(-1, keepdim=True) - least).clamp(min=1e-30) / _LEVELS
    return back(least + torch.floor((rows - least) / step + 0.5) * step)


def _grouped(values: Tensor, group: int) -> tuple[Tensor, Any]:
    """Return the values with a last axis of one scale each, and the function that undoes it."""
    if not group or values.shape[-1] % group:
        return values, lambda rows: rows
    return values.unflatten(-1, (-1, group)), lambda rows: rows.flatten(-2)
