"""A model of transformers as the arrays that the C encoder reads (kernels/encoder.c).

    linear maps of layers --quantise--> int8, a scale per output --pack--> the order in which C reads them
    everything else       ------------------------------------> float32

Heads of an odd size get one more output, which is always 0. The weights of queries are multiplied by the
scale of attention's scores, and by log2(e), because C's softmax computes powers of 2 in place of e.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.models.resize import Layer, encoder_of, layers_of, pooling_of
from baselines.models.shape import shape_of
from baselines.models.span_classifier import SPANS, SpanClassifier
from harness.common.errors import UnsupportedError
from optimized.native.layout import ACTIVATIONS, Arrays, Floats, Layout, ModelFields

_Linear = tuple[Floats, Floats]
"""Weight [outputs, inputs] and bias of a linear map."""

_TANH, _RELU = 1, 2  # activations of the dense layer before the labels, as kernels/encoder.c numbers them


def extract(model: Any, layout: Layout, where: str) -> tuple[ModelFields, Arrays]:  # noqa: ANN401 -- no types
    """Return a classifier's fields and arrays; CheckpointError for an unsupported family or activation."""
    config = model.config.to_dict()
    shape = shape_of(config, where)
    if shape.activation not in ACTIVATIONS:
        raise UnsupportedError(
            f"the activation {shape.activation} is not one of {', '.join(ACTIVATIONS)}.",
            where=where,
            remedy="Use onnx-int8.",
        )
    if config["model_type"] not in ("bert", "roberta", "distilbert"):
        raise UnsupportedError(
            f"native-int8 does not support the family {config['model_type']}.",
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
    fields = ModelFields(
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
    return fields, {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def pack(weight: Floats, layout: Layout) -> npt.NDArray[np.int8]:
    """Return integers [outputs, inputs] as flat bytes, in the order in which kernels/products.h reads them.

    The order is panels of outputs, steps of inputs, vectors, groups, lanes, and four inputs; padding is 0.
    """
    lanes, step = layout.lanes, 4 * layout.groups
    vectors, steps = -(-weight.shape[0] // lanes), -(-weight.shape[1] // step)
    padded = np.zeros((vectors * lanes, steps * step), np.int8)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    # [vector, lane, step, group, four] -> [step, vector, group, lane, four]
    ordered = padded.reshape(vectors, lanes, steps, layout.groups, 4).transpose(2, 0, 3, 1, 4)
    panels = np.array_split(np.arange(vectors), -(-vectors // layout.vectors))
    return np.concatenate([ordered[:, panel].ravel() for panel in panels])


def quantise(weight: Floats, layout: Layout) -> tuple[Floats, Floats]:
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


def _overflow(integers: Floats, layout: Layout) -> Floats:
    """Return for each output its largest possible sum divided by the largest int16; above 1 it can overflow.

    Lanes of 16 bits hold two neighbouring products of each group of a step. Activations are not negative, so
    the largest sum is that of the positive weights, and the smallest that of the negative ones.
    """
    if layout.groups == 1:  # sums in 32 bits
        return np.ones(len(integers), np.float32)
    step = 4 * layout.groups
    padded = np.pad(integers, ((0, 0), (0, -integers.shape[1] % step)))
    lanes = padded.reshape(len(integers), -1, layout.groups, 2, 2)
    sums = [np.clip(sign * lanes, 0, None).sum(axis=(2, 4)).max(axis=(1, 2)) for sign in (1, -1)]
    overflow: Floats = np.maximum(*sums) * layout.activation_max / np.iinfo(np.int16).max
    return overflow


def _layer(name: str, layer: Layer, norms: tuple[Any, Any], layout: Layout) -> Arrays:
    score_scale = np.float32(layer.head_size**-0.5 * np.log2(np.e))
    linears = {
        "query": (_floats(layer.query.weight) * score_scale, _floats(layer.query.bias) * score_scale),
        **{
            linear: (_floats(getattr(layer, linear).weight), _floats(getattr(layer, linear).bias))
            for linear in ("key", "value", "out", "up", "down")
        },
    }
    if layer.head_size % 2:
        linears |= _with_even_heads(linears, layer.head_size)
    arrays: Arrays = {}
    for linear, (weight, bias) in linears.items():
        arrays |= _linear(f"{name}.{linear}", weight, bias, layout)
    for index, norm in enumerate(norms):
        arrays |= _normalisation(f"{name}.norm.{index}", norm, layout.lanes)
    return arrays


def _with_even_heads(linears: Mapping[str, _Linear], head_size: int) -> dict[str, _Linear]:
    """Return the maps of heads with one more output, always 0: C multiplies pairs of outputs."""

    def widened(array: Floats) -> Floats:
        """Along the first axis."""
        heads = array.reshape(-1, head_size, *array.shape[1:])
        return np.pad(heads, ((0, 0), (0, 1), *((0, 0),) * (array.ndim - 1))).reshape(-1, *array.shape[1:])

    wide = {
        name: (widened(linears[name][0]), widened(linears[name][1])) for name in ("query", "key", "value")
    }
    weight, bias = linears["out"]
    return {**wide, "out": (widened(weight.T).T, bias)}


def _linear(name: str, weight: Floats, bias: Floats, layout: Layout) -> Arrays:
    integers, scales = quantise(weight, layout)
    return {
        f"{name}.weights": pack(integers, layout),
        f"{name}.scales": _padded(scales, layout.lanes),
        f"{name}.scaled_sums": _padded(integers.sum(axis=1) * scales, layout.lanes),
        f"{name}.bias": _padded(bias, layout.lanes),
    }


def _normalisation(name: str, norm: Any, lanes: int) -> Arrays:  # noqa: ANN401
    gain, shift = _padded(_floats(norm.weight), lanes), _padded(_floats(norm.bias), lanes)
    return {f"{name}.gain": gain, f"{name}.shift": shift}


def _norms(model: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    encoder = encoder_of(model)
    if hasattr(encoder, "transformer"):
        return [(layer.sa_layer_norm, layer.output_layer_norm) for layer in encoder.transformer.layer]
    return [(layer.attention.output.LayerNorm, layer.output.LayerNorm) for layer in encoder.encoder.layer]


def _first_position(config: Any) -> int:  # noqa: ANN401
    """Return the row of the first token's position: RoBERTa's positions begin after the padding id."""
    return int(config.pad_token_id) + 1 if config.model_type == "roberta" else 0


def _padded(row: Floats, lanes: int) -> Floats:
    return np.pad(row.astype(np.float32), (0, -len(row) % lanes))


def _floats(tensor: Any) -> Floats:  # noqa: ANN401
    array: Floats = tensor.detach().numpy().astype(np.float32)
    return array
