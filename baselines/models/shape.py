"""The shape of an encoder, read from config.json with the few fields that transformers does not have.

transformers assumes that the head size is hidden size / heads, and that all layers are alike. In a pruned
encoder neither holds: 8 of 12 heads of size 26 may be left of a hidden size of 312. Its config.json stays
that of its family, with these fields added:

    attention_head_size    where hidden size / heads is not the head size
    heads_per_layer        where layers differ; `num_attention_heads` is then the largest
    ffn_per_layer          likewise, beside `intermediate_size`

transformers itself cannot load such a folder: the layers that it builds have other sizes than the tensors. A
shape that it can build has none of these fields and loads anywhere. This module reads mappings only: it needs
neither torch nor transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.common.errors import CheckpointError

HEAD_SIZE = "attention_head_size"
HEADS_PER_LAYER = "heads_per_layer"
FFN_PER_LAYER = "ffn_per_layer"


@dataclass(frozen=True, slots=True)
class _FieldNames:
    """The fields of a family's configuration that hold its sizes."""

    hidden: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    ffn: str = "intermediate_size"
    activation: str = "hidden_act"


_FIELD_NAMES: Mapping[str, _FieldNames] = {
    "bert": _FieldNames(),
    "roberta": _FieldNames(),
    "distilbert": _FieldNames("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
}
NARROW_FAMILIES = ("BERT", "RoBERTa", "DistilBERT", "MiniLM")
"""The families whose layers can be made narrower; MiniLM is a BERT."""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Hidden size, head size, and for each layer its heads and feed-forward units; the activation by name."""

    hidden: int
    head_size: int
    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    activation: str

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self.heads)

    @property
    def stock(self) -> bool:
        """Whether transformers itself can build it: equal layers, and heads that fill the hidden size."""
        return {head * self.head_size for head in self.heads} == {self.hidden} and len(set(self.ffn)) == 1

    @property
    def encoder_weights(self) -> int:
        """Weights and biases of the layers' linear layers, to which operations per token are proportional."""
        return sum(map(self._layer_weights, self.heads, self.ffn))

    def _layer_weights(self, heads: int, ffn: int) -> int:
        width = heads * self.head_size
        attention = 4 * self.hidden * width + 3 * width + self.hidden
        return attention + 2 * self.hidden * ffn + ffn + self.hidden


def shape_of(config: Mapping[str, Any], where: str = "config.json") -> EncoderShape:
    """Return the shape that a configuration describes.

    CheckpointError if the configuration contradicts itself, or `require_family` raises it.
    """
    require_family(config, where)
    names = _FIELD_NAMES[config["model_type"]]
    hidden, layers, heads, ffn = (
        int(config[name]) for name in (names.hidden, names.layers, names.heads, names.ffn)
    )
    shape = EncoderShape(
        hidden=hidden,
        head_size=int(config.get(HEAD_SIZE) or hidden // heads),
        heads=tuple(config.get(HEADS_PER_LAYER) or [heads] * layers),
        ffn=tuple(config.get(FFN_PER_LAYER) or [ffn] * layers),
        activation=str(config[names.activation]),
    )
    if not (shape.layers == len(shape.ffn) == layers and min(shape.head_size, *shape.heads, *shape.ffn) > 0):
        raise CheckpointError(
            f"{HEADS_PER_LAYER} and {FFN_PER_LAYER} must hold a positive number for each of {layers} layers.",
            where=where,
            remedy="Correct these fields of config.json, or prune the encoder again.",
        )
    return shape


def shape_fields(config: Mapping[str, Any], shape: EncoderShape) -> dict[str, Any]:
    """Return the fields of a configuration of this family for a shape; None marks a field to remove."""
    names = _FIELD_NAMES[config["model_type"]]
    equal_heads, equal_ffn = len(set(shape.heads)) == 1, len(set(shape.ffn)) == 1
    return {
        names.hidden: shape.hidden,
        names.layers: shape.layers,
        names.heads: max(shape.heads),
        names.ffn: max(shape.ffn),
        names.activation: shape.activation,
        HEAD_SIZE: None if shape.stock else shape.head_size,
        HEADS_PER_LAYER: None if equal_heads else list(shape.heads),
        FFN_PER_LAYER: None if equal_ffn else list(shape.ffn),
    }


def is_narrow(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration describes a shape that this project builds and transformers cannot."""
    added_fields = (HEAD_SIZE, HEADS_PER_LAYER, FFN_PER_LAYER)
    # some other families have a field of the same name, DeBERTa for one: transformers builds those
    return (
        config.get("model_type") in _FIELD_NAMES
        and any(config.get(name) for name in added_fields)
        and not shape_of(config).stock
    )


def require_family(config: Mapping[str, Any], where: str) -> None:
    """Raise CheckpointError for a family whose layers cannot be narrowed; its remedy lists those that can."""
    family = config.get("model_type")
    if family not in _FIELD_NAMES:
        raise CheckpointError(
            f"an encoder of the family {family or 'without a name'} cannot be narrowed.",
            where=where,
            remedy=f"Pruning and custom shapes support {', '.join(NARROW_FAMILIES)}.",
        )
