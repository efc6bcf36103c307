"""Conversion of a checkpoint to CTranslate2: its model specification, filled from the loaded classifier.

CTranslate2's own converter of BERT reads `position_embedding_type` from transformers' configuration, which
version 5 no longer has, and supports no narrow shapes. Its model specification is public, so this module
fills that. Only the encoder is converted: the head reads one token, or two spans, and is a few small matrices
for numpy.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from baselines.checkpoints.folder import is_span_checkpoint, read_config
from baselines.encoding.batching import Padded
from baselines.models.families import facts_of, require_facts
from baselines.models.families.facts import EncoderFacts, Pooling
from harness.workload.tasks.example import Logits

if TYPE_CHECKING:
    import torch
    from ctranslate2.specs.common_spec import LayerNormSpec, LinearSpec
    from ctranslate2.specs.transformer_spec import (
        TransformerEncoderLayerSpec,
        TransformerEncoderModelSpec,
        TransformerEncoderSpec,
    )

    from baselines.models.families.layers import Layer, Map

MODEL = "ctranslate2"
"""The model's folder in an artifact's folder, since CTranslate2 writes a config.json of its own."""

FULL_RANGE, SEVEN_BITS = 127, 63
"""The largest quantised weight: CTranslate2's own, and the one for AVX2, whose sums would saturate."""

HEAD = "head.safetensors"
"""The file of the head's weights in an artifact's folder."""

_ACTIVATIONS = {"gelu": "GELU", "gelu_new": "GELUTanh", "relu": "RELU", "silu": "SWISH"}


def _gelu(values: Logits) -> Logits:
    from scipy.special import erf

    result: Logits = values * (0.5 + 0.5 * erf(values / np.float32(np.sqrt(2))))
    return result.astype(np.float32)


_HEAD_ACTIVATIONS: Mapping[str, Callable[[Logits], Logits]] = {
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
    "gelu": _gelu,
}
"""The activation between the dense layer of a head and the layer of the labels."""

HiddenStates = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """The head, from hidden states [sequences, tokens, width] to logits, in float32."""

    weights: Mapping[str, Logits]
    activation: Callable[[Logits], Logits]
    pooling: Pooling = "first"

    def logits(self, hidden: HiddenStates, padded: Padded) -> Logits:
        """Return float32 logits [sequences, labels] in the checkpoint's own order."""
        if padded.spans is not None:
            return self._classify(_max_pool(hidden, padded.spans))
        if self.pooling == "first":
            return self._classify(hidden[:, 0])
        if self.pooling == "mean":
            return self._classify(_mean(hidden, padded))
        return _mean(self._classify(hidden), padded)

    def _classify(self, pooled: Logits) -> Logits:
        if "dense.weight" in self.weights:
            pooled = self.activation(self._linear("dense", pooled))
        return self._linear("labels", pooled)

    def _linear(self, name: str, values: Logits) -> Logits:
        bias = self.weights.get(f"{name}.bias", np.float32(0))
        return values @ self.weights[f"{name}.weight"].T + bias


def require_supported(config: Mapping[str, Any], where: str) -> None:
    """Raise UnsupportedError that names what CTranslate2 lacks for the encoder of a configuration."""
    spans = is_span_checkpoint(config)
    remedy = "Use onnx-int8, or a model without it."
    require_facts("CTranslate2", config, where, partial(_missing, spans=spans), remedy)


def _missing(facts: EncoderFacts, *, spans: bool) -> Iterator[str]:
    if facts.windowed:
        yield "windowed attention"
    if facts.disentangled:
        yield "disentangled attention"
    if facts.convolution:
        yield "convolution beside a layer"
    if facts.embedding_projection:
        yield "projection of narrower embeddings"
    if facts.rotary_type != "default":
        yield f"rotary positions of the type {facts.rotary_type}"
    if facts.relative_bias and facts.segments > 1:
        yield "relative position bias beside segments"
    yield from _missing_in_layers(facts)
    if not spans and (facts.head.norm or facts.head.activation not in _HEAD_ACTIVATIONS):
        yield "head with this norm or activation"


def _missing_in_layers(facts: EncoderFacts) -> Iterator[str]:
    heads = sorted({layer.heads for layer in facts.layers})
    if len(heads) > 1:
        yield f"layers unlike in heads: it has one number of heads for all, these have {heads}"
    for activation in sorted({layer.activation for layer in facts.layers} - set(_ACTIVATIONS)):
        yield f"activation {activation}"
    if not all(layer.attention_norm for layer in facts.layers):
        yield "layer without a norm before attention"


def write_model(source: Path, target: Path, largest: int | None) -> None:
    """Write the classifier in `source` to `target`: the encoder for CTranslate2, the head beside it.

    Weights are int8, the largest of each row quantised to `largest`, or float32 if that is None. CTranslate2
    itself uses 127; 63 keeps sums of two products within 16 bits, at which AVX2's instruction saturates.
    """
    from safetensors.numpy import save_file

    from baselines.models.classifier import load_classifier
    from baselines.models.families.layers import facts_about

    model = load_classifier(source)
    spec = _specification(model, facts_about(model))
    if largest:
        _quantise(spec.encoder, largest)
    spec.validate()
    spec.optimize()
    (target / MODEL).mkdir(exist_ok=True)
    spec.save(str(target / MODEL))
    save_file(_head_weights(model), target / HEAD)


def _quantise(encoder: "TransformerEncoderSpec", largest: int) -> None:
    """Quantise in place what CTranslate2 quantises; embeddings are only looked up, so they use all 8 bits."""
    for spec in encoder.embeddings:
        spec.weight, spec.weight_scale = _quantise_rows(spec.weight, FULL_RANGE)
    for layer in encoder.layer:
        gate = [layer.ffn.linear_0_noact] if hasattr(layer.ffn, "linear_0_noact") else []
        for spec in (*layer.self_attention.linear, layer.ffn.linear_0, layer.ffn.linear_1, *gate):
            spec.weight, spec.weight_scale = _quantise_rows(spec.weight, largest)


def _quantise_rows(weight: HiddenStates, largest: int) -> tuple[npt.NDArray[np.int8], HiddenStates]:
    """Return the rows as int8 and the scale of each; the scale of a row of zeros is 1."""
    row_largest = np.abs(weight).max(axis=1)
    scale = (largest / np.where(row_largest > 0, row_largest, largest)).astype(np.float32)
    return np.rint(weight * scale[:, None]).astype(np.int8), scale


def read_head(folder: Path) -> ClassifierHead:
    """Return the head that `write_model` wrote into the folder, which holds config.json too."""
    from safetensors.numpy import load_file

    config = read_config(folder)
    weights = load_file(folder / HEAD)
    if is_span_checkpoint(config):
        weights = {name: weight for name, weight in weights.items() if name.startswith("labels.")}
    head = facts_of(config).head
    return ClassifierHead(weights, _HEAD_ACTIVATIONS.get(head.activation, np.tanh), head.pooling)


def second_input(facts: EncoderFacts) -> Literal["segments", "positions"] | None:
    """Return what is looked up beside the words: CTranslate2 adds a second table of embeddings.

    With a relative position bias it adds no positions of its own, so those are looked up like segments.
    """
    if facts.segments > 1:
        return "segments"
    return "positions" if facts.relative_bias else None


def _specification(model: "torch.nn.Module", facts: EncoderFacts) -> "TransformerEncoderModelSpec":
    from ctranslate2.specs import common_spec, transformer_spec

    from baselines.models.families.layers import encoder_of, layers_of, named

    first, second = facts.layers[0], second_input(facts)
    whole_width = first.heads * facts.head_size == facts.hidden
    encoder = transformer_spec.TransformerEncoderSpec(
        len(facts.layers),
        first.heads,
        pre_norm=first.norm_before,
        no_final_norm=not facts.final_norm,
        activation=common_spec.Activation[_ACTIVATIONS[first.activation]],
        layernorm_embedding=facts.embedding_norm,
        num_source_embeddings=2 if second else 1,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
        relative_attention_bias=facts.relative_bias is not None,
        ffn_glu=first.gated,
        rms_norm=first.norm == "rms",
        num_heads_kv=first.key_value_heads if facts.grouped_keys else None,
        head_dim=None if whole_width else facts.head_size,
        rotary_dim=facts.head_size if "rotary" in facts.positions else None,
        rotary_interleave=False,
        rotary_base=first.rotary_base or 10_000,
    )
    encoder.scale_embeddings = False
    _fill_embeddings(encoder, encoder_of(model), facts, second)
    for spec, layer in zip(encoder.layer, layers_of(model), strict=True):
        _fill_layer(spec, layer)
        if facts.relative_bias:
            (table,) = named(encoder_of(model), facts.modules.relative_bias)
            spec.self_attention.relative_attention_bias = _array(table.weight)
            distance = np.dtype("int32").type(facts.relative_bias.max_distance)
            spec.self_attention.relative_attention_max_distance = distance
    for norm in named(encoder_of(model), facts.modules.final_norm):
        _fill_layer_norm(encoder.layer_norm, norm)
    whole = transformer_spec.TransformerEncoderModelSpec(encoder)
    # requests are ids, so the tokens are never looked up: they must only exist and differ
    whole.register_vocabulary([f"id{number}" for number in range(len(encoder.embeddings[0].weight))])
    whole.config.unk_token = "id0"  # noqa: S105 -- a token of a vocabulary
    whole.config.layer_norm_epsilon = facts.norm_epsilon
    return whole


def _fill_embeddings(
    spec: "TransformerEncoderSpec", encoder: "torch.nn.Module", facts: EncoderFacts, second: str | None
) -> None:
    """Fill in words, segments and positions; the only segment's embedding is added to every word's."""
    from baselines.models.families.layers import named

    modules = facts.modules
    words, *types = (_array(table.weight) for table in named(encoder, modules.words, modules.types))
    positions = [_array(table.weight)[facts.first_position :] for table in named(encoder, modules.positions)]
    spec.embeddings[0].weight = words + types[0][0] if types and second != "segments" else words
    if second:
        spec.embeddings[1].weight = types[0] if second == "segments" else positions[0]
    if positions and second != "positions":
        spec.position_encodings.encodings = positions[0]
    for norm in named(encoder, modules.embedding_norm):
        _fill_layer_norm(spec.layernorm_embedding, norm)


def _fill_layer(spec: "TransformerEncoderLayerSpec", layer: "Layer") -> None:
    from ctranslate2.converters import utils
    from ctranslate2.specs import common_spec

    projections = [common_spec.LinearSpec() for _ in range(3)]
    for projection, part in zip(projections, (layer.query, layer.key, layer.value), strict=True):
        _fill_linear(projection, part)
    utils.fuse_linear(spec.self_attention.linear[0], projections)
    _fill_linear(spec.self_attention.linear[1], layer.out)
    # with a gate, the first map is the one that is activated
    _fill_linear(spec.ffn.linear_0, layer.gate or layer.up)
    if layer.gate is not None:
        _fill_linear(spec.ffn.linear_0_noact, layer.up)
    _fill_linear(spec.ffn.linear_1, layer.down)
    for block, norm in ((spec.self_attention, layer.attention_norm), (spec.ffn, layer.ffn_norm)):
        _fill_layer_norm(block.layer_norm, norm)


def _fill_linear(spec: "LinearSpec", part: "Map") -> None:
    spec.weight = _array(part.weight)
    if part.bias is not None:
        spec.bias = _array(part.bias)


def _fill_layer_norm(spec: "LayerNormSpec", norm: "torch.nn.Module") -> None:
    spec.gamma = _array(norm.weight)
    if hasattr(spec, "beta"):
        bias = getattr(norm, "bias", None)
        spec.beta = np.zeros_like(spec.gamma) if bias is None else _array(bias)


def _head_weights(model: "torch.nn.Module") -> dict[str, Logits]:
    from baselines.models.families.layers import pooling_of

    dense, labels = pooling_of(model)
    modules = {"dense": dense, "labels": labels}
    return {
        f"{name}.{part}": _array(getattr(module, part))
        for name, module in modules.items()
        if module is not None
        for part in ("weight", "bias")
        if getattr(module, part) is not None
    }


def _array(tensor: "torch.Tensor") -> HiddenStates:
    return np.array(tensor.detach().numpy(), dtype=np.float32)


def _mean(states: HiddenStates, padded: Padded) -> Logits:
    """Return the mean over the tokens that are no padding, [sequences, width]."""
    weights = padded.mask[..., None].astype(np.float32)
    mean: Logits = (states * weights).sum(axis=1) / weights.sum(axis=1)
    return mean


def _max_pool(hidden: HiddenStates, spans: npt.NDArray[np.int64]) -> HiddenStates:
    """Return the largest value of each span, spans side by side: [sequences, spans * width]."""
    return np.stack(
        [
            np.concatenate([states[start:end].max(axis=0) for start, end in sequence_spans])
            for states, sequence_spans in zip(hidden, spans, strict=True)
        ]
    )
