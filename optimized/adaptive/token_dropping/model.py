"""An encoder that drops tokens between layers by their importance, for training and export.

    hidden --attention--> importance of each token --largest--> kept tokens --feed-forward--> hidden

As in PoWER-BERT (Goyal et al. 2020) the importance of a token is the attention that it receives from all
tokens, summed over all heads of the layer; the least important tokens are dropped between attention and
feed-forward block. The first token, which the classifier reads, is always kept. The order of kept tokens does
not matter, since positions were added before the first layer. The modules are those of the original model, so
training this model trains the original.
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import Module, ModuleList

from baselines.models.classifier import input_names
from baselines.models.families.layers import (
    Layer,
    encoder_of,
    facts_about,
    layers_of,
    named,
    pooling_of,
    stacked_layers,
)
from optimized.adaptive.early_exit.exit_heads import head_activation
from optimized.adaptive.token_dropping.budget import ALL, kept

_MAX_IMPORTANCE = 1e4  # the first token's, more than any token can receive

Share: TypeAlias = int | Tensor
"""A kept share in hundredths; a tensor while the model is traced."""


class TokenDroppingModel(Module):  # type: ignore[misc]  # mypy does not follow torch
    """The model with tokens dropped in the layers `after`, counted from 1; it does not support spans."""

    def __init__(self, model: Module, after: Sequence[int]) -> None:
        super().__init__()
        encoder, modules = encoder_of(model), facts_about(model).modules
        self.embeddings, self.after = encoder.embeddings, tuple(after)
        self.projection = (
            named(encoder, modules.embedding_projection)[0] if modules.embedding_projection else None
        )
        self.modules_of_layers = ModuleList(stacked_layers(model))
        self.layers = [
            _DroppingLayer(layer, module.get_submodule(modules.layer.activation))
            for layer, module in zip(layers_of(model), self.modules_of_layers, strict=True)
        ]
        self.dense, self.labels = pooling_of(model)
        self.activation = head_activation(model)
        self.segments = "token_type_ids" in input_names(model)

    def forward(
        self, ids: Tensor, segments: Tensor | None, keep: Sequence[int] | Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return logits [sequences, labels]; `keep` has the kept share of each of the layers `after`.

        Without a mask, all sequences have the same length and no padding.
        """
        optional = {"token_type_ids": segments} if self.segments else {}
        hidden = self.embeddings(input_ids=ids, **optional)
        if self.projection is not None:
            hidden = self.projection(hidden)
        for number, layer in enumerate(self.layers, 1):
            share = keep[self.after.index(number)] if number in self.after else None
            hidden, mask = layer(hidden, mask, share, last=number == len(self.layers))
        first = hidden[:, 0]
        if self.dense is not None:
            first = self.activation(self.dense(first))
        logits: Tensor = self.labels(first)
        return logits


class _DroppingLayer:
    """One layer that normalises afterwards, with explicit attention weights as importance."""

    def __init__(self, layer: Layer, activation: Module) -> None:
        self.layer, self.activation = layer, activation

    def __call__(
        self, hidden: Tensor, mask: Tensor | None, keep: Share | None, *, last: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return hidden states and mask of the kept tokens; the last layer returns only the first token."""
        queried = hidden[:, :1] if last else hidden
        context, attention = self._attention(queried, hidden, mask)
        hidden = self.layer.attention_norm(self.layer.out(context) + queried)
        if keep is not None and not last:
            hidden, mask = _drop(hidden, attention, mask, keep)
        return self.layer.ffn_norm(self.layer.down(self.activation(self.layer.up(hidden))) + hidden), mask

    def _attention(self, queried: Tensor, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the context of the queried tokens, and the attention weights."""
        query, key, value = (
            linear(states).unflatten(-1, (self.layer.heads, self.layer.head_size)).transpose(1, 2)
            for linear, states in (
                (self.layer.query, queried),
                (self.layer.key, hidden),
                (self.layer.value, hidden),
            )
        )
        scores = query @ key.transpose(-1, -2) * self.layer.head_size**-0.5
        if mask is not None:
            scores = scores + (1.0 - mask[:, None, None, :].to(scores.dtype)) * torch.finfo(scores.dtype).min
        attention = scores.softmax(-1)
        return (attention @ value).transpose(1, 2).flatten(2), attention


def _drop(
    hidden: Tensor, attention: Tensor, mask: Tensor | None, keep: Share
) -> tuple[Tensor, Tensor | None]:
    """Keep the share `keep` of the tokens of each sequence: the first, and those of largest importance."""
    if mask is None:
        indices = _most_important(attention.sum(2).mean(1), kept(hidden.shape[1], keep))
        # the export has one sequence, for which selecting rows is cheaper than gathering elements
        return hidden.index_select(1, indices[0]) if len(indices) == 1 else _gather(hidden, indices), None
    queries = mask.to(attention.dtype)
    importance = (attention * queries[:, None, :, None]).sum(2).mean(1).masked_fill(mask == 0, -1.0)
    counts = (mask.sum(1) * keep + ALL - 1) // ALL
    indices = _most_important(importance, int(counts.max()))
    is_kept = torch.arange(indices.shape[1], device=mask.device)[None] < counts[:, None]
    return _gather(hidden, indices), is_kept.to(mask.dtype)


def _most_important(importance: Tensor, count: Share) -> Tensor:
    """Return the indices of the `count` most important tokens, token 0 first: [sequences, count]."""
    first = torch.full_like(importance[:, :1], _MAX_IMPORTANCE)
    return torch.cat((first, importance[:, 1:]), 1).topk(count, dim=1).indices


def _gather(hidden: Tensor, indices: Tensor) -> Tensor:
    return hidden.gather(1, indices[..., None].expand(-1, -1, hidden.shape[-1]))
