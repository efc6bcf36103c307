"""A model of transformers as the arrays that the C encoder reads (kernels/encoder.c).

Linear maps of layers are rounded to bytes, a scale for each output, and laid out as vectors of this CPU read
them; the rest stays float32. Heads of an odd size get one more output, which is always 0. What attention
divides scores by is multiplied into the queries' weights, and log2(e), for C takes a power of two where
softmax has one of e.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.models.resize import Layer, encoder_of, layers_of, pooling_of
from baselines.models.shape import shape_of
from baselines.models.span_classifier import SPANS, SpanClassifier
from harness.common.errors import CheckpointError
from optimized.native.layout import ACTIVATIONS, Arrays, Facts, Floats, Layout

_Map = tuple[Floats, Floats]
"""Weight [outputs, inputs] and bias of a linear map."""

_TANH, _RELU = 1, 2  # of the dense layer between encoder and labels, as kernels/encoder.c numbers them


def extract(model: Any, layout: Layout, where: str) -> tuple[Facts, Arrays]:  # noqa: ANN401 -- no types
    """Return a classifier's numbers and arrays; CheckpointError for a family or activation that C has not."""
    config = model.config.to_dict()
    shape = shape_of(config, where)
    if shape.activation not in ACTIVATIONS:
        raise CheckpointError(
            f"the activation {shape.activation} is not one of {', '.join(ACTIVATIONS)}.",
            where=where,
            remedy="Use onnx-int8.",
        )
    spans = SPANS if isinstance(model, SpanClassifier) else 0
    dense, labels = pooling_of(model)
    embeddings = encoder_of(model).embeddings
    types = getattr(embeddings, "token_type_embeddings", None)
    arrays: Arrays = {
        "words": _floats(embeddings.word_embeddings.weight),
        "positions": _floats(embeddings.position_embeddings.weight)[_first_position(model.config) :],
        "types": _floats(types.weight) if types is not None else np.zeros((1, shape.hidden), np.float32),
        **_normalisation("embeddings", embeddings.LayerNorm, layout.lanes),
        "label": _floats(labels.weight),
        "label_bias": _floats(labels.bias),
    }
    if dense is not None:
        arrays |= {"dense": _floats(dense.weight), "dense_bias": _floats(dense.bias)}
    for depth, (layer, norms) in enumerate(zip(layers_of(model), _norms(model), strict=True)):
        arrays |= _layer(f"layer.{depth}", layer, norms, layout)
    facts = Facts(
        layers=shape.layers,
        hidden=shape.hidden,
        labels=int(labels.out_features),
        dense_outputs=0 if dense is None else int(dense.out_features),
        dense_activation=0 if dense is None else _RELU if hasattr(model, "pre_classifier") else _TANH,
        spans=spans,
        segments=len(arrays["types"]),
        epsilon=float(getattr(model.config, "layer_norm_eps", 1e-12)),
        head_size=shape.head_size + shape.head_size % 2,
        activation=ACTIVATIONS[shape.activation],
        heads=shape.heads,
        ffn=shape.ffn,
    )
    return facts, {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def pack(weight: Floats, layout: Layout) -> npt.NDArray[np.int8]:
    """Return bytes [outputs, inputs] as kernels/products.h reads them, flat.

    Panels of outputs, steps of inputs, vectors, groups, lanes, and four inputs; what fills up is 0.
    """
    lanes, step = layout.lanes, 4 * layout.groups
    vectors, steps = -(-weight.shape[0] // lanes), -(-weight.shape[1] // step)
    whole = np.zeros((vectors * lanes, steps * step), np.int8)
    whole[: weight.shape[0], : weight.shape[1]] = weight
    # [vector, lane, step, group, four] -> [step, vector, group, lane, four]
    pieces = whole.reshape(vectors, lanes, steps, layout.groups, 4).transpose(2, 0, 3, 1, 4)
    panels = np.array_split(np.arange(vectors), -(-vectors // layout.vectors))
    return np.concatenate([pieces[:, panel].ravel() for panel in panels])


def rounded(weight: Floats, layout: Layout) -> tuple[Floats, Floats]:
    """Return whole numbers [outputs, inputs] and the unit of each output, by which they are to be multiplied.

    The largest of an output is `layout.weight_max`, or less where sums in 16 bits could overflow.
    """
    units = np.abs(weight).max(axis=1) / layout.weight_max
    units = np.where(units > 0, units, 1).astype(np.float32)
    whole = np.rint(weight / units[:, None])
    while (excess := _excess(whole, layout)).max() > 1:
        # a little more than asked, since rounding may take a sum up again
        units = np.where(excess > 1, units * excess * np.float32(1.01), units).astype(np.float32)
        whole = np.rint(weight / units[:, None])
    return whole.astype(np.float32), units


def _excess(whole: Floats, layout: Layout) -> Floats:
    """Return how many times too large each output's sums in 16 bits could become; 1 at most is fine.

    Lanes of 16 bits hold two neighbouring products of each group of a step. Activations are not negative, so
    the largest sum is that of the positive weights, and the least that of the negative ones.
    """
    if layout.groups == 1:  # sums in 32 bits
        return np.ones(len(whole), np.float32)
    step = 4 * layout.groups
    filled = np.pad(whole, ((0, 0), (0, -whole.shape[1] % step)))
    lanes = filled.reshape(len(whole), -1, layout.groups, 2, 2)
    sums = [np.clip(sign * lanes, 0, None).sum(axis=(2, 4)).max(axis=(1, 2)) for sign in (1, -1)]
    found: Floats = np.maximum(*sums) * layout.activation_max / np.iinfo(np.int16).max
    return found


def _layer(name: str, layer: Layer, norms: tuple[Any, Any], layout: Layout) -> Arrays:
    shrink = np.float32(layer.head_size**-0.5 * np.log2(np.e))
    maps = {
        "query": (_floats(layer.query.weight) * shrink, _floats(layer.query.bias) * shrink),
        **{
            part: (_floats(getattr(layer, part).weight), _floats(getattr(layer, part).bias))
            for part in ("key", "value", "out", "up", "down")
        },
    }
    if layer.head_size % 2:
        maps |= _even(maps, layer.head_size)
    arrays: Arrays = {}
    for part, (weight, bias) in maps.items():
        arrays |= _linear(f"{name}.{part}", weight, bias, layout)
    for at, norm in enumerate(norms):
        arrays |= _normalisation(f"{name}.norm.{at}", norm, layout.lanes)
    return arrays


def _even(maps: Mapping[str, _Map], head_size: int) -> dict[str, _Map]:
    """Return maps whose heads have one more output, always 0: C multiplies queries and keys two by two."""

    def widened(array: Floats) -> Floats:
        """Along the first axis."""
        heads = array.reshape(-1, head_size, *array.shape[1:])
        return np.pad(heads, ((0, 0), (0, 1), *((0, 0),) * (array.ndim - 1))).reshape(-1, *array.shape[1:])

    made = {part: (widened(maps[part][0]), widened(maps[part][1])) for part in ("query", "key", "value")}
    weight, bias = maps["out"]
    return {**made, "out": (widened(weight.T).T, bias)}


def _linear(name: str, weight: Floats, bias: Floats, layout: Layout) -> Arrays:
    whole, units = rounded(weight, layout)
    return {
        f"{name}.weights": pack(whole, layout),
        f"{name}.units": _filled(units, layout.lanes),
        f"{name}.sums": _filled(whole.sum(axis=1) * units, layout.lanes),
        f"{name}.bias": _filled(bias, layout.lanes),
    }


def _normalisation(name: str, norm: Any, lanes: int) -> Arrays:  # noqa: ANN401
    gain, shift = _filled(_floats(norm.weight), lanes), _filled(_floats(norm.bias), lanes)
    return {f"{name}.gain": gain, f"{name}.shift": shift}


def _norms(model: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    encoder = encoder_of(model)
    if hasattr(encoder, "transformer"):
        return [(layer.sa_layer_norm, layer.output_layer_norm) for layer in encoder.transformer.layer]
    return [(layer.attention.output.LayerNorm, layer.output.LayerNorm) for layer in encoder.encoder.layer]


def _first_position(config: Any) -> int:  # noqa: ANN401
    """Return the row of the first token's position: RoBERTa counts from the padding id + 1."""
    return int(config.pad_token_id) + 1 if config.model_type == "roberta" else 0


def _filled(row: Floats, lanes: int) -> Floats:
    return np.pad(row.astype(np.float32), (0, -len(row) % lanes))


def _floats(tensor: Any) -> Floats:  # noqa: ANN401
    found: Floats = tensor.detach().numpy().astype(np.float32)
    return found
