"""Smoothing of the feed-forward part: its large units get smaller, and the weights that read them larger.

    down(y) = (down * s)(y / s)      s large for units with large values and small weights

A unit that is a hundred times the others takes nearly all levels of a token's scale, and the rounding error
of its weight is multiplied by its value; a large weight takes the levels of its output's other weights. C
divides where it computes the activation: one multiplication for each unit. Source: G. Xiao et al.,
SmoothQuant (2023), section 4; there a normalisation takes the factor.

The inputs of all other maps come from attention, or from a normalisation that is the residual as well. On 12
layers of 768 with such units, smoothing them gained less (docs/int8.md).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from baselines.encoding.batching import Padded
from optimized.native.layout import Arrays, Floats, Layout
from optimized.native.packing import quantise

FLOOR = 0.05
"""Values and weights count as this share of their median at least: a unit may be larger later."""

ROWS = 256
"""Tokens on which errors are compared, at equal distances over all."""


def smooth(
    maps: Sequence[Any], run: Callable[[Padded], object], inputs: Sequence[Padded], layout: Layout
) -> dict[int, Floats]:
    """Smooth the second linear maps of the layers in place; return the factors of the units, by layer.

    `run` calls the model that holds the maps. Its answers stay the same: a hook of each map multiplies its
    inputs by the factors, as C does.
    """
    factors: dict[int, Floats] = {}
    for depth, (linear, rows) in enumerate(zip(maps, _inputs_of(maps, run, inputs), strict=True)):
        weight: Floats = linear.weight.detach().numpy()
        scales = _scales(rows, weight, layout)
        if scales is not None:
            factors[depth] = np.float32(1) / scales
            divide_inputs(linear, scales)
    return factors


def divide_inputs(linear: Any, scales: Floats) -> None:  # noqa: ANN401 -- torch has no types
    """Let a map divide its inputs by the scales, and multiply its weights by them: its outputs stay."""
    divisors = linear.weight.new_tensor(scales)
    linear.weight.data.mul_(divisors)
    linear.register_forward_pre_hook(lambda _map, arguments: (arguments[0] / divisors,))


def arrays_of(factors: Mapping[int, Floats], layout: Layout) -> Arrays:
    """Return the factors as the arrays that C reads, padded to full vectors."""
    return {
        f"layer.{depth}.up.factors": np.pad(factor, (0, -len(factor) % layout.lanes))
        for depth, factor in factors.items()
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
