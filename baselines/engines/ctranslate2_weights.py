"""A checkpoint as a model of CTranslate2: its specification filled from the layers of the loaded classifier.

CTranslate2's own converter of BERT asks transformers' configuration for `position_embedding_type`, which
version 5 no longer has, and knows no narrow shapes. Its specification is public, so that is filled here. Only
the encoder becomes CTranslate2's: the head reads one token, or two spans, and is a few small matrices for
numpy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baselines.checkpoints.folder import is_span_checkpoint, read_config
from baselines.encoding.batching import Padded
from baselines.models.shape import EncoderShape, shape_of
from harness.common.errors import CheckpointError
from harness.workload.tasks.example import Logits

MODEL = "ctranslate2"
"""The folder of the model in an artifact's folder: CTranslate2 names a file of its own config.json."""

FULL_RANGE, SEVEN_BITS = 127, 63
"""The largest rounded weight: as CTranslate2 has it, and where AVX2 would saturate."""

_HEAD = "head.safetensors"
FAMILIES = ("BERT", "RoBERTa", "DistilBERT", "MiniLM")
_ACTIVATIONS = {"gelu": "GELU", "gelu_new": "GELUTanh", "relu": "RELU", "silu": "SWISH"}
_POOLED: Mapping[str, Callable[[Logits], Logits]] = {
    "bert": np.tanh,
    "roberta": np.tanh,
    "distilbert": lambda values: np.maximum(values, 0),
}
"""What each family applies between the dense layer of its head and the labels'."""

Hidden = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """What turns hidden states [sequences, tokens, width] into logits, in float32."""

    weights: Mapping[str, Logits]
    activation: Callable[[Logits], Logits]

    def logits(self, hidden: Hidden, padded: Padded) -> Logits:
        """Return float32 [sequences, labels] in the checkpoint's own order."""
        pooled = hidden[:, 0] if padded.spans is None else _largest_in(hidden, padded.spans)
        if "dense.weight" in self.weights:
            pooled = self.activation(self._linear("dense", pooled))
        return self._linear("labels", pooled)

    def _linear(self, name: str, values: Logits) -> Logits:
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]


def require_supported(config: Mapping[str, Any], where: str) -> None:
    """Refuse what CTranslate2 cannot compute: other families, layers with unlike heads, other activations."""
    family = config.get("model_type")
    if family not in _POOLED:
        raise CheckpointError(
            f"CTranslate2 has no encoder of the family {family or 'without a name'}.",
            where=where,
            remedy=f"It takes {', '.join(FAMILIES)}; for others use onnx-int8.",
        )
    shape = shape_of(config, where)
    if len(set(shape.heads)) > 1:
        raise CheckpointError(
            f"CTranslate2 has one number of heads for all layers; these have {sorted(set(shape.heads))}.",
            where=where,
            remedy="Use onnx-int8, or prune every layer to as many heads.",
        )
    if shape.activation not in _ACTIVATIONS:
        raise CheckpointError(
            f"CTranslate2 has no activation {shape.activation}.", where=where, remedy="Use onnx-int8."
        )


def write_model(source: Path, target: Path, most: int | None) -> None:
    """Write the classifier in `source` to `target`: the encoder for CTranslate2, the head beside it.

    Weights are int8, the largest of each output `most`, or float32 if that is None. 127 is what CTranslate2
    itself takes; 63 keeps sums of two products within 16 bits, at which AVX2's instruction saturates.
    """
    from safetensors.numpy import save_file

    from baselines.models.classifier import load_classifier

    model = load_classifier(source)
    spec = _specification(model, shape_of(read_config(source)))
    if most:
        _round(spec.encoder, most)
    spec.validate()
    spec.optimize()
    (target / MODEL).mkdir(exist_ok=True)
    spec.save(str(target / MODEL))
    save_file(_head_weights(model), target / _HEAD)


def _round(encoder: Any, most: int) -> None:  # noqa: ANN401 -- a TransformerEncoderSpec
    """Round what CTranslate2 rounds, in place; embeddings are only read, so theirs may be the whole range."""
    for spec in encoder.embeddings:
        spec.weight, spec.weight_scale = _rounded(spec.weight, FULL_RANGE)
    for layer in encoder.layer:
        for spec in (*layer.self_attention.linear, layer.ffn.linear_0, layer.ffn.linear_1):
            spec.weight, spec.weight_scale = _rounded(spec.weight, most)


def _rounded(weight: Hidden, most: int) -> tuple[npt.NDArray[np.int8], Hidden]:
    """Return the rows as int8 and what they were multiplied by; a row of zeros by one."""
    largest = np.abs(weight).max(axis=1)
    scale = (most / np.where(largest > 0, largest, most)).astype(np.float32)
    return np.rint(weight * scale[:, None]).astype(np.int8), scale


def read_head(folder: Path) -> ClassifierHead:
    """Return the head that `write_model` wrote; config.json lies beside it."""
    from safetensors.numpy import load_file

    config = read_config(folder)
    weights = load_file(folder / _HEAD)
    if is_span_checkpoint(config):
        weights = {name: each for name, each in weights.items() if name.startswith("labels.")}
    return ClassifierHead(weights, _POOLED[config["model_type"]])


def _specification(model: Any, shape: EncoderShape) -> Any:  # noqa: ANN401 -- neither library has types
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
    _normalisation(encoder.layernorm_embedding, embeddings.LayerNorm)
    for spec, layer, norms in zip(encoder.layer, layers_of(model), _normalisations(model), strict=True):
        _fill(spec, layer, norms)
    whole = transformer_spec.TransformerEncoderModelSpec(encoder)
    # requests come as ids: the words are never looked up, and must only be there and differ
    whole.register_vocabulary([f"id{number}" for number in range(len(encoder.embeddings[0].weight))])
    whole.config.unk_token = "id0"  # noqa: S105 -- a token of a vocabulary
    whole.config.layer_norm_epsilon = float(embeddings.LayerNorm.eps)
    return whole


def _positions(embeddings: Any, *, segments: bool) -> Hidden:  # noqa: ANN401
    """Return the table of positions from the first token's on.

    RoBERTa counts from the padding's id + 1. A single kind of segment is the same for all tokens.
    """
    offset = getattr(embeddings.position_embeddings, "padding_idx", None)
    table = _array(embeddings.position_embeddings.weight)[0 if offset is None else offset + 1 :]
    kinds = getattr(embeddings, "token_type_embeddings", None)
    return table if segments or kinds is None else table + _array(kinds.weight)[0]


def _normalisations(model: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    """Return what normalises after attention and after the feed-forward block, layer by layer."""
    from baselines.models.resize import encoder_of

    encoder = encoder_of(model)
    if hasattr(encoder, "transformer"):
        return [(layer.sa_layer_norm, layer.output_layer_norm) for layer in encoder.transformer.layer]
    return [(layer.attention.output.LayerNorm, layer.output.LayerNorm) for layer in encoder.encoder.layer]


def _fill(spec: Any, layer: Any, norms: tuple[Any, Any]) -> None:  # noqa: ANN401
    from ctranslate2.converters import utils
    from ctranslate2.specs import common_spec

    parts = [common_spec.LinearSpec() for _ in range(3)]
    for part, module in zip(parts, (layer.query, layer.key, layer.value), strict=True):
        _linear(part, module)
    utils.fuse_linear(spec.self_attention.linear[0], parts)
    _linear(spec.self_attention.linear[1], layer.out)
    _linear(spec.ffn.linear_0, layer.up)
    _linear(spec.ffn.linear_1, layer.down)
    for target, module in zip((spec.self_attention, spec.ffn), norms, strict=True):
        _normalisation(target.layer_norm, module)


def _linear(spec: Any, module: Any) -> None:  # noqa: ANN401
    spec.weight, spec.bias = _array(module.weight), _array(module.bias)


def _normalisation(spec: Any, module: Any) -> None:  # noqa: ANN401
    spec.gamma, spec.beta = _array(module.weight), _array(module.bias)


def _head_weights(model: Any) -> dict[str, Logits]:  # noqa: ANN401
    from baselines.models.resize import pooling_of

    dense, labels = pooling_of(model)
    named = {"dense": dense, "labels": labels}
    return {
        f"{name}.{part}": _array(getattr(module, part))
        for name, module in named.items()
        if module is not None
        for part in ("weight", "bias")
    }


def _array(tensor: Any) -> Hidden:  # noqa: ANN401
    return np.array(tensor.detach().numpy(), dtype=np.float32)


def _largest_in(hidden: Hidden, spans: npt.NDArray[np.int64]) -> Hidden:
    """Return the largest value in each span, side by side: [sequences, spans * width]."""
    return np.stack(
        [
            np.concatenate([states[start:end].max(axis=0) for start, end in each])
            for states, each in zip(hidden, spans, strict=True)
        ]
    )
