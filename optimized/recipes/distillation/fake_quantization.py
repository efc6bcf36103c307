"""Quantisation-aware training: the student answers as `native-int8` would, and learns to answer well so.

    weights of a layer's linear maps   -127 to 127, a scale for each output
    their inputs                       256 levels, a scale and a least value for each token

Values are rounded in the forward pass; gradients pass as if they were not (Jacob et al. 2018, arXiv
1712.05877, section 3; the straight-through estimator of Bengio et al. 2013). The products of attention, which
`native-int8` rounds to 13 bits and more, and its smoothing of feed-forward units are not simulated.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module

from baselines.models.families.layers import stacked_layers

_WEIGHT_MAX = 127
_LEVELS = 255


class FakeQuantized(Module):  # type: ignore[misc]  # mypy does not follow torch
    """A classifier whose linear maps in layers compute with rounded weights and inputs.

    It has no state of its own: the model's weights stay float32, and the model is left as it was after each
    pass.
    """

    def __init__(self, model: Module) -> None:
        super().__init__()
        self._model = model

    def forward(self, **inputs: Tensor) -> Any:  # noqa: ANN401 -- what the model returns
        """Return the model's output with rounded weights and activations."""
        linears = linears_of_layers(self._model)
        weights = {f"{name}.weight": rounded_weights(linear.weight) for name, linear in linears.items()}
        with ExitStack() as hooks:
            for linear in linears.values():
                hooks.enter_context(_rounding_inputs(linear))
            return torch.func.functional_call(self._model, weights, kwargs=inputs)


def linears_of_layers(model: Module) -> dict[str, Linear]:
    """Return the linear maps of the layers by their names in the model."""
    inside = {id(module) for layer in stacked_layers(model) for module in layer.modules()}
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Linear) and id(module) in inside
    }


def rounded_weights(weight: Tensor) -> Tensor:
    """Return weights [outputs, inputs] on the grid of integers from -127 to 127 times each output's scale."""
    return _rounded(weight, weight.detach().abs().amax(1) / _WEIGHT_MAX, -_WEIGHT_MAX, _WEIGHT_MAX)


def rounded_inputs(states: Tensor) -> Tensor:
    """Return states [..., width] on 256 levels between the least and the greatest value of each token."""
    tokens = states.float().flatten(0, -2)
    least = tokens.detach().amin(1, keepdim=True)
    scales = (tokens.detach().amax(1) - least[:, 0]) / _LEVELS
    return (least + _rounded(tokens - least, scales, 0, _LEVELS)).view(states.shape)


def _rounded(rows: Tensor, scales: Tensor, low: int, high: int) -> Tensor:
    """Round each row to `low` to `high` times its scale; the gradient is that of the rows themselves."""
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    scales = torch.where(scales > 0, scales, 1)  # of equal values, which stay as they are
    return torch.fake_quantize_per_channel_affine(rows.float(), scales, zeros, 0, low, high)


@contextmanager
def _rounding_inputs(linear: Linear) -> Iterator[None]:
    handle = linear.register_forward_pre_hook(lambda _, inputs: (rounded_inputs(inputs[0]), *inputs[1:]))
    try:
        yield
    finally:
        handle.remove()
