"""Smoothing of the feed-forward part: its large units get smaller, and the weights that read them larger.

    down(y) = (down * s)(y / s)      s large for units with large values and small weights

A unit that is a hundred times the others takes nearly all levels of a token's scale, and the rounding error
of its weight is multiplied by its value; a large weight takes the levels of its output's other weights. A
gated unit is divided in the rows of the map that its gate multiplies, which costs nothing: a row has a scale
of its own. Other units are divided by C where it computes the activation: one multiplication for each. A
layer that runs several times has one factor for all of its runs. Source: G. Xiao et al., SmoothQuant (2023),
section 4; there a normalisation takes the factor.

The inputs of all other maps come from attention, or from a normalisation that is the residual as well. On 12
layers of 768 with such units, smoothing them gained less (docs/explanation/int8.md).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.encoding.batching import Padded
from optimized.native.layout import Arrays, Floats, Layout
from optimized.native.packing import quantise

FLOOR = 0.05
"""Values and weights count as this share of their median at least: a unit may be larger later."""

ROWS = 256
"""Tokens on which errors are compared, at equal distances over all."""


@dataclass(frozen=True, slots=True)
class Units:
    """The linear maps around a layer's feed-forward units.

    `down` reads the units; `up` is the map that gates multiply, None where units have no gates.
    """

    down: Any  # torch has no types
    up: Any = None


def units_of(model: Any) -> list[Units]:  # noqa: ANN401
    """Return the units of each layer that has weights of its own, in the order of their first runs."""
    from baselines.models.families.layers import distinct_layers

    return [Units(layer.down, None if layer.gate is None else layer.up) for layer in distinct_layers(model)]


def smooth(
    layers: Sequence[Units], run: Callable[[Padded], object], inputs: Sequence[Padded], layout: Layout
) -> dict[int, Floats]:
    """Smooth the units of layers in place; return their factors by the number of the layer.

    `run` calls the model that holds the maps. Its answers stay the same: gated units are made smaller, and
    for others a hook of the second map multiplies its inputs by the factors, as C does.
    """
    factors: dict[int, Floats] = {}
    inputs_of_down = _inputs_of([units.down for units in layers], run, inputs)
    for number, (units, rows) in enumerate(zip(layers, inputs_of_down, strict=True)):
        scales = _scales(rows, units.down.weight.detach().numpy(), layout)
        if scales is not None:
            factors[number] = np.float32(1) / scales
            divide_units(units, scales)
    return factors


def divide_units(units: Units, scales: Floats) -> None:
    """Divide the units by the scales, and multiply the weights that read them: the outputs stay."""
    if units.up is None:
        divide_inputs(units.down, scales)
        return
    divisors = units.down.weight.new_tensor(scales)
    units.down.weight.data.mul_(divisors)
    units.up.weight.data.div_(divisors[:, None])
    if units.up.bias is not None:
        units.up.bias.data.div_(divisors)


def divide_inputs(linear: Any, scales: Floats) -> None:  # noqa: ANN401 -- torch has no types
    """Let a map divide its inputs by the scales, and multiply its weights by them: its outputs stay."""
    divisors = linear.weight.new_tensor(scales)
    linear.weight.data.mul_(divisors)
    linear.register_forward_pre_hook(lambda _map, arguments: (arguments[0] / divisors,))


def arrays_of(layers: Sequence[Units], factors: Mapping[int, Floats], layout: Layout) -> Arrays:
    """Return the factors that C multiplies by, padded to full vectors: those of units without gates."""
    return {
        f"layer.{number}.up.factors": np.pad(factor, (0, -len(factor) % layout.lanes))
        for number, factor in factors.items()
        if layers[number].up is None
    }


def facts_of(factors: Mapping[int, Floats], layers: int) -> dict[str, Any]:
    """Return the manifest's fields: the layers that are smoothed, and the largest division of a unit."""
    largest = max((float(1 / factor.min()) for factor in factors.values()), default=1.0)
    return {"layers": sorted(factors), "of": layers, "largest": round(largest, 2)}


def _inputs_of(
    maps: Sequence[Any], run: Callable[[Padded], object], inputs: Sequence[Padded]
) -> list[Floats]:
    """Return what each map reads [tokens, units] while the model answers the inputs."""
    rows: list[list[Floats]] = [[] for _ in maps]

    def keep(to: list[Floats]) -> Callable[[Any, Any], None]:
        return lambda _map, arguments: to.append(
            arguments[0].detach().numpy().reshape(-1, arguments[0].shape[-1])
        )

    with ExitStack() as hooks:
        for linear, to in zip(maps, rows, strict=True):
            hooks.callback(linear.register_forward_pre_hook(keep(to)).remove)
        for padded in inputs:
            run(padded)
    return [np.concatenate(parts) for parts in rows]


def _scales(rows: Floats, weight: Floats, layout: Layout) -> Floats | None:
    """Return the divisor of each unit (SmoothQuant's alpha is 0.5); None where it brings nothing."""
    values, weights = np.abs(rows).max(axis=0), np.abs(weight).max(axis=0)
    if not (np.median(values) > 0 and np.median(weights) > 0):
        return None
    values, weights = (np.maximum(sizes / np.median(sizes), FLOOR) for sizes in (values, weights))
    scales = np.sqrt(values / weights)
    some = rows[np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int)]
    is_nearer = _error(some, weight, scales, layout) < _error(some, weight, np.ones_like(scales), layout)
    return scales if is_nearer else None


def _error(rows: Floats, weight: Floats, scales: Floats, layout: Layout) -> float:
    """Return the mean over tokens of the squared relative error of the outputs, rounded as C does."""
    divided = rows / scales
    least = divided.min(axis=1, keepdims=True)
    steps = (
        np.maximum(divided.max(axis=1, keepdims=True) - least, np.finfo(np.float32).tiny)
        / layout.activation_max
    )
    rounded = least + np.floor((divided - least) / steps + np.float32(0.5)) * steps
    integers, weight_scales = quantise(weight * scales, layout)
    exact = rows @ weight.T
    difference = rounded @ (integers * weight_scales[:, None]).T - exact
    squares = np.square(exact).sum(axis=1, dtype=np.float64)
    return float(np.mean(np.square(difference).sum(axis=1) / np.maximum(squares, np.finfo(np.float32).tiny)))
