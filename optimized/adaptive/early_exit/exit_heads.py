"""Internal classifiers: heads after chosen layers that learn to say what the last layer says.

    train --frozen layers, once--> what each head reads, and the model's own logits --> heads, trained beside

As in DeeBERT (Xin et al. 2020) the backbone stays as it was fine-tuned, so that the last layer answers as
before; as in FastBERT (Liu et al. 2020) heads learn from the last layer's answers instead of from labels.
What a head reads of an example is a vector (the first token's state, or those of two spans), kept in
memory: with the layers frozen it never changes, so heads train on it in seconds.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from baselines.encoding.batching import pad
from baselines.models.classifier import input_names, tensors_of
from baselines.models.resize import encoder_of, pooling_of
from baselines.models.span_classifier import pool_spans
from harness.systems.interface import EncodedSequence
from optimized.adaptive.early_exit.staged_system import HIDDEN
from optimized.recipes.distillation.losses import soft_cross_entropy

_BATCH = 16  # of one pass through the layers; heads learn from twice as many at a time
_LEARNING_RATE = 1e-3  # of heads alone; a few hundred thousand weights on fixed inputs stand it
_PART = 64  # batches between two words on how far it is


class ExitHead(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """A classifier of the model's own shape: a dense layer, if it has one, then labels."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 -- transformers has no types
        super().__init__()
        dense, labels = pooling_of(model)
        # the model's own weights are the beginning: what later layers say, earlier ones half say already
        self.dense = copy.deepcopy(dense) if dense is not None else torch.nn.Identity()
        self.activation = activation_of(model) if dense is not None else torch.nn.Identity()
        self.labels = copy.deepcopy(labels)

    def forward(self, read: Tensor) -> Tensor:
        """Return logits [sequences, labels] of what it reads of each sequence."""
        logits: Tensor = self.labels(self.activation(self.dense(read)))
        return logits


class ExitStage(torch.nn.Module):  # type: ignore[misc]  # as above
    """Layers `low` to `high` of a model with a head after them; the first begins with the embeddings."""

    def __init__(self, model: Any, low: int, high: int, head: ExitHead) -> None:  # noqa: ANN401
        super().__init__()
        encoder = encoder_of(model)
        whole = encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder
        self.embeddings: Any = None if low else encoder.embeddings
        self.layers, self.head, self.depth = whole.layer[low:high], head, high
        self.last = high == len(whole.layer)
        names = input_names(model)
        first = [name for name in names if name != "spans"]
        spans = ["spans"] if "spans" in names else []
        self.names = (*((HIDDEN, "attention_mask") if low else first), *spans)

    def states(self, given: Mapping[str, Tensor]) -> Tensor:
        """Return the hidden states after the last of its layers, [sequences, tokens, width]."""
        hidden = given[HIDDEN] if self.embeddings is None else self._embedded(given)
        absent = 1.0 - given["attention_mask"][:, None, None, :].to(hidden.dtype)
        bias = absent * torch.finfo(hidden.dtype).min
        for layer in self.layers:
            made = layer(hidden, bias)
            hidden = made if isinstance(made, Tensor) else made[0]
        return hidden

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the logits and, before the last layer, the hidden states; inputs in the order of `names`."""
        given = dict(zip(self.names, inputs, strict=True))
        hidden = self.states(given)
        logits = self.head(read_by_head(hidden, given.get("spans")))
        return (logits,) if self.last else (logits, hidden)

    def _embedded(self, given: Mapping[str, Tensor]) -> Tensor:
        segments = {name: given[name] for name in ("token_type_ids",) if name in self.names}
        embedded: Tensor = self.embeddings(input_ids=given["input_ids"], **segments)
        return embedded


def read_by_head(hidden: Tensor, spans: Tensor | None) -> Tensor:
    """Return what a head reads of hidden states: the first token's, or the largest values in two spans."""
    return hidden[:, 0] if spans is None else pool_spans(hidden, spans)


def cut(model: Any, exits: Sequence[int]) -> list[ExitStage]:  # noqa: ANN401 -- transformers has no types
    """Return the model as stages that end after these layers, and after its last with its own classifier."""
    encoder = encoder_of(model)
    whole = encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder
    return [
        ExitStage(model, low, high, ExitHead(model)) for low, high in pairwise((0, *exits, len(whole.layer)))
    ]


def watch(
    stages: Sequence[ExitStage],
    sequences: Sequence[EncodedSequence],
    pad_id: int,
    told: Callable[[float], None] = lambda _: None,
) -> tuple[list[Tensor], Tensor]:
    """Return what each internal head reads of all sequences, and the last head's logits, float32, in order.

    `told` hears from time to time which share is done.
    """
    order = sorted(range(len(sequences)), key=lambda at: -len(sequences[at].ids))
    rows: list[list[Tensor]] = [[] for _ in stages]
    parts = range(0, len(order), _BATCH)
    for number, start in enumerate(parts):
        found = _seen(stages, [sequences[at] for at in order[start : start + _BATCH]], pad_id)
        for mine, part in zip(rows, found, strict=True):
            mine.append(part)
        if number % _PART == _PART - 1:
            told((number + 1) / len(parts))
    back = torch.argsort(torch.tensor(order))
    *read, logits = [torch.cat(mine)[back] for mine in rows]
    return read, logits


def train(head: ExitHead, read: Tensor, wanted: Tensor, *, steps: int, seed: int) -> tuple[float, float]:
    """Train one head towards logits [sequences, labels]; return its loss over all of them, before and after.

    The loss is the KL divergence of the head's answers from the wanted ones: 0 where they are the same.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(head.parameters(), lr=_LEARNING_RATE)
    # without an end at zero, small training splits end on whatever the last few batches said
    fading = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, max(steps, 1))
    before = _loss(head, read, wanted)
    order: list[Tensor] = []
    for _ in range(steps):
        order = order or list(torch.randperm(len(read), generator=generator).split(2 * _BATCH))
        rows = order.pop()
        optimiser.zero_grad()
        soft_cross_entropy(head(read[rows]), wanted[rows], 1.0).mean().backward()
        optimiser.step()
        fading.step()
    return before, _loss(head, read, wanted)


def _loss(head: ExitHead, read: Tensor, wanted: Tensor) -> float:
    with torch.inference_mode():
        said, least = soft_cross_entropy(head(read), wanted, 1.0), soft_cross_entropy(wanted, wanted, 1.0)
        return float((said - least).mean())


def _seen(stages: Sequence[ExitStage], sequences: Sequence[EncodedSequence], pad_id: int) -> list[Tensor]:
    padded = pad(sequences, pad_id)
    # a tensor made in inference mode could not be learned from later
    with torch.no_grad():
        given = tensors_of(padded, list(padded.arrays()))
        found = []
        for stage in stages:
            given = {**given, HIDDEN: stage.states(given)}
            read = read_by_head(given[HIDDEN], given.get("spans"))
            found.append(stage.head(read) if stage.last else read.clone())
    return found


def activation_of(model: Any) -> torch.nn.Module:  # noqa: ANN401
    """Return what stands between dense layer and labels: ReLU in DistilBERT, tanh in all others."""
    return torch.nn.ReLU() if hasattr(model, "pre_classifier") else torch.nn.Tanh()
