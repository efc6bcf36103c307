"""Exit heads: classifiers after chosen layers, trained to give the last layer's answers.

    train --frozen layers, once--> input of each exit head, the model's own logits --> training of the heads

As in DeeBERT (Xin et al. 2020) the backbone stays as it was fine-tuned, so the last layer's answers do not
change. As in FastBERT (Liu et al. 2020) heads learn from the last layer's answers instead of from labels. The
input of a head is one vector for each sequence (the first token's state, or those of two spans). With frozen
layers it never changes, so it is computed once and kept in memory, and heads train in seconds.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import Identity, Module
from transformers.activations import ACT2FN

from baselines.encoding.batching import pad
from baselines.models.classifier import input_names, tensors_of
from baselines.models.families.layers import facts_about, named, pooling_of, stacked_layers
from baselines.models.families.slices import encoder_part, final_norm_of, pooled, states_after
from baselines.models.span_classifier import pool_spans
from harness.systems.interface import EncodedSequence
from optimized.adaptive.early_exit.staged_system import HIDDEN
from optimized.recipes.distillation.losses import soft_cross_entropy

_BATCH = 16  # of a pass through the layers; heads are trained in batches of twice this size
_LEARNING_RATE = 1e-3  # high, which a few hundred thousand weights on fixed inputs tolerate
_BATCHES_PER_REPORT = 64


class ExitHead(Module):  # type: ignore[misc]  # mypy does not follow torch
    """A classifier with the structure of the model's own: dense layer and norm, if any, then the labels."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        dense, labels = pooling_of(model)
        # start from the model's own weights, since earlier states resemble those of the last layer
        self.dense = copy.deepcopy(dense) if dense is not None else Identity()
        self.activation = head_activation(model) if dense is not None else Identity()
        norms = named(model, facts_about(model).head.norm) if dense is not None else []
        self.norm = copy.deepcopy(norms[0]) if norms else Identity()
        self.labels = copy.deepcopy(labels)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits [sequences, labels] for vectors [sequences, width]."""
        logits: Tensor = self.labels(self.norm(self.activation(self.dense(vectors))))
        return logits


class ExitStage(Module):  # type: ignore[misc]  # as above
    """Layers `low` to `high` of a model, then an exit head; the first stage begins with the embeddings."""

    def __init__(self, model: Module, low: int, high: int, head: ExitHead) -> None:
        super().__init__()
        self.part, self.head, self.depth = encoder_part(model, low, high), head, high
        self.final_norm, self.pooling = final_norm_of(model), facts_about(model).head.pooling
        self.first, self.last = low == 0, high == len(stacked_layers(model))
        names = input_names(model)
        first = [name for name in names if name != "spans"]
        spans = ["spans"] if "spans" in names else []
        self.names = (*(first if self.first else (HIDDEN, "attention_mask")), *spans)

    def states(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the hidden states after the stage's last layer, [sequences, tokens, width]."""
        of_encoder = [name for name in self.names if name not in ("spans", HIDDEN)]
        states = {} if self.first else {"inputs_embeds": inputs[HIDDEN]}
        return states_after(self.part, {**{name: inputs[name] for name in of_encoder}, **states})

    def vectors(self, hidden: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return what the stage's head classifies of the states after its last layer."""
        return head_input(self.final_norm(hidden), inputs, self.pooling)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return logits and, except in the last stage, hidden states; inputs are in the order of `names`."""
        by_name = dict(zip(self.names, inputs, strict=True))
        hidden = self.states(by_name)
        logits = self.head(self.vectors(hidden, by_name))
        return (logits,) if self.last else (logits, hidden)


def head_input(hidden: Tensor, inputs: Mapping[str, Tensor], pooling: str) -> Tensor:
    """Return the vectors that a head classifies: pooled states, or the maxima over two spans."""
    if "spans" in inputs:
        return pool_spans(hidden, inputs["spans"])
    return pooled(hidden, inputs["attention_mask"], pooling)


def split_at_exits(model: Module, exits: Sequence[int]) -> list[ExitStage]:
    """Return the model as stages that end after these layers, and after the last with its own classifier."""
    bounds = pairwise((0, *exits, len(stacked_layers(model))))
    return [ExitStage(model, low, high, ExitHead(model)) for low, high in bounds]


def compute_head_inputs(
    stages: Sequence[ExitStage],
    sequences: Sequence[EncodedSequence],
    pad_id: int,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[list[Tensor], Tensor]:
    """Return the vectors of each exit head for all sequences, and the last head's logits, float32, in order.

    `progress` is called from time to time with the finished fraction.
    """
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index].ids))
    parts: list[list[Tensor]] = [[] for _ in stages]
    starts = range(0, len(order), _BATCH)
    for number, start in enumerate(starts):
        batch = [sequences[index] for index in order[start : start + _BATCH]]
        for part, output in zip(parts, _run_batch(stages, batch, pad_id), strict=True):
            part.append(output)
        if number % _BATCHES_PER_REPORT == _BATCHES_PER_REPORT - 1:
            progress((number + 1) / len(starts))
    original_order = torch.argsort(torch.tensor(order))
    *vectors, logits = [torch.cat(part)[original_order] for part in parts]
    return vectors, logits


def train(
    head: ExitHead, vectors: Tensor, teacher_logits: Tensor, *, steps: int, seed: int
) -> tuple[float, float]:
    """Train one head towards logits [sequences, labels]; return its loss over all of them, before and after.

    The loss is the KL divergence of the head's answers from the teacher's: 0 where they are equal.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(head.parameters(), lr=_LEARNING_RATE)
    # with a constant rate, the result on a small training split depends on the last few batches
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, max(steps, 1))
    before = _loss(head, vectors, teacher_logits)
    batches: list[Tensor] = []
    for _ in range(steps):
        batches = batches or list(torch.randperm(len(vectors), generator=generator).split(2 * _BATCH))
        rows = batches.pop()
        optimiser.zero_grad()
        soft_cross_entropy(head(vectors[rows]), teacher_logits[rows], 1.0).mean().backward()
        optimiser.step()
        schedule.step()
    return before, _loss(head, vectors, teacher_logits)


def _loss(head: ExitHead, vectors: Tensor, teacher_logits: Tensor) -> float:
    with torch.inference_mode():
        cross_entropy = soft_cross_entropy(head(vectors), teacher_logits, 1.0)
        entropy = soft_cross_entropy(teacher_logits, teacher_logits, 1.0)
        return float((cross_entropy - entropy).mean())


def _run_batch(
    stages: Sequence[ExitStage], sequences: Sequence[EncodedSequence], pad_id: int
) -> list[Tensor]:
    """Return the vectors of each exit head, and of the last stage the logits."""
    padded = pad(sequences, pad_id)
    # not inference_mode, whose tensors cannot be used in training
    with torch.no_grad():
        inputs = tensors_of(padded, list(padded.arrays()))
        outputs = []
        for stage in stages:
            inputs = {**inputs, HIDDEN: stage.states(inputs)}
            vectors = stage.vectors(inputs[HIDDEN], inputs)
            outputs.append(stage.head(vectors) if stage.last else vectors.clone())
    return outputs


def head_activation(model: Module) -> Module:
    """Return the activation between dense layer and labels, which is the family's."""
    activation: Module = ACT2FN[facts_about(model).head.activation]
    return activation
