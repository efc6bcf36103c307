"""A model of transformers as the arrays that the C encoder reads (kernels/model.h).

    facts about the family (baselines/models/families) --> which parts a layer has, and where they are
    linear maps of layers --quantise--> int8, a scale per output --pack--> the order in which C reads them
    everything else       ------------------------------------> float32

Heads of an odd size get one more output, which is always 0. The weights of queries are multiplied by the
scale of attention's scores, and by log2(e), because C's softmax computes powers of 2 in place of e.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.models.families import facts_of
from baselines.models.families.facts import EncoderFacts, LayerFacts
from baselines.models.span_classifier import SPANS, SpanClassifier
from optimized.native.distances import rotation_frequencies
from optimized.native.layout import (
    ACTIVATIONS,
    DENSE_ACTIVATIONS,
    NO_WINDOW,
    POOLING,
    Arrays,
    Buckets,
    Floats,
    Layout,
    ModelFields,
)
from optimized.native.supported import require_supported

_Linear = tuple[Floats, Floats]
"""Weight [outputs, inputs] and bias of a linear map."""

_LOG2_E = np.float32(np.log2(np.e))


def extract(model: Any, layout: Layout, where: str) -> tuple[ModelFields, Arrays]:  # noqa: ANN401 -- no types
    """Return a classifier's fields and arrays; CheckpointError for one that the encoder cannot compute."""
    facts = facts_of(model.config.to_dict(), where)
    spans = SPANS if isinstance(model, SpanClassifier) else 0
    require_supported(facts, where, spans=bool(spans))
    encoder = model.encoder if spans else model.get_submodule(facts.modules.prefix)
    layers = list(dict.fromkeys(facts.modules.layers))
    bases = list(dict.fromkeys(layer.rotary_base for layer in facts.layers if layer.rotary_base is not None))
    arrays = {
        **_embeddings(encoder, facts, layout),
        **_distances(encoder, facts),
        **_head(model, facts, layout, spans=bool(spans)),
    }
    for number, base in enumerate(bases):
        arrays[f"rotation.{number}.frequencies"] = rotation_frequencies(base, facts.head_size)
    for number, name in enumerate(layers):
        layer = facts.layers[facts.modules.layers.index(name)]
        arrays |= _layer(f"layer.{number}", encoder, name, layer, facts, layout)
    first = facts.layers[0]
    fields = ModelFields(
        layers=len(facts.layers),
        hidden=facts.hidden,
        embedding=arrays["words"].shape[1],
        labels=len(arrays["label"]),
        dense_outputs=len(arrays["dense"]) if "dense" in arrays else 0,
        dense_activation=DENSE_ACTIVATIONS[facts.head.activation] if "dense" in arrays else 0,
        pooling=POOLING["spans" if spans else facts.head.pooling],
        spans=spans,
        segments=len(arrays["types"]),
        epsilon=facts.norm_epsilon,
        root_norm=facts.norm == "rms",
        head_size=facts.head_size + facts.head_size % 2,
        activation=ACTIVATIONS[first.activation],
        pre_norm=first.norm_before,
        gated=first.gated,
        heads=tuple(layer.heads for layer in facts.layers),
        ffn=tuple(layer.ffn for layer in facts.layers),
        windows=tuple(
            NO_WINDOW if layer.attention_window is None else layer.attention_window for layer in facts.layers
        ),
        sources=tuple(layers.index(name) for name in facts.modules.layers),
        rotations=tuple(
            -1 if layer.rotary_base is None else bases.index(layer.rotary_base) for layer in facts.layers
        ),
        buckets=_buckets(facts),
    )
    return fields, {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _embeddings(encoder: Any, facts: EncoderFacts, layout: Layout) -> Arrays:  # noqa: ANN401
    """Return the tables of embeddings, their normalisation, and their projection.

    A projection that comes before the normalisation, as DeBERTa's, is multiplied into the tables.
    """
    modules = facts.modules
    tables = {"words": _floats(encoder.get_submodule(modules.words).weight)}
    if modules.positions:
        tables["positions"] = _floats(encoder.get_submodule(modules.positions).weight)[facts.first_position :]
    width = tables["words"].shape[1]
    types = encoder.get_submodule(modules.types).weight if modules.types else None
    tables["types"] = _floats(types) if types is not None else np.zeros((1, width), np.float32)
    arrays: Arrays = dict(tables)
    norm = encoder.get_submodule(modules.embedding_norm) if modules.embedding_norm else None
    if modules.embedding_projection:
        weight, bias = _linear_of(encoder.get_submodule(modules.embedding_projection))
        if norm is not None and len(norm.weight) == width:
            arrays |= _linear("project", weight, bias, layout)
        else:
            arrays = {name: table @ weight.T for name, table in tables.items()}
            arrays["words"] += bias
    if norm is not None:
        arrays |= _normalisation("embeddings", norm, layout.lanes)
    if modules.final_norm:
        arrays |= _normalisation("last", encoder.get_submodule(modules.final_norm), layout.lanes)
    return arrays


def _head(model: Any, facts: EncoderFacts, layout: Layout, *, spans: bool) -> Arrays:  # noqa: ANN401
    labels = model.classifier if spans else model.get_submodule(facts.head.labels)
    weight, bias = _linear_of(labels)
    arrays: Arrays = {"label": weight, "label_bias": bias}
    if spans:
        return arrays
    arrays["dense"], arrays["dense_bias"] = _linear_of(model.get_submodule(facts.head.dense))
    if facts.head.norm:
        arrays |= _normalisation("dense_norm", model.get_submodule(facts.head.norm), layout.lanes)
    return arrays


def _buckets(facts: EncoderFacts) -> Buckets | None:
    if facts.relative_bias is not None:
        return Buckets("relative-bias", facts.relative_bias.buckets, facts.relative_bias.max_distance)
    if facts.disentangled is not None:
        return Buckets("disentangled", facts.disentangled.buckets, facts.disentangled.max_distance)
    return None


def _distances(encoder: Any, facts: EncoderFacts) -> Arrays:  # noqa: ANN401
    """Return the bias of scores for each bucket of distances, for models that have one."""
    if not facts.modules.relative_bias:
        return {}
    return {"score_bias": _floats(encoder.get_submodule(facts.modules.relative_bias).weight) * _LOG2_E}


def _distance_vectors(encoder: Any, name: str, facts: EncoderFacts, maps: Mapping[str, _Linear]) -> Arrays:  # noqa: ANN401
    """Return keys and queries [rows, components] of a layer's embeddings of relative positions."""
    attention, modules = facts.disentangled, facts.modules
    if attention is None:
        return {}
    embeddings = encoder.get_submodule(modules.relative_embeddings).weight
    if modules.relative_norm:
        embeddings = encoder.get_submodule(modules.relative_norm)(embeddings)
    embeddings = _floats(embeddings)[: 2 * attention.span]
    query, key = maps["query"], maps["key"]
    if modules.layer.position_key:
        key = _linear_of(encoder.get_submodule(f"{name}.{modules.layer.position_key}"))
    if modules.layer.position_query:
        scale = _score_scale(facts)
        weight, bias = _linear_of(encoder.get_submodule(f"{name}.{modules.layer.position_query}"))
        query = weight * scale, bias * scale
    vectors = {}
    if attention.content_to_position:
        vectors["distance_keys"] = embeddings @ key[0].T + key[1]
    if attention.position_to_content:
        vectors["distance_queries"] = embeddings @ query[0].T + query[1]
    return vectors


def _score_scale(facts: EncoderFacts) -> np.float32:
    terms = facts.disentangled.terms if facts.disentangled else 1
    return np.float32((facts.head_size * terms) ** -0.5) * _LOG2_E


def pack(weight: Floats, layout: Layout, *, gated: bool = False) -> npt.NDArray[np.int8]:
    """Return integers [outputs, inputs] as flat bytes, in the order in which kernels/products.h reads them.

    The order is panels of outputs, steps of inputs, vectors, groups, lanes, and four inputs; padding is 0.
    Panels of a `gated` map hold pairs of vectors.
    """
    lanes, step = layout.lanes, 4 * layout.groups
    vectors, steps = -(-weight.shape[0] // lanes), -(-weight.shape[1] // step)
    padded = np.zeros((vectors * lanes, steps * step), np.int8)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    # [vector, lane, step, group, four] -> [step, vector, group, lane, four]
    ordered = padded.reshape(vectors, lanes, steps, layout.groups, 4).transpose(2, 0, 3, 1, 4)
    unit = 2 if gated else 1
    units, most = np.arange(vectors).reshape(-1, unit), layout.vectors // unit
    panels = [panel.ravel() for panel in np.array_split(units, -(-len(units) // most))]
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


def _layer(
    name: str,
    encoder: Any,  # noqa: ANN401
    module: str,
    layer: LayerFacts,
    facts: EncoderFacts,
    layout: Layout,
) -> Arrays:
    parts = facts.modules.layer
    maps = _attention_maps(encoder.get_submodule(module), layer, facts)
    distances = _distance_vectors(encoder, module, facts, maps)
    if facts.head_size % 2:
        maps = _with_even_heads(maps, facts.head_size)
        distances = {kind: _widened(array.T, facts.head_size).T for kind, array in distances.items()}
    arrays: Arrays = {f"{name}.{kind}": array for kind, array in distances.items()}
    for linear, (weight, bias) in maps.items():
        arrays |= _linear(f"{name}.{linear}", weight, bias, layout)
    up, down = _feed_forward_maps(encoder.get_submodule(module), layer, facts, layout)
    arrays |= _linear(f"{name}.up", *up, layout, gated=layer.gated)
    arrays |= _linear(f"{name}.down", *down, layout)
    for index, norm in enumerate((parts.attention_norm, parts.ffn_norm)):
        if index or layer.attention_norm:
            arrays |= _normalisation(
                f"{name}.norm.{index}", encoder.get_submodule(f"{module}.{norm}"), layout.lanes
            )
    return arrays


def _attention_maps(module: Any, layer: LayerFacts, facts: EncoderFacts) -> dict[str, _Linear]:  # noqa: ANN401
    """Return the maps of queries, scaled, of keys and values, one for each head, and of the output."""
    names, maps = facts.modules.layer, {}
    if names.query_key_value:
        weight, bias = _linear_of(module.get_submodule(names.query_key_value))
        thirds = zip(np.split(weight, 3), np.split(bias, 3), strict=True)
        maps = dict(zip(("query", "key", "value"), thirds, strict=True))
    else:
        maps = {
            kind: _linear_of(module.get_submodule(getattr(names, kind))) for kind in ("query", "key", "value")
        }
    scale = _score_scale(facts)
    maps["query"] = maps["query"][0] * scale, maps["query"][1] * scale
    if layer.key_value_heads != layer.heads:
        for kind in ("key", "value"):
            weight, bias = maps[kind]
            repeats = layer.heads // layer.key_value_heads
            maps[kind] = (
                _repeated(weight, facts.head_size, repeats),
                _repeated(bias, facts.head_size, repeats),
            )
    maps["out"] = _linear_of(module.get_submodule(names.out))
    return maps


def _repeated(array: Floats, head_size: int, times: int) -> Floats:
    """Repeat heads along the first axis: several queries' heads share a key's."""
    heads = array.reshape(-1, head_size, *array.shape[1:])
    return np.repeat(heads, times, axis=0).reshape(-1, *array.shape[1:])


def _feed_forward_maps(
    module: Any,  # noqa: ANN401
    layer: LayerFacts,
    facts: EncoderFacts,
    layout: Layout,
) -> tuple[_Linear, _Linear]:
    """Return both maps; a gated first one has a vector of gates before each vector of what they multiply."""
    names = facts.modules.layer
    down = _linear_of(module.get_submodule(names.down))
    if not layer.gated:
        return _linear_of(module.get_submodule(names.up)), down
    if names.gate_up:
        weight, bias = _linear_of(module.get_submodule(names.gate_up))
        weights, biases = np.split(weight, 2), np.split(bias, 2)
    else:
        maps = [_linear_of(module.get_submodule(name)) for name in (names.gate, names.up)]
        weights, biases = [weight for weight, _ in maps], [bias for _, bias in maps]
    return (_alternating(weights, layout.lanes), _alternating(biases, layout.lanes)), down


def _alternating(parts: list[Floats], lanes: int) -> Floats:
    """Return a vector of rows of the first array, one of the second, and so on; both are padded with 0."""
    padded = [np.pad(part, ((0, -len(part) % lanes), *((0, 0),) * (part.ndim - 1))) for part in parts]
    vectors = np.stack([part.reshape(-1, lanes, *part.shape[1:]) for part in padded], axis=1)
    return vectors.reshape(-1, *parts[0].shape[1:])


def _with_even_heads(maps: Mapping[str, _Linear], head_size: int) -> dict[str, _Linear]:
    """Return the maps of heads with one more output, always 0: C multiplies pairs of outputs."""
    wide = {
        name: (_widened(maps[name][0], head_size), _widened(maps[name][1], head_size))
        for name in ("query", "key", "value")
    }
    weight, bias = maps["out"]
    return {**wide, "out": (_widened(weight.T, head_size).T, bias)}


def _widened(array: Floats, head_size: int) -> Floats:
    """Give each head along the first axis one more row, of zeros."""
    heads = array.reshape(-1, head_size, *array.shape[1:])
    return np.pad(heads, ((0, 0), (0, 1), *((0, 0),) * (array.ndim - 1))).reshape(-1, *array.shape[1:])


def _linear(name: str, weight: Floats, bias: Floats, layout: Layout, *, gated: bool = False) -> Arrays:
    integers, scales = quantise(weight, layout)
    return {
        f"{name}.weights": pack(integers, layout, gated=gated),
        f"{name}.scales": _padded(scales, layout.lanes),
        f"{name}.scaled_sums": _padded(integers.sum(axis=1) * scales, layout.lanes),
        f"{name}.bias": _padded(bias, layout.lanes),
    }


def _normalisation(name: str, norm: Any, lanes: int) -> Arrays:  # noqa: ANN401
    """Return a normalisation's gains and shifts; the shifts are 0 where it has none."""
    gain, bias = _floats(norm.weight), getattr(norm, "bias", None)
    shift = _floats(bias) if bias is not None else np.zeros_like(gain)
    return {f"{name}.gain": _padded(gain, lanes), f"{name}.shift": _padded(shift, lanes)}


def _linear_of(module: Any) -> _Linear:  # noqa: ANN401
    """Return a linear module's weight and bias; the bias is 0 where it has none."""
    weight, bias = _floats(module.weight), getattr(module, "bias", None)
    return weight, _floats(bias) if bias is not None else np.zeros(len(weight), np.float32)


def _padded(row: Floats, lanes: int) -> Floats:
    return np.pad(row.astype(np.float32), (0, -len(row) % lanes))


def _floats(tensor: Any) -> Floats:  # noqa: ANN401
    array: Floats = tensor.detach().numpy().astype(np.float32)
    return array
