"""The modules of a model's layers, found by the facts about its family.

    model --layers_of--> Layer: its linear maps, whatever their names, and norms

Where one linear map holds queries, keys and values, or gates and inputs of units, each is a view of its rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import Linear, Module

from baselines.models.families import facts_of
from baselines.models.families.facts import EncoderFacts, LayerModules


@dataclass(frozen=True, slots=True)
class Rows:
    """Some of the outputs of a linear map, as a linear map."""

    linear: Linear
    start: int
    stop: int

    @property
    def weight(self) -> Tensor:
        """The rows of the weights."""
        return self.linear.weight[self.start : self.stop]

    @property
    def bias(self) -> Tensor | None:
        """Their biases, or None without."""
        return None if self.linear.bias is None else self.linear.bias[self.start : self.stop]

    @property
    def out_features(self) -> int:
        """How many rows there are."""
        return self.stop - self.start

    @property
    def in_features(self) -> int:
        """How many inputs there are."""
        return int(self.linear.in_features)

    def __call__(self, states: Tensor) -> Tensor:
        """Return the outputs for states [..., inputs]."""
        return torch.nn.functional.linear(states, self.weight, self.bias)

    def register_forward_hook(self, hook: Callable[[Any, Any, Tensor], Any]) -> Any:  # noqa: ANN401 -- torch's
        """Call `hook` with these outputs whenever the whole map has run."""

        def on_rows(_module: Module, inputs: object, output: Tensor) -> None:
            hook(self, inputs, output[..., self.start : self.stop])

        return self.linear.register_forward_hook(on_rows)


Map: TypeAlias = Linear | Rows


@dataclass(frozen=True, slots=True)
class Layer:
    """The modules of one layer that depend on its heads and its feed-forward units, and its norms.

    Rows of `query`, `key` and `value` and columns of `out` belong to heads; rows of `up` and of `gate`, where
    there is one, and columns of `down` belong to units. `attention` is the module that holds the sizes.
    `by_position` are maps of relative positions, whose rows belong to heads.
    """

    attention: Module
    query: Map
    key: Map
    value: Map
    out: Linear
    up: Map
    down: Linear
    attention_norm: Any  # a module, or None where the layer has none
    ffn_norm: Module
    head_size: int
    gate: Map | None = None
    by_position: tuple[Linear, ...] = ()

    @property
    def heads(self) -> int:
        """The number of heads."""
        return int(self.query.out_features) // self.head_size

    @property
    def units(self) -> int:
        """The number of feed-forward units."""
        return int(self.down.in_features)


def facts_about(model: Module) -> EncoderFacts:
    """Return the facts about a model's encoder."""
    return facts_of(model.config.to_dict(), type(model).__name__)


def layers_of(model: Module) -> list[Layer]:
    """Return the layers in the order in which they run; a layer that runs again is repeated."""
    facts, encoder = facts_about(model), encoder_of(model)
    distinct = {
        name: _layer(encoder.get_submodule(name), facts.modules.layer, facts.head_size)
        for name in dict.fromkeys(facts.modules.layers)
    }
    return [distinct[name] for name in facts.modules.layers]


def distinct_layers(model: Module) -> list[Layer]:
    """Return every layer with weights of its own once."""
    return list({id(layer): layer for layer in layers_of(model)}.values())


def stacked_layers(model: Module) -> list[Module]:
    """Return the layers as transformers' own modules, in the order in which they run."""
    encoder = encoder_of(model)
    return [encoder.get_submodule(name) for name in facts_about(model).modules.layers]


def encoder_of(model: Module) -> Any:  # noqa: ANN401 -- transformers' own class
    """Return the encoder without its head; an encoder without a head is returned as it is."""
    return model.base_model if hasattr(model, "base_model") else model.encoder


def pooling_of(model: Module) -> tuple[Linear | None, Linear]:
    """Return the dense layer between encoder and labels, or None without one, and the layer of the labels."""
    if not hasattr(model, "base_model"):  # the head for two spans, which is not transformers'
        return None, model.classifier
    head = facts_about(model).head
    return model.get_submodule(head.dense), model.get_submodule(head.labels)


def named(encoder: Module, *names: str) -> list[Any]:
    """Return the encoder's modules of these names; an empty name is left out."""
    return [encoder.get_submodule(name) for name in names if name]


def _layer(module: Module, names: LayerModules, head_size: int) -> Layer:
    def part(name: str) -> Any:  # noqa: ANN401 -- any module
        return module.get_submodule(name)

    if names.query_key_value:
        query, key, value = _split(part(names.query_key_value), 3)
    else:
        query, key, value = map(part, (names.query, names.key, names.value))
    if names.gate_up:
        gate, up = _split(part(names.gate_up), 2)
    else:
        gate, up = part(names.gate) if names.gate else None, part(names.up)
    norm = part(names.attention_norm)
    return Layer(
        attention=part(names.attention),
        query=query,
        key=key,
        value=value,
        out=part(names.out),
        up=up,
        down=part(names.down),
        # ModernBERT has the identity in its first layer
        attention_norm=norm if hasattr(norm, "weight") else None,
        ffn_norm=part(names.ffn_norm),
        head_size=head_size,
        gate=gate,
        by_position=tuple(part(name) for name in (names.position_key, names.position_query) if name),
    )


def _split(linear: Linear, parts: int) -> list[Map]:
    rows = linear.out_features // parts
    return [Rows(linear, start, start + rows) for start in range(0, parts * rows, rows)]
