"""The layout of weights in the C encoder: quantised, and in the order in which C reads them; numpy alone.

    weights [outputs, inputs] --quantise--> integers, scales --pack--> bytes (kernels/products.h)
                                            integers       <--unpack--

`bench export` copies this file, so it imports nothing of this project.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_ALL_BYTES = 255


class WeightLayout(Protocol):
    """What a library's layout says about weights (`optimized.native.layout.Layout`)."""

    @property
    def vectors(self) -> int: ...  # noqa: D102
    @property
    def groups(self) -> int: ...  # noqa: D102
    @property
    def activation_max(self) -> int: ...  # noqa: D102
    @property
    def weight_max(self) -> int: ...  # noqa: D102
    @property
    def lane_inputs(self) -> int: ...  # noqa: D102
    @property
    def lanes(self) -> int: ...  # noqa: D102


def pack(weight: Floats, layout: WeightLayout, *, gated: bool = False) -> npt.NDArray[np.int8]:
    """Return integers [outputs, inputs] as flat bytes, in the order in which kernels/products.h reads them.

    The order is panels of outputs, steps of inputs, vectors, groups, lanes, and `lane_inputs` inputs; padding
    is 0. Panels of a `gated` map hold pairs of vectors.
    """
    lanes, step = layout.lanes, layout.lane_inputs * layout.groups
    vectors, steps = -(-weight.shape[0] // lanes), -(-weight.shape[1] // step)
    padded = np.zeros((vectors * lanes, steps * step), np.int8)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    # [vector, lane, step, group, input] -> [step, vector, group, lane, input]
    split = padded.reshape(vectors, lanes, steps, layout.groups, layout.lane_inputs)
    ordered = split.transpose(2, 0, 3, 1, 4)
    panels = _panels(vectors, layout, gated=gated)
    return np.concatenate([ordered[:, panel].ravel() for panel in panels])


def unpack(
    packed: npt.NDArray[np.int8], outputs: int, inputs: int, layout: WeightLayout, *, gated: bool = False
) -> Floats:
    """Return the integers [outputs, inputs] that `pack` arranged."""
    lanes, step = layout.lanes, layout.lane_inputs * layout.groups
    vectors, steps = -(-outputs // lanes), -(-inputs // step)
    ordered = np.empty((steps, vectors, layout.groups, lanes, layout.lane_inputs), np.int8)
    start = 0
    for panel in _panels(vectors, layout, gated=gated):
        part = ordered[:, panel]
        ordered[:, panel] = packed[start : start + part.size].reshape(part.shape)
        start += part.size
    padded = ordered.transpose(1, 3, 0, 2, 4).reshape(vectors * lanes, steps * step)
    return padded[:outputs, :inputs].astype(np.float32)


def _panels(vectors: int, layout: WeightLayout, *, gated: bool) -> list[npt.NDArray[Any]]:
    unit = 2 if gated else 1
    units, most = np.arange(vectors).reshape(-1, unit), layout.vectors // unit
    return [panel.ravel() for panel in np.array_split(units, -(-len(units) // most))]


def quantise(weight: Floats, layout: WeightLayout) -> tuple[Floats, Floats]:
    """Return integers [outputs, inputs] and the scale of each output: their product approximates the weights.

    An output's largest integer is `layout.weight_max`, or less if sums in 16 bits could overflow.
    """
    scales = np.abs(weight).max(axis=1) / layout.weight_max
    scales = np.where(scales > 0, scales, 1).astype(np.float32)
    integers = np.rint(weight / scales[:, None])
    while (overflow := _overflow(integers, layout)).max() > 1:
        # a little more than necessary, because rounding may raise a sum again
        scales = np.where(overflow > 1, scales * overflow * np.float32(1.01), scales).astype(np.float32)
        integers = np.rint(weight / scales[:, None])
    return integers.astype(np.float32), scales


def _overflow(integers: Floats, layout: WeightLayout) -> Floats:
    """Return for each output its largest possible sum divided by the largest int16; above 1 it can overflow.

    Lanes of 16 bits hold two neighbouring products of each group of a step. Activations are not negative, so
    the largest sum is that of the positive weights, and the smallest that of the negative ones.
    """
    if layout.activation_max == _ALL_BYTES:  # sums in 32 bits
        return np.ones(len(integers), np.float32)
    step = 4 * layout.groups
    padded = np.pad(integers, ((0, 0), (0, -integers.shape[1] % step)))
    lanes = padded.reshape(len(integers), -1, layout.groups, 2, 2)
    sums = [np.clip(sign * lanes, 0, None).sum(axis=(2, 4)).max(axis=(1, 2)) for sign in (1, -1)]
    overflow: Floats = np.maximum(*sums) * layout.activation_max / np.iinfo(np.int16).max
    return overflow


def arrange(
    arrays: Mapping[str, npt.NDArray[Any]], description: Mapping[str, Any], numbers: Sequence[int]
) -> dict[str, npt.NDArray[Any]]:
    """Return a model's arrays for another library's layout, by the numbers of its `encoder_layout`.

    `description` is encoder.json (optimized/exported/native.py). Where the library's integers are smaller,
    the weights are rounded again. OSError for a library of other sources, or with wider vectors.
    """
    names = description["layout_names"]
    old, new = (
        SimpleNamespace(
            **dict(zip(names, layout, strict=False)), lanes=layout[names.index("vector_bytes")] // 4
        )
        for layout in (description["layout"], numbers)
    )
    if description["layout"][len(names) :] != list(numbers[len(names) :]):
        raise OSError("the library was not compiled from csrc/ of this folder")
    if new.lanes > old.lanes:
        raise OSError(f"weights for vectors of {old.lanes} numbers cannot be arranged for {new.lanes}")
    changed = dict(arrays)
    values = {name: value for _, name, _, value in description["structures"]}
    for path, array in ((name, value) for name, value in values.items() if name.endswith(".weights")):
        linear, where = array.removesuffix(".weights"), path.removesuffix(".weights")
        outputs, inputs = values[f"{where}.outputs"], values[f"{where}.inputs"]
        gated = where.endswith(".up") and bool(values[f"{where.removesuffix('up')}gated"])
        rows = {name: arrays[f"{linear}.{name}"] for name in ("scales", "scaled_sums", "bias")}
        integers = unpack(arrays[array], outputs, inputs, old, gated=gated)
        if gated:  # a vector of gates goes before each vector of what they multiply
            integers = _regrouped(integers, old.lanes, new.lanes)
            rows = {name: _regrouped(row, old.lanes, new.lanes) for name, row in rows.items()}
        if new.weight_max != old.weight_max:
            integers, rounded = quantise(integers * rows["scales"][:outputs, None], new)
            padding = (0, len(rows["scales"]) - outputs)
            rows["scales"] = np.pad(rounded, padding)
            rows["scaled_sums"] = np.pad(integers.sum(axis=1) * rounded, padding).astype(np.float32)
        changed |= {f"{linear}.{name}": row for name, row in rows.items()}
        changed[array] = pack(integers, new, gated=gated)
    return changed


def _regrouped(rows: npt.NDArray[Any], old: int, new: int) -> npt.NDArray[Any]:
    """Return rows of two kinds that alternate every `old` rows so that they alternate every `new`."""
    split = rows.reshape(-1, 2, old // new, new, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(rows.shape)
