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

from baselines.scratch_data import BATCH, CLS, LABELS, MAX_LENGTH, Encoded, Settings, heads
from baselines.watch import Watch

HIDDEN, LAYERS, HEADS, INNER = 128, 3, 4, 512
HEAD = HIDDEN // HEADS
WORD_SCALE, QUERY_KEY_SCALE, VALUE_SCALE = 0.1, 1.3, 0.7


def new_model(vocabulary: int, seed: int) -> BertForSequenceClassification:
    """Make the untrained encoder, its attention mimetic."""
    torch.manual_seed(seed)
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
        num_labels=sum(map(len, LABELS.values())),
    )
    model = BertForSequenceClassification(config)
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


def collate(examples: Sequence[Encoded]) -> dict[str, Tensor]:
    """Pad a batch to its longest example; `allowed` marks the classifier rows of each example's task.

    Widths are multiples of 16: a kernel is kept for every width seen, and 250 of them take gigabytes.
    """
    longest = max(len(example.input_ids) for example in examples)
    width = min(MAX_LENGTH, 16 * math.ceil(longest / 16))
    rows_of = {row: list(labels.values()) for labels in heads().values() for row in labels.values()}
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    allowed = torch.zeros(len(examples), len(rows_of), dtype=torch.bool)
    for number, example in enumerate(examples):
        length = len(example.input_ids)
        ids[number, :length] = torch.tensor(example.input_ids.tolist())
        types[number, :length] = torch.tensor(example.token_type_ids.tolist())
        mask[number, :length] = 1
        allowed[number, rows_of[example.label]] = True
    labels = torch.tensor([example.label for example in examples])
    return {
        "input_ids": ids,
        "token_type_ids": types,
        "attention_mask": mask,
        "allowed": allowed,
        "labels": labels,
    }


class SharedTrunkTrainer(Trainer):  # type: ignore[misc]
    """The library's Trainer with a loss that looks only at the classifier rows of an example's own task."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:  # noqa: ANN401
        """Return the mean cross-entropy of a batch, and the outputs if asked for."""
        allowed, labels = inputs.pop("allowed"), inputs.pop("labels")
        outputs = model(**inputs)
        loss = cross_entropy(outputs.logits.float().masked_fill(~allowed, float("-inf")), labels)
        return (loss, outputs) if return_outputs else loss


def make_trainer(
    model: BertForSequenceClassification,
    examples: Sequence[Encoded],
    folder: Path,
    settings: Settings,
    watch: Watch,
) -> SharedTrunkTrainer:
    """Set the Trainer up to read the examples once and in their order."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
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
        dataloader_drop_last=True,
        dataloader_pin_memory=False,
    )
    trainer = SharedTrunkTrainer(
        model=model,
        args=arguments,
        train_dataset=list(examples),
        data_collator=collate,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)  # it prints on stdout
    return trainer


def predict_rows(model: BertForSequenceClassification, examples: Sequence[Encoded]) -> list[int]:
    """Answer each example with a row of the classifier, among the rows of its task."""
    model.eval()
    answers: list[int] = []
    with torch.inference_mode():
        for start in range(0, len(examples), BATCH):
            inputs = collate(examples[start : start + BATCH])
            del inputs["labels"]
            allowed = inputs.pop("allowed")
            logits = model(**inputs).logits.masked_fill(~allowed, float("-inf"))
            answers += logits.argmax(dim=-1).tolist()
    return answers


def accuracy(model: BertForSequenceClassification, examples: Sequence[Encoded]) -> float:
    """Share of examples answered with their label."""
    pairs = zip(predict_rows(model, examples), examples, strict=True)
    return sum(answer == example.label for answer, example in pairs) / len(examples)
