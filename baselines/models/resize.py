"""Encoders of any shape: heads independent of the hidden size, and every layer with sizes of its own.

    narrow      removes heads and feed-forward units from a model; `narrow_width` shrinks its hidden size
    keep_layers takes layers out
    build       returns a model of such a shape with random weights
    load        loads one from its folder; stock shapes are loaded as transformers does

The result is an ordinary dense model of transformers with smaller matrices. Its forward pass is unchanged,
since that depends on the head size only, so all attention kernels, the exporter and the trainer accept it.
`baselines/models/shape.py` describes how the shape is written in config.json.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import Linear, Module
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.activations import ACT2FN

from baselines.checkpoints.folder import read_config
from baselines.models.families.facts import EncoderFacts
from baselines.models.families.layers import (
    Layer,
    Map,
    Rows,
    distinct_layers,
    encoder_of,
    facts_about,
    layers_of,
    named,
    pooling_of,
)
from baselines.models.shape import EncoderShape, is_narrow, shape_fields, shape_of
from baselines.models.transformers_settings import LOCAL, SAFE, quiet_transformers
from harness.common.json_types import JsonValue

__all__ = [
    "Layer",
    "build",
    "encoder_of",
    "keep_layers",
    "keep_vocabulary",
    "layers_of",
    "load",
    "narrow",
    "narrow_width",
    "pooling_of",
    "set_activation",
    "set_shape",
    "wide_norms",
]


def narrow(
    model: Module, heads_to_keep: Sequence[Sequence[int]], units_to_keep: Sequence[Sequence[int]]
) -> None:
    """Keep these heads and feed-forward units of each layer, in this order, and remove the others.

    Layers that share weights, or a relative position bias, must keep the same. Model and configuration are
    changed in place, so that `load` reads what `save_pretrained` writes.
    """
    shape, facts = shape_of(model.config.to_dict()), facts_about(model)
    kept = dict(zip(facts.modules.layers, zip(heads_to_keep, units_to_keep, strict=True), strict=True))
    for layer, (heads, units) in zip(distinct_layers(model), kept.values(), strict=True):
        rows = [head * shape.head_size + row for head in heads for row in range(shape.head_size)]
        keep_outputs((layer.query, layer.key, layer.value), rows)
        for linear in layer.by_position:
            keep_rows(linear, rows)
        keep_columns(layer.out, rows)
        keep_outputs((layer.gate, layer.up) if layer.gate else (layer.up,), units)
        keep_columns(layer.down, units)
        _set_sizes(layer.attention, len(heads), shape.head_size)
    for table in named(encoder_of(model), facts.modules.relative_bias):
        _keep_embedding_columns(table, heads_to_keep[0])
    kept_shape = replace(shape, heads=tuple(map(len, heads_to_keep)), ffn=tuple(map(len, units_to_keep)))
    set_shape(model.config, kept_shape)


def narrow_width(model: Module, keep: Sequence[int], pooled: Sequence[int]) -> None:
    """Keep the components `keep` of the hidden states, and `pooled` of the dense layer before the labels.

    Heads and head size stay. Unlike a head or a unit, a component of the hidden states affects the result
    even if it is always zero: layer normalisation takes mean and variance over all components that are left.
    """
    facts, encoder = facts_about(model), encoder_of(model)
    _narrow_embeddings(encoder, facts, keep)
    for norm in (*wide_norms(model), *named(encoder, facts.modules.relative_norm)):
        keep_components(norm, keep)
    for layer in distinct_layers(model):
        for linear in _readers(layer):
            keep_columns(linear, keep)
        for linear in (layer.out, layer.down):
            keep_rows(linear, keep)
    _narrow_head(model, keep, pooled)
    set_shape(model.config, replace(shape_of(model.config.to_dict()), hidden=len(keep)))
    if hasattr(model.config, "pooler_hidden_size"):
        model.config.pooler_hidden_size = len(keep)


def _narrow_embeddings(encoder: Module, facts: EncoderFacts, keep: Sequence[int]) -> None:
    modules = facts.modules
    if facts.embedding_projection:
        for linear in named(encoder, modules.embedding_projection):
            keep_rows(linear, keep)
    else:
        for table in named(encoder, modules.words, modules.positions, modules.types):
            _keep_embedding_columns(table, keep)
    for table in named(encoder, modules.relative_embeddings):
        _keep_embedding_columns(table, keep)
    for convolution in named(encoder, modules.convolution):
        convolution.weight = _copy(convolution.weight[list(keep)][:, list(keep)])
        convolution.bias = _copy(convolution.bias[list(keep)])
        convolution.in_channels = convolution.out_channels = len(keep)


def _readers(layer: Layer) -> list[Linear]:
    """Return the maps whose inputs are hidden states, each once."""
    maps = (layer.query, layer.key, layer.value, layer.gate, layer.up, *layer.by_position)
    return list({id(linear): linear for linear in map(_whole, maps) if linear is not None}.values())


def wide_norms(model: Module) -> list[Module]:
    """Return the norms over the hidden states of tokens, each once."""
    facts, encoder = facts_about(model), encoder_of(model)
    of_embeddings = facts.norm_after_projection or not facts.embedding_projection
    return [
        *(named(encoder, facts.modules.embedding_norm) if of_embeddings else ()),
        *(norm for layer in distinct_layers(model) for norm in _norms(layer)),
        *named(encoder, facts.modules.convolution_norm, facts.modules.final_norm),
    ]


def _norms(layer: Layer) -> list[Module]:
    return [norm for norm in (layer.attention_norm, layer.ffn_norm) if norm is not None]


def keep_layers(model: Module, layers: Sequence[int]) -> None:
    """Keep these layers, in this order; of layers that share their weights, as many repetitions."""
    shape, facts = shape_of(model.config.to_dict()), facts_about(model)
    if facts.modules.stack:
        parent, _, name = facts.modules.stack.rpartition(".")
        holder = encoder_of(model).get_submodule(parent)
        stack = getattr(holder, name)
        setattr(holder, name, torch.nn.ModuleList([stack[index] for index in layers]))
    heads, ffn = (tuple(sizes[index] for index in layers) for sizes in (shape.heads, shape.ffn))
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[index] for index in layers]
    set_shape(model.config, replace(shape, heads=heads, ffn=ffn))


def keep_vocabulary(model: Module, ids: Sequence[int]) -> None:
    """Keep the embeddings of these token ids; the first gets id 0, and so on."""
    embeddings = encoder_of(model).get_input_embeddings()
    embeddings.weight = _copy(embeddings.weight[list(ids)])
    embeddings.num_embeddings = model.config.vocab_size = len(ids)


def set_activation(model: Module, name: str) -> None:
    """Replace the activation of every feed-forward block; `name` is one of transformers' activations."""
    facts, encoder = facts_about(model), encoder_of(model)
    for path in dict.fromkeys(facts.modules.layers):
        parent, _, attribute = f"{path}.{facts.modules.layer.activation}".rpartition(".")
        setattr(encoder.get_submodule(parent), attribute, ACT2FN[name])
    set_shape(model.config, replace(shape_of(model.config.to_dict()), activation=name))


def _narrow_head(model: Module, keep: Sequence[int], pooled: Sequence[int]) -> None:
    dense, labels = pooling_of(model)
    if dense is None:
        # the span head reads several hidden states side by side
        starts = range(0, labels.in_features, model.config.hidden_size)
        keep_columns(labels, [start + component for start in starts for component in keep])
        return
    keep_columns(dense, keep)
    keep_rows(dense, pooled)
    for norm in named(model, facts_about(model).head.norm):
        keep_components(norm, pooled)
    keep_columns(labels, pooled)


def build(
    config: PreTrainedConfig, auto: type[AutoModel] = AutoModelForSequenceClassification
) -> PreTrainedModel:
    """Return a model of a transformers configuration with random weights, in inference mode.

    The configuration may have the fields of `baselines/models/shape.py`; `auto` selects the kind of model, as
    in transformers. Seed torch first. CheckpointError for a family that cannot be narrowed.
    """
    shape = shape_of(config.to_dict(), type(config).__name__)
    set_shape(config, shape)
    with quiet_transformers():
        return _class(config, auto)(config).eval()


def load(auto: type[AutoModel], folder: Path, **options: JsonValue) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return the float32 model in `folder` and transformers' loading information, as `auto` would.

    `options` are those of `from_pretrained`: labels, the attention kernel, mismatched sizes.
    """
    common = {"dtype": torch.float32, "output_loading_info": True, **SAFE}
    if not is_narrow(read_config(folder)):
        model, info = auto.from_pretrained(folder, **common, **options)
        return model, info
    config, unused = AutoConfig.from_pretrained(folder, return_unused_kwargs=True, **LOCAL, **options)
    model, info = _class(config, auto).from_pretrained(folder, config=config, **common, **unused)
    return model, info


def set_shape(config: PreTrainedConfig, shape: EncoderShape) -> None:
    """Write a shape into a transformers configuration."""
    for name, value in shape_fields(config.to_dict(), shape).items():
        if value is not None:
            setattr(config, name, value)
        elif hasattr(config, name):
            delattr(config, name)


def keep_outputs(maps: Sequence[Map | None], rows: Sequence[int]) -> None:
    """Keep these outputs of each map; the maps may be rows of one."""
    first = maps[0]
    if isinstance(first, Rows):
        keep_rows(first.linear, [part.start + row for part in maps if isinstance(part, Rows) for row in rows])
        return
    for linear in maps:
        keep_rows(linear, rows)


def keep_rows(linear: Linear, rows: Sequence[int]) -> None:
    """Keep these outputs of a linear layer."""
    bias = None if linear.bias is None else linear.bias[list(rows)]
    _set_weights(linear, linear.weight[list(rows)], bias)


def keep_columns(linear: Linear, columns: Sequence[int]) -> None:
    """Keep these inputs of a linear layer."""
    _set_weights(linear, linear.weight[:, list(columns)], linear.bias)


def keep_components(norm: Module, components: Sequence[int]) -> None:
    """Keep these components of a layer normalisation."""
    norm.weight = _copy(norm.weight[list(components)])
    if getattr(norm, "bias", None) is not None:
        norm.bias = _copy(norm.bias[list(components)])
    if hasattr(norm, "normalized_shape"):
        norm.normalized_shape = (len(components),)


def _keep_embedding_columns(table: Module, columns: Sequence[int]) -> None:
    table.weight = _copy(table.weight[:, list(columns)])
    table.embedding_dim = len(columns)


def _whole(part: Map | None) -> Linear | None:
    return part.linear if isinstance(part, Rows) else part


def _set_weights(linear: Linear, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
    linear.weight, linear.bias = _copy(weight), None if bias is None else _copy(bias)
    linear.out_features, linear.in_features = weight.shape


def _copy(tensor: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor.detach().clone())


def _set_sizes(attention: Module, heads: int, head_size: int) -> None:
    """Set the sizes that the attention module has as attributes, beside its matrices."""
    sizes = {
        **dict.fromkeys(("attention_head_size", "head_dim"), head_size),
        **dict.fromkeys(("num_attention_heads", "n_heads"), heads),
        "all_head_size": heads * head_size,
        "scaling": head_size**-0.5,
        "num_key_value_groups": 1,
    }
    for name, size in sizes.items():
        if hasattr(attention, name):
            setattr(attention, name, size)


def _class(config: PreTrainedConfig, auto: type[AutoModel]) -> type[PreTrainedModel]:
    """Return the family's class for `auto`, or one of the same name that builds the narrow shape."""
    stock: type[PreTrainedModel] = auto._model_mapping[type(config)]  # noqa: SLF001 -- no public table
    if not is_narrow(config.to_dict()):
        return stock

    def build_narrow(
        self: PreTrainedModel, config: PreTrainedConfig, *args: JsonValue, **kwargs: JsonValue
    ) -> None:
        shape = shape_of(config.to_dict())
        with _one_head(config):
            stock.__init__(self, config, *args, **kwargs)
        resize(self, shape)
        self.init_weights()  # of the new matrices only: transformers marks those that it has initialised

    # the name of the class becomes the architecture in config.json
    return type(stock.__name__, (stock,), {"__init__": build_narrow, "__module__": stock.__module__})


@contextmanager
def _one_head(config: PreTrainedConfig) -> Iterator[None]:
    """Set the number of heads to 1 while transformers builds the model: it must divide the hidden size."""
    names = [name for name in ("num_attention_heads", "num_key_value_heads") if hasattr(config, name)]
    sizes = {name: getattr(config, name) for name in names}
    try:
        for name in names:
            setattr(config, name, 1)
        yield
    finally:
        for name, size in sizes.items():
            setattr(config, name, size)


def resize(model: Module, shape: EncoderShape) -> None:
    """Give every matrix that depends on heads or units the size of the shape, with new values."""
    facts, encoder = facts_about(model), encoder_of(model)
    sizes = dict(zip(facts.modules.layers, zip(shape.heads, shape.ffn, strict=True), strict=True))
    for layer, (heads, ffn) in zip(distinct_layers(model), sizes.values(), strict=True):
        _resize(layer, shape, heads, ffn)
    for table in named(encoder, facts.modules.relative_bias):
        table.weight = torch.nn.Parameter(torch.empty(table.num_embeddings, shape.heads[0]))
        table.embedding_dim = shape.heads[0]
        _mark_new(table)


def _resize(layer: Layer, shape: EncoderShape, heads: int, ffn: int) -> None:
    width = heads * shape.head_size
    for part in (layer.query, layer.key, layer.value, *layer.by_position):
        _renew(part, shape.hidden, width)
    _renew(layer.out, width, shape.hidden)
    for part in (layer.gate, layer.up):
        _renew(part, shape.hidden, ffn)
    _renew(layer.down, ffn, shape.hidden)
    _set_sizes(layer.attention, heads, shape.head_size)


def _renew(part: Map | None, columns: int, rows: int) -> None:
    linear = _whole(part)
    if part is None or linear is None or (isinstance(part, Rows) and part.start):
        return
    rows *= linear.out_features // part.out_features  # of all parts of the map
    fresh = torch.nn.Linear(columns, rows, bias=linear.bias is not None)
    linear.weight, linear.bias = fresh.weight, fresh.bias
    linear.in_features, linear.out_features = columns, rows
    _mark_new(linear)


def _mark_new(module: Module) -> None:
    """Remove transformers' mark of what `init_weights` skips."""
    module._is_hf_initialized = False  # noqa: SLF001
