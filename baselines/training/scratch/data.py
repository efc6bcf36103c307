"""Training data of the embedded encoder: its vocabulary, the rows of its heads, the order of its batches.

The texts come from a `Source` that is passed in, and the tasks parse them as they do for every model. The
order is a curriculum: short texts first, on which matching a question with a passage is learned within
minutes, then longer ones. Batches hold sequences of similar length, so that they need little padding.
"""

import random
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from harness.workload.tasks import SUPERGLUE, get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, TextInput

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

MAX_LENGTH = 256
BATCH = 64
"""Sequences of a batch, a few less if the next choice would not fit."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLS_ID = SPECIAL.index("[CLS]")
_LONG_TASKS = ("multirc", "record")
"""Tasks of which one row gives a dozen sequences."""

_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_WORD = re.compile(r"\w+|[^\w\s]")
Row = dict[str, object]


class Source(Protocol):
    """The source of rows: the generator of the embedded data, or a fake in tests."""

    VERSION: int

    def rows(
        self, task: str, split: str, limit: int | None = None, *, max_sentences: int | None = None
    ) -> Iterator[Row]:
        """Yield the rows of a split in the official layout of its task."""

    def fingerprint(self, task: str, split: str) -> str:
        """Return a hash of the rows of a split."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the curriculum: the number of rows of each task, and the most sentences of a text.

    The fields appear in training.json.
    """

    counts: dict[str, int]
    max_sentences: int | None


@dataclass(frozen=True, slots=True)
class PretrainingSettings:
    """Hyperparameters; `bf16` halves the time of a step where the CPU has instructions for it."""

    seed: int = 0
    bf16: bool = False
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    save_every: int = 500
    log_every: int = 100


@dataclass(frozen=True, slots=True)
class CompactSequence:
    """One sequence: token and segment ids (two bytes each), and its two spans, if the task has any."""

    ids: "array[int]"
    segments: "array[int]"
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class MultiTaskItem:
    """A sequence with the row of its label, or all candidates of a choice, which have one loss together.

    `targets` holds one number for each sequence: the row of the head, or for a choice 1 if the candidate is
    right.
    """

    task: str
    sequences: tuple[CompactSequence, ...]
    targets: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(len(sequence.ids) for sequence in self.sequences)


def label_rows() -> dict[str, dict[str, int]]:
    """Return the row of each label of each task: in the span head for tasks with spans, or the classifier."""
    next_row = {True: 0, False: 0}
    rows: dict[str, dict[str, int]] = {}
    for task in SUPERGLUE:
        spans = task.head == "span"
        rows[task.name] = {label: next_row[spans] + index for index, label in enumerate(task.labels)}
        next_row[spans] += len(task.labels)
    return rows


def head_sizes() -> tuple[int, int]:
    """Return the number of rows of the classifier and of the span head."""
    sizes = {False: 0, True: 0}
    for task in SUPERGLUE:
        sizes[task.head == "span"] += len(task.labels)
    return sizes[False], sizes[True]


def parse_examples(task: Task, rows: Iterator[Row]) -> list[Example]:
    """Return the examples of labelled rows."""
    return [example for row in rows for example in task.parse(row, f"embedded {task.name}", labelled=True)]


def build_tokenizer(data: Source, sample: int = 20_000) -> "Tokenizer":
    """Build a lower-case WordPiece tokenizer from all words of the first rows of `train`, and characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    words = {word for task in SUPERGLUE for word in _words(data, task, sample)}
    pieces = sorted(words | set(_CHARACTERS)) + [f"##{letter}" for letter in _CHARACTERS]
    vocabulary = {piece: number for number, piece in enumerate([*SPECIAL, *pieces])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 -- a token
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.enable_truncation(MAX_LENGTH, strategy="only_first")
    return tokenizer


def _words(data: Source, task: Task, sample: int) -> set[str]:
    rows = data.rows(task.name, "train", sample // 6 if task.name in _LONG_TASKS else sample)
    texts = {
        text
        for example in parse_examples(task, rows)
        for sequence in example.inputs
        for text in (sequence.first, sequence.second or "")
    }
    return {word for text in texts for word in _WORD.findall(text.lower())}


def encode_items(tokenizer: "Tokenizer", task: Task, examples: Sequence[Example]) -> list[MultiTaskItem]:
    """Encode labelled examples of one task: one item for each choice, or else for each sequence."""
    rows = list(label_rows()[task.name].values())
    inputs = [text for example in examples for text in example.inputs]
    encodings = tokenizer.encode_batch(
        [text.first if text.second is None else (text.first, text.second) for text in inputs]
    )
    encoded = iter(map(_compact, encodings, inputs))
    items: list[MultiTaskItem] = []
    for example in examples:
        sequences = tuple(next(encoded) for _ in example.inputs)
        targets = task.targets(example)
        if task.head == "choice":
            items.append(MultiTaskItem(task.name, sequences, targets))
        else:
            pairs = zip(sequences, targets, strict=True)
            items += [MultiTaskItem(task.name, (sequence,), (rows[target],)) for sequence, target in pairs]
    return items


def _compact(encoding: "Encoding", text: TextInput) -> CompactSequence:
    spans = []
    for span in text.spans:
        start = encoding.char_to_token(span.start, span.text)
        last = encoding.char_to_token(span.end - 1, span.text)
        spans.append((start or 0, (last or 0) + 1))
    return CompactSequence(array("H", encoding.ids), array("H", encoding.type_ids), tuple(spans))


def plan_batches(
    data: Source, tokenizer: "Tokenizer", stages: Sequence[Stage], seed: int
) -> list[list[MultiTaskItem]]:
    """Return the batches in the order of training: stage by stage, within a stage in random order."""
    batches: list[list[MultiTaskItem]] = []
    for number, stage in enumerate(stages):
        items = []
        for name, count in stage.counts.items():
            task = get_task(name)
            rows = data.rows(name, "train", count, max_sentences=stage.max_sentences)
            items += encode_items(tokenizer, task, parse_examples(task, rows))
        batches += _split(items, random.Random(f"{seed}/{number}"))  # noqa: S311
    return batches


def _split(items: list[MultiTaskItem], order: random.Random) -> list[list[MultiTaskItem]]:
    """Shuffle, sort by length within pools of 50 batches, split into full batches, and shuffle these."""
    order.shuffle(items)
    batches: list[list[MultiTaskItem]] = []
    pool = 50 * BATCH
    for start in range(0, len(items), pool):
        by_length = sorted(items[start : start + pool], key=lambda item: item.longest)
        batches += _full_batches(by_length)
    order.shuffle(batches)
    return batches


def _full_batches(items: Sequence[MultiTaskItem]) -> Iterator[list[MultiTaskItem]]:
    """Yield batches of at most `BATCH` sequences; a last batch that is not full is dropped."""
    batch: list[MultiTaskItem] = []
    size = 0
    for item in items:
        if size + len(item.sequences) > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.sequences)
    if size == BATCH:
        yield batch
