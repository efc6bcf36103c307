"""Encoders of any shape: heads independent of the hidden size, and every layer with sizes of its own.

    narrow      removes heads and feed-forward units from a model; `narrow_width` shrinks its hidden size
    build       returns a model of such a shape with random weights
    load        loads one from its folder; stock shapes are loaded as transformers does

The result is an ordinary dense model of transformers with smaller matrices. Its forward pass is unchanged,
since that depends on the head size only, so all attention kernels, the exporter and the trainer accept it.
`baselines/models/shape.py` describes how the shape is written in config.json.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from baselines.models.shape import EncoderShape, is_narrow, shape_fields, shape_of
from baselines.models.transformers_settings import LOCAL, SAFE, quiet_transformers
from harness.common.json_types import JsonValue


@dataclass(frozen=True, slots=True)
class Layer:
    """The modules of one layer that depend on its heads and its feed-forward units.

    Rows of `query`, `key` and `value` and columns of `out` belong to heads; rows of `up` and columns of
    `down` belong to units. `attention` is the module that holds the sizes.
    """

    attention: Module
    query: Linear
    key: Linear
    value: Linear
    out: Linear
    up: Linear
    down: Linear

    @property
    def head_size(self) -> int:
        """Rows of each head."""
        return int(self.attention.attention_head_size)

    @property
    def heads(self) -> int:
        """The number of heads."""
        return int(self.query.out_features) // self.head_size


def layers_of(model: Module) -> list[Layer]:
    """Return the layers of a BERT, RoBERTa or DistilBERT, first to last."""
    encoder = encoder_of(model)
    if hasattr(encoder, "transformer"):
        return [_distilbert(layer) for layer in encoder.transformer.layer]
    return [_bert(layer) for layer in encoder.encoder.layer]


def encoder_of(model: Module) -> PreTrainedModel:
    """Return the encoder without its head; an encoder without a head is returned as it is."""
    return model.base_model if hasattr(model, "base_model") else model.encoder


def pooling_of(model: Module) -> tuple[Linear | None, Linear]:
    """Return the dense layer between encoder and labels, or None without one, and the layer of the labels."""
    pooler = getattr(encoder_of(model), "pooler", None)
    if hasattr(model, "pre_classifier"):
        return model.pre_classifier, model.classifier
    if hasattr(model.classifier, "out_proj"):
        return model.classifier.dense, model.classifier.out_proj
    return getattr(pooler, "dense", None), model.classifier


def narrow(
    model: Module, heads_to_keep: Sequence[Sequence[int]], units_to_keep: Sequence[Sequence[int]]
) -> None:
    """Keep these heads and feed-forward units of each layer, in this order, and remove the others.

    Model and configuration are changed in place, so that `load` reads what `save_pretrained` writes.
    """
    shape = shape_of(model.config.to_dict())
    for layer, heads, units in zip(layers_of(model), heads_to_keep, units_to_keep, strict=True):
        rows = [head * shape.head_size + row for head in heads for row in range(shape.head_size)]
        for linear in (layer.query, layer.key, layer.value):
            keep_rows(linear, rows)
        keep_columns(layer.out, rows)
        keep_rows(layer.up, units)
        keep_columns(layer.down, units)
        _set_sizes(layer, len(heads), shape.head_size)
    kept = replace(shape, heads=tuple(map(len, heads_to_keep)), ffn=tuple(map(len, units_to_keep)))
    set_shape(model.config, kept)


def narrow_width(model: Module, keep: Sequence[int], pooled: Sequence[int]) -> None:
    """Keep the components `keep` of the hidden states, and `pooled` of the dense layer before the labels.

    Heads and head size stay. Unlike a head or a unit, a component of the hidden states affects the result
    even if it is always zero: layer normalisation takes mean and variance over all components that are left.
    """
    _narrow_embeddings_and_norms(encoder_of(model), keep)
    for layer in layers_of(model):
        for linear in (layer.query, layer.key, layer.value, layer.up):
            keep_columns(linear, keep)
        for linear in (layer.out, layer.down):
            keep_rows(linear, keep)
    dense, labels = pooling_of(model)
    if dense is None:
        # the span head reads several hidden states side by side
        starts = range(0, labels.in_features, model.config.hidden_size)
        keep_columns(labels, [start + component for start in starts for component in keep])
    else:
        keep_columns(dense, keep)
        keep_rows(dense, pooled)
        keep_columns(labels, pooled)
    set_shape(model.config, replace(shape_of(model.config.to_dict()), hidden=len(keep)))


def keep_vocabulary(model: Module, ids: Sequence[int]) -> None:
    """Keep the embeddings of these token ids; the first gets id 0, and so on."""
    embeddings = encoder_of(model).get_input_embeddings()
    embeddings.weight = _copy(embeddings.weight[list(ids)])
    embeddings.num_embeddings = model.config.vocab_size = len(ids)


def _narrow_embeddings_and_norms(encoder: Module, keep: Sequence[int]) -> None:
    for module in encoder.modules():
        if isinstance(module, torch.nn.Embedding):
            module.weight = _copy(module.weight[:, list(keep)])
            module.embedding_dim = len(keep)
        elif isinstance(module, torch.nn.LayerNorm):
            module.weight, module.bias = _copy(module.weight[list(keep)]), _copy(module.bias[list(keep)])
            module.normalized_shape = (len(keep),)


def set_activation(model: Module, name: str) -> None:
    """Replace the activation of every feed-forward block; `name` is one of transformers' activations."""
    for module in encoder_of(model).modules():
        for attribute in ("intermediate_act_fn", "activation"):
            # the pooler's `activation` stays: it is not in a module with `lin1`
            if hasattr(module, attribute) and (hasattr(module, "lin1") or attribute != "activation"):
                setattr(module, attribute, ACT2FN[name])
    set_shape(model.config, replace(shape_of(model.config.to_dict()), activation=name))


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


def keep_rows(linear: Linear, rows: Sequence[int]) -> None:
    """Keep these outputs of a linear layer."""
    _set_weights(linear, linear.weight[list(rows)], linear.bias[list(rows)])


def keep_columns(linear: Linear, columns: Sequence[int]) -> None:
    """Keep these inputs of a linear layer."""
    _set_weights(linear, linear.weight[:, list(columns)], linear.bias)


def _set_weights(linear: Linear, weight: torch.Tensor, bias: torch.Tensor) -> None:
    linear.weight, linear.bias = _copy(weight), _copy(bias)
    linear.out_features, linear.in_features = weight.shape


def _copy(tensor: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor.detach().clone())


def _set_sizes(layer: Layer, heads: int, head_size: int) -> None:
    """Set the sizes that the attention module has as attributes, beside its matrices."""
    layer.attention.attention_head_size = head_size
    layer.attention.scaling = head_size**-0.5
    sizes = {"num_attention_heads": heads, "n_heads": heads, "all_head_size": heads * head_size}
    for name, size in sizes.items():
        if hasattr(layer.attention, name):
            setattr(layer.attention, name, size)


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
        for layer, heads, ffn in zip(layers_of(self), shape.heads, shape.ffn, strict=True):
            _resize(layer, shape, heads, ffn)
        self.init_weights()  # of the new matrices only: transformers marks those that it has initialised

    # the name of the class becomes the architecture in config.json
    return type(stock.__name__, (stock,), {"__init__": build_narrow, "__module__": stock.__module__})


@contextmanager
def _one_head(config: PreTrainedConfig) -> Iterator[None]:
    """Set the number of heads to 1 while transformers builds the model: it must divide the hidden size."""
    heads, config.num_attention_heads = config.num_attention_heads, 1
    try:
        yield
    finally:
        config.num_attention_heads = heads


def _resize(layer: Layer, shape: EncoderShape, heads: int, ffn: int) -> None:
    width = heads * shape.head_size
    sizes: Mapping[str, tuple[int, int]] = {
        **dict.fromkeys(("query", "key", "value"), (shape.hidden, width)),
        "out": (width, shape.hidden),
        "up": (shape.hidden, ffn),
        "down": (ffn, shape.hidden),
    }
    for name, (columns, rows) in sizes.items():
        fresh = torch.nn.Linear(columns, rows)
        linear = getattr(layer, name)
        linear.weight, linear.bias = fresh.weight, fresh.bias
        linear.in_features, linear.out_features = columns, rows
        linear._is_hf_initialized = False  # noqa: SLF001 -- transformers' mark of what `init_weights` skips
    _set_sizes(layer, heads, shape.head_size)


def _bert(layer: Module) -> Layer:
    attention, up, down = layer.attention.self, layer.intermediate.dense, layer.output.dense
    output = layer.attention.output.dense
    return Layer(attention, attention.query, attention.key, attention.value, output, up, down)


def _distilbert(layer: Module) -> Layer:
    attention, ffn = layer.attention, layer.ffn
    projections = attention.q_lin, attention.k_lin, attention.v_lin, attention.out_lin
    return Layer(attention, *projections, ffn.lin1, ffn.lin2)
