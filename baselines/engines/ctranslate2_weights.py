"""Conversion of a checkpoint to CTranslate2: its model specification, filled from the loaded classifier.

CTranslate2's own converter of BERT reads `position_embedding_type` from transformers' configuration, which
version 5 no longer has, and supports no narrow shapes. Its model specification is public, so this module
fills that. Only the encoder is converted: the head reads one token, or two spans, and is a few small matrices
for numpy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from baselines.checkpoints.folder import is_span_checkpoint, read_config
from baselines.encoding.batching import Padded
from baselines.models.shape import EncoderShape, shape_of
from harness.common.errors import CheckpointError
from harness.workload.tasks.example import Logits

if TYPE_CHECKING:
    import torch
    from ctranslate2.specs.common_spec import LayerNormSpec, LinearSpec
    from ctranslate2.specs.transformer_spec import (
        TransformerEncoderLayerSpec,
        TransformerEncoderModelSpec,
        TransformerEncoderSpec,
    )

    from baselines.models.resize import Layer

MODEL = "ctranslate2"
"""The model's folder in an artifact's folder, since CTranslate2 writes a config.json of its own."""

FULL_RANGE, SEVEN_BITS = 127, 63
"""The largest quantised weight: CTranslate2's own, and the one for AVX2, whose sums would saturate."""

HEAD = "head.safetensors"
"""The file of the head's weights in an artifact's folder."""

FAMILIES = ("BERT", "RoBERTa", "DistilBERT", "MiniLM")
_ACTIVATIONS = {"gelu": "GELU", "gelu_new": "GELUTanh", "relu": "RELU", "silu": "SWISH"}
_HEAD_ACTIVATIONS: Mapping[str, Callable[[Logits], Logits]] = {
    "bert": np.tanh,
    "roberta": np.tanh,
    "distilbert": lambda values: np.maximum(values, 0),
}
"""The activation of each family between the dense layer of its head and the layer of the labels."""

HiddenStates = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """The head, from hidden states [sequences, tokens, width] to logits, in float32."""

    weights: Mapping[str, Logits]
    activation: Callable[[Logits], Logits]

    def logits(self, hidden: HiddenStates, padded: Padded) -> Logits:
        """Return float32 logits [sequences, labels] in the checkpoint's own order."""
        pooled = hidden[:, 0] if padded.spans is None else _max_pool(hidden, padded.spans)
        if "dense.weight" in self.weights:
            pooled = self.activation(self._linear("dense", pooled))
        return self._linear("labels", pooled)

    def _linear(self, name: str, values: Logits) -> Logits:
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]


def require_supported(config: Mapping[str, Any], where: str) -> None:
    """Raise CheckpointError for a family, an activation or heads that CTranslate2 does not support."""
    family = config.get("model_type")
    if family not in _HEAD_ACTIVATIONS:
        raise CheckpointError(
            f"CTranslate2 has no encoder of the family {family or 'without a name'}.",
            where=where,
            remedy=f"It supports {', '.join(FAMILIES)}; for others use onnx-int8.",
        )
    shape = shape_of(config, where)
    if len(set(shape.heads)) > 1:
        raise CheckpointError(
            f"CTranslate2 has one number of heads for all layers; these have {sorted(set(shape.heads))}.",
            where=where,
            remedy="Use onnx-int8, or prune all layers to the same number of heads.",
        )
    if shape.activation not in _ACTIVATIONS:
        raise CheckpointError(
            f"CTranslate2 has no activation {shape.activation}.", where=where, remedy="Use onnx-int8."
        )


def write_model(source: Path, target: Path, largest: int | None) -> None:
    """Write the classifier in `source` to `target`: the encoder for CTranslate2, the head beside it.

    Weights are int8, the largest of each row quantised to `largest`, or float32 if that is None. CTranslate2
    itself uses 127; 63 keeps sums of two products within 16 bits, at which AVX2's instruction saturates.
    """
    from safetensors.numpy import save_file

    from baselines.models.classifier import load_classifier

    model = load_classifier(source)
    spec = _specification(model, shape_of(read_config(source)))
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
        for spec in (*layer.self_attention.linear, layer.ffn.linear_0, layer.ffn.linear_1):
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
    return ClassifierHead(weights, _HEAD_ACTIVATIONS[config["model_type"]])


def _specification(model: "torch.nn.Module", shape: EncoderShape) -> "TransformerEncoderModelSpec":
    from ctranslate2.specs import common_spec, transformer_spec

    from baselines.models.classifier import uses_segments
    from baselines.models.resize import encoder_of, layers_of

    embeddings = encoder_of(model).embeddings
    segments = uses_segments(model)
    encoder = transformer_spec.TransformerEncoderSpec(
        shape.layers,
        shape.heads[0],
        pre_norm=False,
        activation=common_spec.Activation[_ACTIVATIONS[shape.activation]],
        layernorm_embedding=True,
        num_source_embeddings=2 if segments else 1,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
        head_dim=None if shape.stock else shape.head_size,
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = _array(embeddings.word_embeddings.weight)
    if segments:
        encoder.embeddings[1].weight = _array(embeddings.token_type_embeddings.weight)
    encoder.position_encodings.encodings = _positions(embeddings, segments=segments)
    _fill_layer_norm(encoder.layernorm_embedding, embeddings.LayerNorm)
    for spec, layer, norms in zip(encoder.layer, layers_of(model), _layer_norms(model), strict=True):
        _fill_layer(spec, layer, norms)
    whole = transformer_spec.TransformerEncoderModelSpec(encoder)
    # requests are ids, so the tokens are never looked up: they must only exist and differ
    whole.register_vocabulary([f"id{number}" for number in range(len(encoder.embeddings[0].weight))])
    whole.config.unk_token = "id0"  # noqa: S105 -- a token of a vocabulary
    whole.config.layer_norm_epsilon = float(embeddings.LayerNorm.eps)
    return whole


def _positions(embeddings: "torch.nn.Module", *, segments: bool) -> HiddenStates:
    """Return the position embeddings, beginning with the first token's.

    RoBERTa counts positions from the padding id + 1. The embedding of the only segment is added, where there
    is but one.
    """
    offset = getattr(embeddings.position_embeddings, "padding_idx", None)
    positions = _array(embeddings.position_embeddings.weight)[0 if offset is None else offset + 1 :]
    token_types = getattr(embeddings, "token_type_embeddings", None)
    return positions if segments or token_types is None else positions + _array(token_types.weight)[0]


def _layer_norms(model: "torch.nn.Module") -> "list[tuple[torch.nn.LayerNorm, torch.nn.LayerNorm]]":
    """Return each layer's normalisation after attention and after the feed-forward block."""
    from baselines.models.resize import encoder_of

    encoder = encoder_of(model)
    if hasattr(encoder, "transformer"):
        return [(layer.sa_layer_norm, layer.output_layer_norm) for layer in encoder.transformer.layer]
    return [(layer.attention.output.LayerNorm, layer.output.LayerNorm) for layer in encoder.encoder.layer]


def _fill_layer(
    spec: "TransformerEncoderLayerSpec",
    layer: "Layer",
    norms: "tuple[torch.nn.LayerNorm, torch.nn.LayerNorm]",
) -> None:
    from ctranslate2.converters import utils
    from ctranslate2.specs import common_spec

    projections = [common_spec.LinearSpec() for _ in range(3)]
    for projection, module in zip(projections, (layer.query, layer.key, layer.value), strict=True):
        _fill_linear(projection, module)
    utils.fuse_linear(spec.self_attention.linear[0], projections)
    _fill_linear(spec.self_attention.linear[1], layer.out)
    _fill_linear(spec.ffn.linear_0, layer.up)
    _fill_linear(spec.ffn.linear_1, layer.down)
    for block, module in zip((spec.self_attention, spec.ffn), norms, strict=True):
        _fill_layer_norm(block.layer_norm, module)


def _fill_linear(spec: "LinearSpec", module: "torch.nn.Linear") -> None:
    spec.weight, spec.bias = _array(module.weight), _array(module.bias)


def _fill_layer_norm(spec: "LayerNormSpec", module: "torch.nn.LayerNorm") -> None:
    spec.gamma, spec.beta = _array(module.weight), _array(module.bias)


def _head_weights(model: "torch.nn.Module") -> dict[str, Logits]:
    from baselines.models.resize import pooling_of

    dense, labels = pooling_of(model)
    modules = {"dense": dense, "labels": labels}
    return {
        f"{name}.{part}": _array(getattr(module, part))
        for name, module in modules.items()
        if module is not None
        for part in ("weight", "bias")
    }


def _array(tensor: "torch.Tensor") -> HiddenStates:
    return np.array(tensor.detach().numpy(), dtype=np.float32)


def _max_pool(hidden: HiddenStates, spans: npt.NDArray[np.int64]) -> HiddenStates:
    """Return the largest value of each span, spans side by side: [sequences, spans * width]."""
    return np.stack(
        [
            np.concatenate([states[start:end].max(axis=0) for start, end in sequence_spans])
            for states, sequence_spans in zip(hidden, spans, strict=True)
        ]
    )
