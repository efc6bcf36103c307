"""The model that is trained from scratch: its shape, initialisation, batches, loss and trainer.

Attention is initialised mimetically (Trockman and Kolter 2023, "Mimetic Initialization of Self-Attention
Layers", arXiv 2305.09828), because a question must find its words in the passage before anything else can be
learned.
"""

import math
from collections.abc import Sequence
from pathlib import Path

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
from baselines.training.scratch.data import (
    CLS_ID,
    MAX_LENGTH,
    MultiTaskItem,
    PretrainingSettings,
    head_sizes,
    label_rows,
)
from harness.workload.tasks import get_task

HIDDEN, LAYERS, HEADS, FEED_FORWARD = 128, 3, 4, 512
HEAD_SIZE = HIDDEN // HEADS
WORD_SCALE, QUERY_KEY_SCALE, VALUE_SCALE = 0.1, 1.3, 0.7


class SharedTrunk(BertForSequenceClassification):  # type: ignore[misc]
    """One encoder for all tasks, with a classifier on its first token and one on two spans."""

    def __init__(self, config: BertConfig, span_labels: int) -> None:
        super().__init__(config)
        self.span_classifier = torch.nn.Linear(SPANS * config.hidden_size, span_labels)
        torch.nn.init.normal_(self.span_classifier.weight, std=config.initializer_range)
        torch.nn.init.zeros_(self.span_classifier.bias)

    def forward(self, spans: Tensor, **inputs: Tensor) -> Tensor:
        """Return the logits of both heads side by side, [sequences, rows of both]."""
        output = self.bert(**inputs)
        pooled = pool_spans(output.last_hidden_state, spans)
        return torch.cat([self.classifier(output.pooler_output), self.span_classifier(pooled)], dim=1)


def new_model(vocabulary: int, seed: int) -> SharedTrunk:
    """Return the untrained model, its attention initialised mimetically."""
    torch.manual_seed(seed)
    labels, span_labels = head_sizes()
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=FEED_FORWARD,
        hidden_act="gelu",
        max_position_embeddings=MAX_LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=labels,
    )
    model = SharedTrunk(config, span_labels)
    # under bfloat16 on a CPU it trains twice as fast as the fused kernel
    model.set_attn_implementation("eager")
    _make_mimetic(model)
    return model


def _make_mimetic(model: BertForSequenceClassification) -> None:
    """Initialise embeddings and attention so that tokens attend to equal tokens and to their neighbours.

    Words, segments and positions use separate dimensions: positions the last quarter, the others the rest. In
    every layer W_Q = W_K. Two heads project onto random directions of the word dimensions, so that equal
    tokens attend to each other; one projects onto the position dimensions, so that neighbours do; one keeps
    transformers' initialisation and averages over all tokens. Over all heads W_V W_O is a negative multiple
    of the identity (section 4 of the paper): what attention returns is subtracted from the token, so that
    what is left of a word of the question shows whether the passage contains it. [CLS] starts as the
    direction between the two segments, so that it attends to the question.
    """
    embeddings = model.bert.embeddings
    with torch.no_grad():
        words = embeddings.word_embeddings.weight.normal_(0, WORD_SCALE)
        segments = embeddings.token_type_embeddings.weight.normal_(0, 0.3 * WORD_SCALE)
        positions = embeddings.position_embeddings.weight.zero_()
        words[:, -HEAD_SIZE:], segments[:, -HEAD_SIZE:] = 0, 0
        positions[:, -HEAD_SIZE:] = WORD_SCALE * _sinusoids()
        second = segments[1] - segments[0]
        words[CLS_ID] = WORD_SCALE * math.sqrt(HIDDEN - HEAD_SIZE) * second / second.norm()
        for layer in model.bert.encoder.layer:
            query_key = _query_key_weight(layer.attention.self.query.weight)
            layer.attention.self.query.weight.copy_(query_key)
            layer.attention.self.key.weight.copy_(query_key)
            value = VALUE_SCALE * torch.linalg.qr(torch.randn(HIDDEN, HIDDEN))[0]
            layer.attention.self.value.weight.copy_(value)
            layer.attention.output.dense.weight.copy_(-value.T)


def _query_key_weight(initial: Tensor) -> Tensor:
    """Return the common query and key weight: heads 0 and 1 for words, 2 as `initial`, 3 for positions."""
    weight = torch.zeros(HIDDEN, HIDDEN)
    weight[: 2 * HEAD_SIZE, :-HEAD_SIZE] = torch.linalg.qr(
        torch.randn(HIDDEN - HEAD_SIZE, HIDDEN - HEAD_SIZE)
    )[0][: 2 * HEAD_SIZE]
    weight[-HEAD_SIZE:, -HEAD_SIZE:] = torch.eye(HEAD_SIZE)
    weight *= QUERY_KEY_SCALE
    weight[2 * HEAD_SIZE : 3 * HEAD_SIZE] = initial[2 * HEAD_SIZE : 3 * HEAD_SIZE]
    return weight


def _sinusoids() -> Tensor:
    """Return sines and cosines of positions (Vaswani et al. 2017, section 3.5), with periods of 6 to 628."""
    rates = torch.exp(torch.linspace(0.0, -math.log(100), HEAD_SIZE // 2))
    angles = torch.arange(MAX_LENGTH)[:, None] * rates[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def collate(items: Sequence[MultiTaskItem]) -> dict[str, Tensor]:
    """Return the tensors of a batch, padded to its longest sequence.

    `allowed` marks the rows of each sequence's task, where the rows of the span head follow those of the
    classifier. `targets` holds the row of the label, or for a choice 1 if the candidate is right and 0
    otherwise. `sizes` holds the number of sequences of each item, `choice` whether it is a choice. Lengths
    are multiples of 16: a kernel is cached for every length, and 250 of them take gigabytes.
    """
    sequences = [(item.task, sequence) for item in items for sequence in item.sequences]
    width = min(MAX_LENGTH, 16 * math.ceil(max(item.longest for item in items) / 16))
    rows = _rows_of_both_heads()
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    segments, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    spans = torch.tensor([[0, 1]] * SPANS).repeat(len(sequences), 1, 1)
    allowed = torch.zeros(len(sequences), sum(head_sizes()), dtype=torch.bool)
    for number, (task, sequence) in enumerate(sequences):
        length = len(sequence.ids)
        ids[number, :length] = torch.tensor(sequence.ids.tolist())
        segments[number, :length] = torch.tensor(sequence.segments.tolist())
        mask[number, :length] = 1
        allowed[number, rows[task]] = True
        if sequence.spans:
            spans[number] = torch.tensor(sequence.spans)
    return {
        "input_ids": ids,
        "token_type_ids": segments,
        "attention_mask": mask,
        "spans": spans,
        "allowed": allowed,
        "targets": torch.tensor([_target(item.task, target) for item in items for target in item.targets]),
        "sizes": torch.tensor([len(item.sequences) for item in items]),
        "choice": torch.tensor([get_task(item.task).head == "choice" for item in items]),
    }


def _rows_of_both_heads() -> dict[str, list[int]]:
    return {task: [_offset(task) + row for row in rows.values()] for task, rows in label_rows().items()}


def _target(task: str, target: int) -> int:
    return target if get_task(task).head == "choice" else _offset(task) + target


def _offset(task: str) -> int:
    return head_sizes()[0] if get_task(task).head == "span" else 0


def shared_loss(logits: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Return the mean loss of a batch's items, each over the rows of its task or over its candidates."""
    allowed, targets, sizes, choice = (inputs[name] for name in ("allowed", "targets", "sizes", "choice"))
    is_candidate = choice.repeat_interleave(sizes)
    masked = logits.masked_fill(~allowed, float("-inf"))
    total = cross_entropy(masked[~is_candidate], targets[~is_candidate], reduction="sum")
    if choice.any():
        scores = masked[is_candidate].max(dim=1).values  # the head of a choice has one row
        total = total + choice.sum() * choice_loss(scores, targets[is_candidate], sizes[choice].tolist())
    return total / len(sizes)


class SharedTrunkTrainer(Trainer):  # type: ignore[misc]
    """transformers' Trainer with the loss of all tasks."""

    def compute_loss(
        self,
        model: SharedTrunk,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        **_: object,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the mean loss of a batch, with the logits if `return_outputs`."""
        names = ("input_ids", "token_type_ids", "attention_mask", "spans")
        logits = model(**{name: inputs[name] for name in names}).float()
        loss = shared_loss(logits, inputs)
        return (loss, logits) if return_outputs else loss


def make_trainer(
    model: SharedTrunk,
    batches: Sequence[Sequence[MultiTaskItem]],
    folder: Path,
    settings: PretrainingSettings,
    watch: ProgressCallback,
) -> SharedTrunkTrainer:
    """Return a Trainer that reads the batches once and in their order."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=1,  # the batches of the dataset are complete
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
        data_collator=lambda rows: collate(rows[0]),
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    return trainer
