"""The sizes of an encoder, and the fields of config.json that hold them.

transformers assumes that the head size is hidden size / heads, and that all layers are alike. In a pruned
encoder neither holds: 8 of 12 heads of size 26 may be left of a hidden size of 312. Its config.json stays
that of its family, with these fields added:

    attention_head_size    where hidden size / heads is not the head size
    heads_per_layer        where layers differ; `num_attention_heads` is then the largest
    ffn_per_layer          likewise, beside `intermediate_size`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.common.errors import CheckpointError

HEAD_SIZE = "attention_head_size"
HEADS_PER_LAYER = "heads_per_layer"
FFN_PER_LAYER = "ffn_per_layer"
ADDED_FIELDS = (HEAD_SIZE, HEADS_PER_LAYER, FFN_PER_LAYER)


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The fields of a family's configuration that hold its sizes."""

    hidden: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    ffn: str = "intermediate_size"
    activation: str = "hidden_act"
    key_value_heads: str = ""
    head_size: str = ""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Hidden size, head size, and for each layer its heads and feed-forward units; the activation by name.

    `gated` is whether a unit has a gate beside its input, and so three rows of weights in place of two.
    """

    hidden: int
    head_size: int
    heads: tuple[int, ...]
    ffn: tuple[int, ...]
    activation: str
    gated: bool = False

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
        width, maps = heads * self.head_size, 3 if self.gated else 2
        attention = 4 * self.hidden * width + 3 * width + self.hidden
        return attention + maps * self.hidden * ffn + (maps - 1) * ffn + self.hidden


def read_shape(config: Mapping[str, Any], names: FieldNames, where: str, *, gated: bool) -> EncoderShape:
    """Return the shape in the fields `names`; CheckpointError if the configuration contradicts itself."""
    hidden, layers, heads, ffn = (
        int(config[name]) for name in (names.hidden, names.layers, names.heads, names.ffn)
    )
    shape = EncoderShape(
        hidden=hidden,
        head_size=int(config.get(HEAD_SIZE) or config.get(names.head_size) or hidden // max(heads, 1)),
        heads=tuple(config.get(HEADS_PER_LAYER) or [heads] * layers),
        ffn=tuple(config.get(FFN_PER_LAYER) or [ffn] * layers),
        activation=str(config[names.activation]),
        gated=gated,
    )
    if not (shape.layers == len(shape.ffn) == layers and min(shape.head_size, *shape.heads, *shape.ffn) > 0):
        raise CheckpointError(
            f"{HEADS_PER_LAYER} and {FFN_PER_LAYER} must hold a positive number for each of {layers} layers.",
            where=where,
            remedy="Correct these fields of config.json, or prune the encoder again.",
        )
    return shape


def write_shape(config: Mapping[str, Any], names: FieldNames, shape: EncoderShape) -> dict[str, Any]:
    """Return the fields `names` of a configuration for a shape; None marks a field to remove."""
    equal_heads, equal_ffn = len(set(shape.heads)) == 1, len(set(shape.ffn)) == 1
    # transformers computes rotations from the family's own field
    own = {names.head_size: shape.head_size}
    if config.get(names.key_value_heads) == config.get(names.heads):  # not shared by groups of heads
        own[names.key_value_heads] = max(shape.heads)
    return {
        names.hidden: shape.hidden,
        names.layers: shape.layers,
        names.heads: max(shape.heads),
        names.ffn: max(shape.ffn),
        names.activation: shape.activation,
        **{name: size for name, size in own.items() if name},
        HEAD_SIZE: None if shape.stock else shape.head_size,
        HEADS_PER_LAYER: None if equal_heads else list(shape.heads),
        FFN_PER_LAYER: None if equal_ffn else list(shape.ffn),
    }
