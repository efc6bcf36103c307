"""The shape of an encoder as its config.json says it, with the few fields that transformers does not have.

transformers takes the head size to be hidden size / heads, and every layer to be alike. A pruned encoder is
neither: 8 of 12 heads of 26 are left of a width of 312. Its config.json stays one of its family and gains

    attention_head_size    where hidden size / heads is not the head size
    heads_per_layer        where layers differ; `num_attention_heads` is then the largest
    ffn_per_layer          likewise, beside `intermediate_size`

Stock transformers then refuses the folder: the layers it builds are of other sizes than the tensors. A shape
that it can build has none of these fields and opens anywhere. Reads mappings only: no torch, no transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.common.errors import CheckpointError

HEAD_SIZE = "attention_head_size"
HEADS_PER_LAYER = "heads_per_layer"
FFN_PER_LAYER = "ffn_per_layer"


@dataclass(frozen=True, slots=True)
class _Names:
    """What a family's configuration calls its sizes."""

    hidden: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    ffn: str = "intermediate_size"
    activation: str = "hidden_act"


_NAMES: Mapping[str, _Names] = {
    "bert": _Names(),
    "roberta": _Names(),
    "distilbert": _Names("dim", "n_layers", "n_heads", "hidden_dim", "activation"),
}
NARROW_FAMILIES = ("BERT", "RoBERTa", "DistilBERT", "MiniLM")
"""Whose layers can be made narrower; MiniLM is a BERT."""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Width, head size, and for each layer its heads and its feed-forward units; the activation by name."""

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
        """Whether transformers itself can build it: layers alike, and heads that fill the width."""
        return {head * self.head_size for head in self.heads} == {self.hidden} and len(set(self.ffn)) == 1

    @property
    def encoder_weights(self) -> int:
        """Weights and biases of the layers' linear maps: what multiplications per token follow."""
        return sum(map(self._layer, self.heads, self.ffn))

    def _layer(self, heads: int, ffn: int) -> int:
        inner = heads * self.head_size
        attention = 4 * self.hidden * inner + 3 * inner + self.hidden
        return attention + 2 * self.hidden * ffn + ffn + self.hidden


def shape_of(config: Mapping[str, Any], where: str = "config.json") -> EncoderShape:
    """Return the shape that a configuration describes; CheckpointError if it contradicts itself.

    CheckpointError too for a family whose layers this does not know (`require_family`).
    """
    require_family(config, where)
    names = _NAMES[config["model_type"]]
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
        )
    return shape


def shape_fields(config: Mapping[str, Any], shape: EncoderShape) -> dict[str, Any]:
    """Return what a configuration of the family must say for this shape; None stands for a field to drop."""
    names = _NAMES[config["model_type"]]
    alike = len(set(shape.heads)) == 1, len(set(shape.ffn)) == 1
    return {
        names.hidden: shape.hidden,
        names.layers: shape.layers,
        names.heads: max(shape.heads),
        names.ffn: max(shape.ffn),
        names.activation: shape.activation,
        HEAD_SIZE: None if shape.stock else shape.head_size,
        HEADS_PER_LAYER: None if alike[0] else list(shape.heads),
        FFN_PER_LAYER: None if alike[1] else list(shape.ffn),
    }


def is_narrow(config: Mapping[str, Any]) -> bool:
    """Say whether a configuration describes a shape that only this project builds."""
    own = (HEAD_SIZE, HEADS_PER_LAYER, FFN_PER_LAYER)
    # other families have a head size of their own, DeBERTa for one: transformers builds those
    return (
        config.get("model_type") in _NAMES
        and any(config.get(name) for name in own)
        and not shape_of(config).stock
    )


def require_family(config: Mapping[str, Any], where: str) -> None:
    """Refuse an encoder of a family whose layers cannot be narrowed; CheckpointError lists those that can."""
    family = config.get("model_type")
    if family not in _NAMES:
        raise CheckpointError(
            f"an encoder of the family {family or 'without a name'} cannot be narrowed.",
            where=where,
            remedy=f"Pruning and shapes of one's own work for {', '.join(NARROW_FAMILIES)}.",
        )
