"""The encoder that is trained from scratch: its shape, how its weights start, its trainer, and its answers.

Attention starts mimetic (Trockman and Kolter 2023, "Mimetic Initialization of Self-Attention Layers",
arXiv 2305.09828), because a question has to find its words in the passage before anything else can be
learned.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from baselines.models.span_classifier import SPANS, pool_spans
from baselines.training.callbacks import ProgressCallback
from baselines.training.objective import choice_loss
from baselines.training.scratch.data import CLS, MAX_LENGTH, Lesson, Settings, head_sizes, heads
from harness.workload.tasks import get_task

HIDDEN, LAYERS, HEADS, INNER = 128, 3, 4, 512
HEAD = HIDDEN // HEADS
WORD_SCALE, QUERY_KEY_SCALE, VALUE_SCALE = 0.1, 1.3, 0.7


class SharedTrunk(BertForSequenceClassification):  # type: ignore[misc]
    """One encoder with a classifier on its first token and one on two spans, for all tasks."""

    def __init__(self, config: BertConfig, span_labels: int) -> None:
        super().__init__(config)
        self.span_classifier = torch.nn.Linear(SPANS * config.hidden_size, span_labels)
        torch.nn.init.normal_(self.span_classifier.weight, std=config.initializer_range)
        torch.nn.init.zeros_(self.span_classifier.bias)

    def forward(self, spans: Tensor, **inputs: Tensor) -> Tensor:
        """Return the logits of both heads side by side, [sequences, rows of both]."""
        found = self.bert(**inputs)
        pooled = pool_spans(found.last_hidden_state, spans)
        return torch.cat([self.classifier(found.pooler_output), self.span_classifier(pooled)], dim=1)


def new_model(vocabulary: int, seed: int) -> SharedTrunk:
    """Make the untrained encoder, its attention mimetic."""
    torch.manual_seed(seed)
    labels, span_labels = head_sizes()
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        hidden_act="gelu",
        max_position_embeddings=MAX_LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=labels,
    )
    model = SharedTrunk(config, span_labels)
    model.set_attn_implementation(
        "eager"
    )  # under bfloat16 on CPU it trains twice as fast as the fused kernel
    _make_mimetic(model)
    return model


def _make_mimetic(model: BertForSequenceClassification) -> None:
    """Start embeddings and attention so that every token looks at its equals and at its neighbours.

    Words, segments and positions start in dimensions of their own: positions in the last quarter, the
    others before it. In every layer W_Q = W_K: two heads project onto random words, so that equal tokens
    attend to each other; one onto positions, so that neighbours do; one stays as the library starts it and
    averages over all. Over all heads W_V W_O is a negative multiple of the identity (section 4 of the
    paper): what is found is taken off the token, and what remains of a word of the question tells whether
    the passage has it too. [CLS] starts as the direction that tells the second segment from the first, so
    that it reads the question.
    """
    embeddings = model.bert.embeddings
    with torch.no_grad():
        words = embeddings.word_embeddings.weight.normal_(0, WORD_SCALE)
        segments = embeddings.token_type_embeddings.weight.normal_(0, 0.3 * WORD_SCALE)
        positions = embeddings.position_embeddings.weight.zero_()
        words[:, -HEAD:], segments[:, -HEAD:] = 0, 0
        positions[:, -HEAD:] = WORD_SCALE * _waves()
        second = segments[1] - segments[0]
        words[CLS] = WORD_SCALE * math.sqrt(HIDDEN - HEAD) * second / second.norm()
        for layer in model.bert.encoder.layer:
            alike = _alike(layer.attention.self.query.weight)
            layer.attention.self.query.weight.copy_(alike)
            layer.attention.self.key.weight.copy_(alike)
            value = VALUE_SCALE * torch.linalg.qr(torch.randn(HIDDEN, HIDDEN))[0]
            layer.attention.self.value.weight.copy_(value)
            layer.attention.output.dense.weight.copy_(-value.T)


def _alike(started: Tensor) -> Tensor:
    """Make the common query and key weights: heads 0 and 1 for words, 2 as started, 3 for positions."""
    alike = torch.zeros(HIDDEN, HIDDEN)
    alike[: 2 * HEAD, :-HEAD] = torch.linalg.qr(torch.randn(HIDDEN - HEAD, HIDDEN - HEAD))[0][: 2 * HEAD]
    alike[-HEAD:, -HEAD:] = torch.eye(HEAD)
    alike *= QUERY_KEY_SCALE
    alike[2 * HEAD : 3 * HEAD] = started[2 * HEAD : 3 * HEAD]
    return alike


def _waves() -> Tensor:
    """Make sines and cosines of positions (Vaswani et al. 2017, section 3.5), periods of 6 to 628 tokens."""
    rates = torch.exp(torch.linspace(0.0, -math.log(100), HEAD // 2))
    angles = torch.arange(MAX_LENGTH)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def collate(lessons: Sequence[Lesson]) -> dict[str, Tensor]:
    """Pad a batch to its longest sequence.

    `allowed` marks the rows of each sequence's task, spans' rows after the others; `targets` holds the row of
    the label, or 1 for the right candidate of a choice and 0 for another; `sizes` counts the sequences of
    each lesson, and `choice` says which lessons are choices. Widths are multiples of 16: a kernel is kept
    for every width seen, and 250 of them take gigabytes.
    """
    pieces = [(lesson.task, piece) for lesson in lessons for piece in lesson.pieces]
    width = min(MAX_LENGTH, 16 * math.ceil(max(lesson.longest for lesson in lessons) / 16))
    rows = _rows()
    ids = torch.zeros(len(pieces), width, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    spans = torch.tensor([[0, 1]] * SPANS).repeat(len(pieces), 1, 1)
    allowed = torch.zeros(len(pieces), sum(head_sizes()), dtype=torch.bool)
    for number, (task, piece) in enumerate(pieces):
        length = len(piece.ids)
        ids[number, :length] = torch.tensor(piece.ids.tolist())
        types[number, :length] = torch.tensor(piece.segments.tolist())
        mask[number, :length] = 1
        allowed[number, rows[task]] = True
        if piece.spans:
            spans[number] = torch.tensor(piece.spans)
    return {
        "input_ids": ids,
        "token_type_ids": types,
        "attention_mask": mask,
        "spans": spans,
        "allowed": allowed,
        "targets": torch.tensor([_target(lesson.task, to) for lesson in lessons for to in lesson.targets]),
        "sizes": torch.tensor([len(lesson.pieces) for lesson in lessons]),
        "choice": torch.tensor([get_task(lesson.task).head == "choice" for lesson in lessons]),
    }


def _rows() -> dict[str, list[int]]:
    """Return the rows of each task among those of both heads."""
    return {task: [_offset(task) + row for row in labels.values()] for task, labels in heads().items()}


def _target(task: str, target: int) -> int:
    return target if get_task(task).head == "choice" else _offset(task) + target


def _offset(task: str) -> int:
    return head_sizes()[0] if get_task(task).head == "span" else 0


def shared_loss(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Return the mean loss of a batch's lessons, each over its task's rows or its candidates."""
    allowed, targets, sizes, choice = (inputs[name] for name in ("allowed", "targets", "sizes", "choice"))
    chosen = choice.repeat_interleave(sizes)
    own = logits.masked_fill(~allowed, float("-inf"))
    total = cross_entropy(own[~chosen], targets[~chosen], reduction="sum")
    if choice.any():
        scores = own[chosen].max(dim=1).values  # a choice has one row
        total = total + choice.sum() * choice_loss(scores, targets[chosen], sizes[choice].tolist())
    return total / len(sizes)


class SharedTrunkTrainer(Trainer):  # type: ignore[misc]
    """The library's Trainer with the loss of all tasks."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:  # noqa: ANN401
        """Return the mean loss of a batch, and the logits if asked for."""
        read = ("input_ids", "token_type_ids", "attention_mask", "spans")
        logits = model(**{name: inputs[name] for name in read}).float()
        loss = shared_loss(logits, inputs)
        return (loss, logits) if return_outputs else loss


def make_trainer(
    model: SharedTrunk,
    batches: Sequence[Sequence[Lesson]],
    folder: Path,
    settings: Settings,
    watch: ProgressCallback,
) -> SharedTrunkTrainer:
    """Set the Trainer up to read the batches once and in their order."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=1,  # a batch is made already
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=settings.bf16,
        use_cpu=True,
        seed=settings.seed,
        remove_unused_columns=False,
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=1,
        logging_steps=settings.log_every,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = SharedTrunkTrainer(
        model=model,
        args=arguments,
        train_dataset=list(batches),
        data_collator=lambda one: collate(one[0]),
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)  # it prints on stdout
    return trainer
