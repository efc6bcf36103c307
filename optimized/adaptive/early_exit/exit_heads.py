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
from torch.nn import Identity, Module, ModuleList, ReLU, Tanh

from baselines.encoding.batching import pad
from baselines.models.classifier import input_names, tensors_of
from baselines.models.resize import encoder_of, pooling_of
from baselines.models.span_classifier import pool_spans
from harness.systems.interface import EncodedSequence
from optimized.adaptive.early_exit.staged_system import HIDDEN
from optimized.recipes.distillation.losses import soft_cross_entropy

_BATCH = 16  # of a pass through the layers; heads are trained in batches of twice this size
_LEARNING_RATE = 1e-3  # high, which a few hundred thousand weights on fixed inputs tolerate
_BATCHES_PER_REPORT = 64


class ExitHead(Module):  # type: ignore[misc]  # mypy does not follow torch
    """A classifier with the structure of the model's own: its dense layer, if it has one, then the labels."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        dense, labels = pooling_of(model)
        # start from the model's own weights, since earlier states resemble those of the last layer
        self.dense = copy.deepcopy(dense) if dense is not None else Identity()
        self.activation = head_activation(model) if dense is not None else Identity()
        self.labels = copy.deepcopy(labels)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return logits [sequences, labels] for vectors [sequences, width]."""
        logits: Tensor = self.labels(self.activation(self.dense(vectors)))
        return logits


class ExitStage(Module):  # type: ignore[misc]  # as above
    """Layers `low` to `high` of a model, then an exit head; the first stage begins with the embeddings."""

    def __init__(self, model: Module, low: int, high: int, head: ExitHead) -> None:
        super().__init__()
        layers = stacked_layers(model)
        self.embeddings: Module = None if low else encoder_of(model).embeddings
        self.layers, self.head, self.depth = layers[low:high], head, high
        self.last = high == len(layers)
        names = input_names(model)
        first = [name for name in names if name != "spans"]
        spans = ["spans"] if "spans" in names else []
        self.names = (*((HIDDEN, "attention_mask") if low else first), *spans)

    def states(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the hidden states after the stage's last layer, [sequences, tokens, width]."""
        hidden = inputs[HIDDEN] if self.embeddings is None else self._embed(inputs)
        is_padding = 1.0 - inputs["attention_mask"][:, None, None, :].to(hidden.dtype)
        bias = is_padding * torch.finfo(hidden.dtype).min
        for layer in self.layers:
            output = layer(hidden, bias)
            hidden = output if isinstance(output, Tensor) else output[0]
        return hidden

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return logits and, except in the last stage, hidden states; inputs are in the order of `names`."""
        by_name = dict(zip(self.names, inputs, strict=True))
        hidden = self.states(by_name)
        logits = self.head(head_input(hidden, by_name.get("spans")))
        return (logits,) if self.last else (logits, hidden)

    def _embed(self, inputs: Mapping[str, Tensor]) -> Tensor:
        segments = {name: inputs[name] for name in ("token_type_ids",) if name in self.names}
        embedded: Tensor = self.embeddings(input_ids=inputs["input_ids"], **segments)
        return embedded


def stacked_layers(model: Module) -> ModuleList:
    """Return the model's layers as transformers' own modules."""
    encoder = encoder_of(model)
    return (encoder.transformer if hasattr(encoder, "transformer") else encoder.encoder).layer


def head_input(hidden: Tensor, spans: Tensor | None) -> Tensor:
    """Return the vectors that a head classifies: the first token's states, or the maxima over two spans."""
    return hidden[:, 0] if spans is None else pool_spans(hidden, spans)


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
            vectors = head_input(inputs[HIDDEN], inputs.get("spans"))
            outputs.append(stage.head(vectors) if stage.last else vectors.clone())
    return outputs


def head_activation(model: Module) -> Module:
    """Return the activation between dense layer and labels: ReLU in DistilBERT, tanh in other families."""
    return ReLU() if hasattr(model, "pre_classifier") else Tanh()
