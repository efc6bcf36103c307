"""An encoder that drops tokens between layers, by the attention that they receive: for training and export.

    hidden --attention--> what each token receives --the most--> tokens kept --feed-forward--> hidden

As in PoWER-BERT (Goyal et al. 2020) a token's importance is the attention that it gets from all tokens over
all heads of the layer, and those of least importance leave between attention and feed-forward. The first
token, which the classifier reads, stays. Order needs no keeping: positions were added before the first
layer. The modules are the model's own, so training this trains the model.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.models.classifier import input_names
from baselines.models.resize import Layer, encoder_of, layers_of, pooling_of
from optimized.adaptive.early_exit.exit_heads import activation_of
from optimized.adaptive.token_dropping.budget import ALL, kept

_MOST = 1e4  # more attention than there is: the first token's


class TokenDroppingModel(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """The model with tokens dropped in the layers `after`, counted from 1; spans are not kept."""

    def __init__(self, model: Any, after: Sequence[int]) -> None:  # noqa: ANN401 -- transformers has no types
        super().__init__()
        encoder = encoder_of(model)
        whole = encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder
        self.embeddings, self.after = encoder.embeddings, tuple(after)
        self.modules_of_layers = whole.layer
        self.layers = [_Thin(*each) for each in zip(layers_of(model), whole.layer, strict=True)]
        self.dense, self.labels = pooling_of(model)
        self.activation = activation_of(model)
        self.segments = "token_type_ids" in input_names(model)

    def forward(self, ids: Tensor, segments: Tensor | None, keep: Any, mask: Tensor | None = None) -> Tensor:  # noqa: ANN401
        """Return logits [sequences, labels]; `keep` has the hundredths kept in each of the layers `after`.

        Without a mask there is no padding: all sequences are of one length, and lose equally many tokens.
        """
        own = {"token_type_ids": segments} if self.segments else {}
        hidden = self.embeddings(input_ids=ids, **own)
        for number, layer in enumerate(self.layers, 1):
            share = keep[self.after.index(number)] if number in self.after else None
            hidden, mask = layer(hidden, mask, share, last=number == len(self.layers))
        read = hidden[:, 0]
        if self.dense is not None:
            read = self.activation(self.dense(read))
        found: Tensor = self.labels(read)
        return found


class _Thin:
    """One layer of BERT, RoBERTa or DistilBERT, its attention spelled out so that it can be looked at."""

    def __init__(self, layer: Layer, module: Any) -> None:  # noqa: ANN401 -- transformers has no types
        self.layer = layer
        if hasattr(module, "sa_layer_norm"):
            self.norms = (module.sa_layer_norm, module.output_layer_norm)
            self.activation = module.ffn.activation
        else:
            self.norms = (module.attention.output.LayerNorm, module.output.LayerNorm)
            self.activation = module.intermediate.intermediate_act_fn

    def __call__(
        self,
        hidden: Tensor,
        mask: Tensor | None,
        keep: Any,  # noqa: ANN401
        *,
        last: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Return hidden states and mask of the tokens that are kept; of the last layer, the first token's."""
        asked = hidden[:, :1] if last else hidden
        context, shares = self._attention(asked, hidden, mask)
        hidden = self.norms[0](self.layer.out(context) + asked)
        if keep is not None and not last:
            hidden, mask = _drop(hidden, shares, mask, keep)
        return self.norms[1](self.layer.down(self.activation(self.layer.up(hidden))) + hidden), mask

    def _attention(self, asked: Tensor, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        query, key, value = (
            linear(given).unflatten(-1, (self.layer.heads, self.layer.head_size)).transpose(1, 2)
            for linear, given in (
                (self.layer.query, asked),
                (self.layer.key, hidden),
                (self.layer.value, hidden),
            )
        )
        scores = query @ key.transpose(-1, -2) * self.layer.head_size**-0.5
        if mask is not None:
            scores = scores + (1.0 - mask[:, None, None, :].to(scores.dtype)) * torch.finfo(scores.dtype).min
        shares = scores.softmax(-1)
        return (shares @ value).transpose(1, 2).flatten(2), shares


def _drop(hidden: Tensor, shares: Tensor, mask: Tensor | None, keep: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ANN401
    """Keep `keep` hundredths of the tokens of each sequence: the first, and those that receive the most."""
    if mask is None:
        places = _ranked(shares.sum(2).mean(1), kept(hidden.shape[1], keep))
        # one sequence when it is exported, where picking rows is cheaper than gathering elements
        picked = hidden.index_select(1, places[0]) if len(places) == 1 else _gathered(hidden, places)
        return picked, None
    asking = mask.to(shares.dtype)
    received = (shares * asking[:, None, :, None]).sum(2).mean(1).masked_fill(mask == 0, -1.0)
    counts = (mask.sum(1) * keep + ALL - 1) // ALL
    places = _ranked(received, int(counts.max()))
    left = torch.arange(places.shape[1], device=mask.device)[None] < counts[:, None]
    return _gathered(hidden, places), left.to(mask.dtype)


def _ranked(received: Tensor, count: Any) -> Tensor:  # noqa: ANN401 -- a number, or while tracing a tensor
    """Return the places of the `count` tokens that receive the most, token 0 first: [sequences, count]."""
    first = torch.full_like(received[:, :1], _MOST)
    return torch.cat((first, received[:, 1:]), 1).topk(count, dim=1).indices


def _gathered(hidden: Tensor, places: Tensor) -> Tensor:
    return hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1]))
