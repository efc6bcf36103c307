"""Encoders of any shape: head count and head size apart from the width, and every layer with its own sizes.

    narrow      takes heads and feed-forward units out of a model that is there; `narrow_width`, of its width
    build       makes a model of such a shape with random weights
    load        opens one from its folder; stock shapes go through it unchanged

The result is a plain dense model of transformers with smaller matrices. Nothing in its forward pass changes,
since that divides by the head size only, so every attention kernel, the exporter and the trainer take it.
How the shape stands in config.json is said in `baselines/models/shape.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.activations import ACT2FN

from baselines.checkpoints.folder import read_config
from baselines.models.shape import EncoderShape, is_narrow, shape_fields, shape_of
from baselines.models.transformers_settings import LOCAL, SAFE, quiet_transformers

__all__ = [
    "Layer",
    "build",
    "encoder_of",
    "layers_of",
    "load",
    "narrow",
    "narrow_width",
    "pooling_of",
    "shape_of",
]


@dataclass(frozen=True, slots=True)
class Layer:
    """The modules of one layer that its heads and its feed-forward units reach.

    Rows of `query`, `key` and `value` and columns of `out` belong to heads; rows of `up` and columns of
    `down` to units. `attention` holds the sizes.
    """

    attention: Any
    query: Any
    key: Any
    value: Any
    out: Any
    up: Any
    down: Any

    @property
    def head_size(self) -> int:
        """Rows of each head."""
        return int(self.attention.attention_head_size)

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return int(self.query.out_features) // self.head_size


def layers_of(model: Any) -> list[Layer]:  # noqa: ANN401 -- transformers has no types
    """Return the layers of a model of BERT, RoBERTa or DistilBERT, first to last."""
    encoder = encoder_of(model)
    if hasattr(encoder, "transformer"):
        return [_distilbert(layer) for layer in encoder.transformer.layer]
    return [_bert(layer) for layer in encoder.encoder.layer]


def encoder_of(model: Any) -> Any:  # noqa: ANN401
    """Return the encoder without its head; an encoder is its own."""
    return model.base_model if hasattr(model, "base_model") else model.encoder


def pooling_of(model: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the dense layer between encoder and labels, None where there is none, and the labels' layer."""
    pooler = getattr(encoder_of(model), "pooler", None)
    if hasattr(model, "pre_classifier"):
        return model.pre_classifier, model.classifier
    if hasattr(model.classifier, "out_proj"):
        return model.classifier.dense, model.classifier.out_proj
    return getattr(pooler, "dense", None), model.classifier


def narrow(
    model: Any,  # noqa: ANN401
    heads_to_keep: Sequence[Sequence[int]],
    units_to_keep: Sequence[Sequence[int]],
) -> None:
    """Keep these heads and feed-forward units of each layer, in this order, and forget the others.

    Changes the model in place, and its configuration, so that `save_pretrained` writes what `load` opens.
    """
    shape = shape_of(model.config.to_dict())
    for layer, heads, units in zip(layers_of(model), heads_to_keep, units_to_keep, strict=True):
        rows = [head * shape.head_size + row for head in heads for row in range(shape.head_size)]
        for linear in (layer.query, layer.key, layer.value):
            keep_rows(linear, rows)
        keep_columns(layer.out, rows)
        keep_rows(layer.up, units)
        keep_columns(layer.down, units)
        _tell(layer, len(heads), shape.head_size)
    kept = replace(shape, heads=tuple(map(len, heads_to_keep)), ffn=tuple(map(len, units_to_keep)))
    set_shape(model.config, kept)


def narrow_width(model: Any, keep: Sequence[int], pooled: Sequence[int]) -> None:  # noqa: ANN401
    """Keep these components of the hidden states, and as many of what is pooled before the labels.

    Head size and heads stay. Unlike heads and units, a width cannot be removed without a trace even if it
    carries nothing: layer normalisation takes its mean and spread over the width that is left.
    """
    _narrow_normalised(encoder_of(model), keep)
    for layer in layers_of(model):
        for linear in (layer.query, layer.key, layer.value, layer.up):
            keep_columns(linear, keep)
        for linear in (layer.out, layer.down):
            keep_rows(linear, keep)
    dense, labels = pooling_of(model)
    if dense is None:
        # the span head reads as many hidden states as it has times the width of columns, side by side
        width = model.config.hidden_size
        keep_columns(labels, [start + each for start in range(0, labels.in_features, width) for each in keep])
    else:
        keep_columns(dense, keep)
        keep_rows(dense, pooled)
        keep_columns(labels, pooled)
    set_shape(model.config, replace(shape_of(model.config.to_dict()), hidden=len(keep)))


def keep_vocabulary(model: Any, ids: Sequence[int]) -> None:  # noqa: ANN401
    """Keep the embeddings of these token ids, numbered from 0."""
    words = encoder_of(model).get_input_embeddings()
    words.weight = _part(words.weight[list(ids)])
    words.num_embeddings = model.config.vocab_size = len(ids)


def _narrow_normalised(encoder: Any, keep: Sequence[int]) -> None:  # noqa: ANN401
    """Narrow all that is as wide as the hidden states but no linear map: embeddings and normalisations."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Embedding):
            module.weight = _part(module.weight[:, list(keep)])
            module.embedding_dim = len(keep)
        elif isinstance(module, torch.nn.LayerNorm):
            module.weight, module.bias = _part(module.weight[list(keep)]), _part(module.bias[list(keep)])
            module.normalized_shape = (len(keep),)


def set_activation(model: Any, name: str) -> None:  # noqa: ANN401
    """Replace the activation of every feed-forward block by transformers' of this name."""
    for module in encoder_of(model).modules():
        for attribute in ("intermediate_act_fn", "activation"):
            # the pooler has an activation too, between no two of these
            if hasattr(module, attribute) and (hasattr(module, "lin1") or attribute != "activation"):
                setattr(module, attribute, ACT2FN[name])
    set_shape(model.config, replace(shape_of(model.config.to_dict()), activation=name))


def build(config: Any, auto: Any = AutoModelForSequenceClassification) -> Any:  # noqa: ANN401
    """Return a model of a transformers configuration with random weights, in inference mode.

    The configuration may carry the fields of `baselines/models/shape.py`; `auto` picks the kind of model,
    as in transformers. Seed torch first. CheckpointError for a family that has one shape only.
    """
    shape = shape_of(config.to_dict(), type(config).__name__)
    set_shape(config, shape)
    with quiet_transformers():
        return _class(config, auto)(config).eval()


def load(auto: Any, folder: Path, **choice: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """Return the float32 model in `folder` and transformers' loading information, as `auto` would.

    `choice` is what `from_pretrained` takes: labels, the attention kernel, mismatched sizes.
    """
    common = {"dtype": torch.float32, "output_loading_info": True, **SAFE}
    if not is_narrow(read_config(folder)):
        found: tuple[Any, dict[str, Any]] = auto.from_pretrained(folder, **common, **choice)
        return found
    config, rest = AutoConfig.from_pretrained(folder, return_unused_kwargs=True, **LOCAL, **choice)
    model, info = _class(config, auto).from_pretrained(folder, config=config, **common, **rest)
    return model, info


def set_shape(config: Any, shape: EncoderShape) -> None:  # noqa: ANN401 -- transformers has no types
    """Write a shape into a transformers configuration."""
    for name, value in shape_fields(config.to_dict(), shape).items():
        if value is not None:
            setattr(config, name, value)
        elif hasattr(config, name):
            delattr(config, name)


def keep_rows(linear: Any, rows: Sequence[int]) -> None:  # noqa: ANN401
    """Keep these outputs of a linear map."""
    _put(linear, linear.weight[list(rows)], linear.bias[list(rows)])


def keep_columns(linear: Any, columns: Sequence[int]) -> None:  # noqa: ANN401
    """Keep these inputs of a linear map."""
    _put(linear, linear.weight[:, list(columns)], linear.bias)


def _put(linear: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:  # noqa: ANN401
    linear.weight, linear.bias = _part(weight), _part(bias)
    linear.out_features, linear.in_features = weight.shape


def _part(tensor: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor.detach().clone())


def _tell(layer: Layer, heads: int, head_size: int) -> None:
    """Set the sizes that the attention module keeps beside its matrices."""
    layer.attention.attention_head_size = head_size
    layer.attention.scaling = head_size**-0.5
    sizes = {"num_attention_heads": heads, "n_heads": heads, "all_head_size": heads * head_size}
    for name, size in sizes.items():
        if hasattr(layer.attention, name):
            setattr(layer.attention, name, size)


def _class(config: Any, auto: Any) -> Any:  # noqa: ANN401
    """Return the family's class for `auto`, or one of the same name that builds the narrow shape."""
    stock = auto._model_mapping[type(config)]  # noqa: SLF001 -- the only table of classes there is
    if not is_narrow(config.to_dict()):
        return stock

    def build_narrow(self: Any, config: Any, *given: Any, **named: Any) -> None:  # noqa: ANN401
        shape = shape_of(config.to_dict())
        with _one_head(config):
            stock.__init__(self, config, *given, **named)
        for layer, heads, ffn in zip(layers_of(self), shape.heads, shape.ffn, strict=True):
            _resize(layer, shape, heads, ffn)
        self.init_weights()  # of the new matrices: transformers marks those that it has been to

    # the class's name becomes the architecture in config.json
    return type(stock.__name__, (stock,), {"__init__": build_narrow, "__module__": stock.__module__})


@contextmanager
def _one_head(config: Any) -> Iterator[None]:  # noqa: ANN401
    """Let transformers build a shape that it accepts: one head divides every width."""
    heads, config.num_attention_heads = config.num_attention_heads, 1
    try:
        yield
    finally:
        config.num_attention_heads = heads


def _resize(layer: Layer, shape: EncoderShape, heads: int, ffn: int) -> None:
    inner = heads * shape.head_size
    sizes: Mapping[str, tuple[int, int]] = {
        **dict.fromkeys(("query", "key", "value"), (shape.hidden, inner)),
        "out": (inner, shape.hidden),
        "up": (shape.hidden, ffn),
        "down": (ffn, shape.hidden),
    }
    for name, (columns, rows) in sizes.items():
        fresh = torch.nn.Linear(columns, rows)
        linear = getattr(layer, name)
        linear.weight, linear.bias = fresh.weight, fresh.bias
        linear.in_features, linear.out_features = columns, rows
        linear._is_hf_initialized = False  # noqa: SLF001 -- as transformers marks it
    _tell(layer, heads, shape.head_size)


def _bert(layer: Any) -> Layer:  # noqa: ANN401
    own, up, down = layer.attention.self, layer.intermediate.dense, layer.output.dense
    return Layer(own, own.query, own.key, own.value, layer.attention.output.dense, up, down)


def _distilbert(layer: Any) -> Layer:  # noqa: ANN401
    own, ffn = layer.attention, layer.ffn
    return Layer(own, own.q_lin, own.k_lin, own.v_lin, own.out_lin, ffn.lin1, ffn.lin2)
