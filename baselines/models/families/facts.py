"""The facts about an encoder that surgery, engines and counts of operations need, as frozen values.

    config.json --family--> EncoderFacts: sizes, what its layers compute, and where their tensors are

Names of modules are those of transformers, without the number of a layer. A tensor of the encoder is called
`{prefix}.{module}.weight` in the weights of a classifier; modules of the head have their whole name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Positions = Literal["learned", "rotary", "relative-bias", "disentangled"]
"""How a position reaches the answer: added to the embeddings, rotated into queries and keys, added to the
scores of attention, or multiplied with queries and keys (DeBERTa)."""

Norm = Literal["layer", "rms"]

Pooling = Literal["first", "mean", "mean-logits"]
"""What a head classifies: the first token, the mean of all tokens, or each token, of whose logits it takes
the mean."""


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What one layer computes.

    `ffn` units: with `gated`, each is activation(gate) * up, otherwise activation(up). `attention_window` is
    how many tokens a token attends to on each side of itself, None for all. `attention_norm` is False where
    a layer with `norm_before` reads its input as it is, as ModernBERT's first one does.
    """

    heads: int
    ffn: int
    activation: str
    key_value_heads: int
    gated: bool = False
    norm_before: bool = False
    norm: Norm = "layer"
    norm_bias: bool = True
    norm_epsilon: float = 1e-12
    attention_norm: bool = True
    attention_bias: bool = True
    ffn_bias: bool = True
    attention_window: int | None = None
    rotary_base: float | None = None


@dataclass(frozen=True, slots=True)
class LayerModules:
    """The names of a layer's modules, relative to the layer.

    Either `query`, `key` and `value` have a linear map each, or `query_key_value` holds the rows of all three
    in this order. With a gate, either `gate` and `up` have one each, or `gate_up` holds the rows of both.
    `attention` is the module with the sizes, `activation` the module or function of the units.
    """

    attention: str
    out: str
    down: str
    attention_norm: str
    ffn_norm: str
    activation: str
    query: str = ""
    key: str = ""
    value: str = ""
    query_key_value: str = ""
    up: str = ""
    gate: str = ""
    gate_up: str = ""
    position_key: str = ""
    position_query: str = ""


@dataclass(frozen=True, slots=True)
class EncoderModules:
    """The names of an encoder's modules, relative to the encoder; an empty name is a module it lacks.

    `layers` has a name for each layer, first to last. A name that repeats is one module that is run again.
    `stack` is the list of layers, where layers can be taken out of a list.
    """

    prefix: str
    layers: tuple[str, ...]
    layer: LayerModules
    words: str
    stack: str = ""
    positions: str = ""
    types: str = ""
    embedding_norm: str = ""
    embedding_projection: str = ""
    final_norm: str = ""
    relative_bias: str = ""
    relative_embeddings: str = ""
    relative_norm: str = ""
    convolution: str = ""
    convolution_norm: str = ""


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """The head of a sequence: pooling, a dense layer with activation and perhaps a norm, then the labels.

    `dense`, `norm` and `labels` are names of modules, relative to the classifier.
    """

    dense: str
    labels: str
    activation: str
    pooling: Pooling = "first"
    dense_bias: bool = True
    norm: str = ""


@dataclass(frozen=True, slots=True)
class RelativeBias:
    """T5's relative position bias: a number for each bucket of distances and each head, for all layers."""

    buckets: int
    max_distance: int


@dataclass(frozen=True, slots=True)
class Disentangled:
    """DeBERTa's attention between contents and relative positions.

    `span` is half the number of embeddings of relative positions. `buckets` is the number of logarithmic
    buckets on each side, 0 for none. With `shared_projections`, positions go through the maps of queries
    and keys. The scores are divided by the square root of head size times `terms`.
    """

    content_to_position: bool
    position_to_content: bool
    span: int
    buckets: int
    max_distance: int
    shared_projections: bool
    norm: bool

    @property
    def terms(self) -> int:
        """How many products the scores are the sum of."""
        return 1 + self.content_to_position + self.position_to_content


@dataclass(frozen=True, slots=True)
class Convolution:
    """DeBERTa-v2's convolution beside the first layer, over `kernel` tokens."""

    kernel: int
    groups: int
    activation: str


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """An encoder of a family with its sizes.

    `max_positions` is how many tokens a sequence may have, `first_position` the row of the first token in the
    table of learned positions. `segments` is the number of segment embeddings, 0 for none; with 1 it is added
    to every token. `embedding_projection` maps from `embedding_width` to `hidden`. `norm_epsilon` and
    `norm_bias` are those of the embeddings' and the last norm. `rotary_type` is "default" for plain
    rotations. With `norm_after_projection` the embeddings' norm is as wide as the hidden states.
    `heads_divide_width` is whether transformers refuses other numbers of heads, even with a head size.
    """

    family: str
    vocabulary: int
    hidden: int
    head_size: int
    layers: tuple[LayerFacts, ...]
    embedding_width: int
    positions: tuple[Positions, ...]
    max_positions: int
    modules: EncoderModules
    head: HeadFacts
    first_position: int = 0
    segments: int = 0
    embedding_norm: bool = True
    embedding_projection: bool = False
    norm_after_projection: bool = False
    final_norm: bool = False
    norm: Norm = "layer"
    norm_bias: bool = True
    norm_epsilon: float = 1e-12
    rotary_type: str = "default"
    relative_bias: RelativeBias | None = None
    disentangled: Disentangled | None = None
    convolution: Convolution | None = None
    heads_divide_width: bool = False

    @property
    def shared_with(self) -> tuple[int, ...]:
        """For each layer the number of its weights: layers with the same number share them."""
        distinct = list(dict.fromkeys(self.modules.layers))
        return tuple(distinct.index(name) for name in self.modules.layers)

    @property
    def shared_heads(self) -> tuple[int, ...]:
        """For each layer a number: those with the same one have their heads in common.

        They share weights, or a table with a relative position bias for each head.
        """
        return self.shared_with if self.relative_bias is None else (0,) * len(self.layers)

    @property
    def shared_layers(self) -> bool:
        """Whether a layer's weights are used more than once."""
        return len(set(self.modules.layers)) < len(self.layers)

    @property
    def windowed(self) -> bool:
        """Whether a layer attends to a window."""
        return any(layer.attention_window is not None for layer in self.layers)

    @property
    def gated(self) -> bool:
        """Whether feed-forward units are gated."""
        return any(layer.gated for layer in self.layers)

    @property
    def grouped_keys(self) -> bool:
        """Whether several heads share keys and values."""
        return any(layer.key_value_heads != layer.heads for layer in self.layers)

    def layer_weights(self, index: int) -> int:
        """Return the weights of a layer's linear maps, without biases."""
        layer = self.layers[index]
        width, narrow = layer.heads * self.head_size, layer.key_value_heads * self.head_size
        attention = 2 * self.hidden * width + 2 * self.hidden * narrow
        return attention + (3 if layer.gated else 2) * self.hidden * layer.ffn


def numbered(pattern: str, layers: Sequence[LayerFacts]) -> tuple[str, ...]:
    """Return the names of layers that are each a module of their own: `encoder.layer.0` and so on."""
    return tuple(f"{pattern}.{index}" for index in range(len(layers)))
