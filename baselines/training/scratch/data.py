"""What the embedded encoder is trained on: its vocabulary, the rows of its heads, the order of its lessons.

The texts come from a `Source` that is passed in, so that nothing here knows where examples are made; the
tasks lay them out as they do for every model. The order is a curriculum: short texts first, on which
matching a question with a passage is learned within minutes, then longer ones, and neighbours of similar
length so that batches carry little padding.
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
"""Sequences a step, a few less where a choice would not fit."""
CLS = 2  # its place in SPECIAL
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PASSAGE_ROWS = ("multirc", "record")  # a row of these gives a dozen sequences
_FALLBACK = "abcdefghijklmnopqrstuvwxyz0123456789"
_WORD = re.compile(r"\w+|[^\w\s]")
Row = dict[str, object]


class Source(Protocol):
    """Where rows come from: the embedded generator, or a fake of it."""

    VERSION: int

    def rows(
        self, task: str, split: str, limit: int | None = None, *, max_sentences: int | None = None
    ) -> Iterator[Row]:
        """Write the rows of a split in the official layout of its task."""

    def fingerprint(self, task: str, split: str) -> str:
        """Hash the rows of a split."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the curriculum: how many rows of each task, and the most sentences of a text."""

    counts: dict[str, int]
    max_sentences: int | None


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train; `bf16` halves the time of a step where the CPU has instructions for it."""

    seed: int = 0
    bf16: bool = False
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    save_every: int = 500
    log_every: int = 100


@dataclass(frozen=True, slots=True)
class Piece:
    """One sequence: token and segment ids (two bytes each), and its two spans, if the task has any."""

    ids: "array[int]"
    segments: "array[int]"
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from together: a sequence with its label's row, or all candidates of a choice.

    `targets` holds one number a sequence: the row of the head, or for choices 1 where the candidate is right.
    """

    task: str
    pieces: tuple[Piece, ...]
    targets: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(len(piece.ids) for piece in self.pieces)


def heads() -> dict[str, dict[str, int]]:
    """Give each label of each task its row: of the span head for tasks with spans, else of the classifier."""
    rows: dict[bool, int] = {True: 0, False: 0}
    found: dict[str, dict[str, int]] = {}
    for task in SUPERGLUE:
        spans = task.head == "span"
        found[task.name] = {label: rows[spans] + place for place, label in enumerate(task.labels)}
        rows[spans] += len(task.labels)
    return found


def head_sizes() -> tuple[int, int]:
    """Return the rows of the classifier and of the span head."""
    sizes = {False: 0, True: 0}
    for task in SUPERGLUE:
        sizes[task.head == "span"] += len(task.labels)
    return sizes[False], sizes[True]


def examples_of(task: Task, rows: Iterator[Row]) -> list[Example]:
    """Return the examples of labelled rows."""
    return [one for row in rows for one in task.parse(row, f"embedded {task.name}", labelled=True)]


def build_tokenizer(data: Source, sample: int = 20_000) -> "Tokenizer":
    """Make a lower-case WordPiece tokenizer of all words of the first rows of `train`, and of characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    words = {word for task in SUPERGLUE for word in _words(data, task, sample)}
    pieces = sorted(words | set(_FALLBACK)) + [f"##{letter}" for letter in _FALLBACK]
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
    rows = data.rows(task.name, "train", sample // 6 if task.name in PASSAGE_ROWS else sample)
    texts = {
        text
        for example in examples_of(task, rows)
        for sequence in example.inputs
        for text in (sequence.first, sequence.second or "")
    }
    return {word for text in texts for word in _WORD.findall(text.lower())}


def encode(tokenizer: "Tokenizer", task: Task, examples: Sequence[Example]) -> list[Lesson]:
    """Encode labelled examples of one task: a choice stays whole, every other sequence is its own lesson."""
    rows = list(heads()[task.name].values())
    inputs = [text for example in examples for text in example.inputs]
    encodings = tokenizer.encode_batch(
        [text.first if text.second is None else (text.first, text.second) for text in inputs]
    )
    pieces = iter(map(_piece, encodings, inputs))
    lessons: list[Lesson] = []
    for example in examples:
        own = tuple(next(pieces) for _ in example.inputs)
        targets = task.targets(example)
        if task.head == "choice":
            lessons.append(Lesson(task.name, own, targets))
        else:
            pairs = zip(own, targets, strict=True)
            lessons += [Lesson(task.name, (piece,), (rows[target],)) for piece, target in pairs]
    return lessons


def _piece(encoding: "Encoding", text: TextInput) -> Piece:
    spans = []
    for span in text.spans:
        start = encoding.char_to_token(span.start, span.text)
        last = encoding.char_to_token(span.end - 1, span.text)
        spans.append((start or 0, (last or 0) + 1))
    return Piece(array("H", encoding.ids), array("H", encoding.type_ids), tuple(spans))


def plan(
    data: Source,
    tokenizer: "Tokenizer",
    stages: Sequence[Stage],
    seed: int,
) -> list[list[Lesson]]:
    """Return every stage's batches in the order of training: of similar length, in random order."""
    batches: list[list[Lesson]] = []
    for number, stage in enumerate(stages):
        found = []
        for name, count in stage.counts.items():
            task = get_task(name)
            rows = data.rows(name, "train", count, max_sentences=stage.max_sentences)
            found += encode(tokenizer, task, examples_of(task, rows))
        batches += _in_batches(found, random.Random(f"{seed}/{number}"))  # noqa: S311
    return batches


def _in_batches(lessons: list[Lesson], order: random.Random) -> list[list[Lesson]]:
    """Shuffle, sort by length within pools of 50 batches, cut into full batches, and shuffle these."""
    order.shuffle(lessons)
    batches: list[list[Lesson]] = []
    pool = 50 * BATCH
    for start in range(0, len(lessons), pool):
        near = sorted(lessons[start : start + pool], key=lambda lesson: lesson.longest)
        batches += _full(near)
    order.shuffle(batches)
    return batches


def _full(lessons: Sequence[Lesson]) -> Iterator[list[Lesson]]:
    """Yield batches of at most `BATCH` sequences; what is left over at the end is dropped."""
    batch: list[Lesson] = []
    size = 0
    for lesson in lessons:
        if size + len(lesson.pieces) > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(lesson)
        size += len(lesson.pieces)
    if size == BATCH:
        yield batch
