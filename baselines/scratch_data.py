"""What the embedded encoder is trained on: its vocabulary, its label rows, and the order of its examples.

The texts come from a `Source` that is passed in, so that nothing here knows where examples are made. The
order is a curriculum: short texts first, on which matching a question with a passage is learned within
minutes, then longer ones, and neighbours of similar length so that batches carry little padding.
"""

import random
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LABELS = {
    "boolq": ("false", "true"),
    "cb": ("entailment", "contradiction", "neutral"),
    "rte": ("entailment", "not_entailment"),
}
MAX_LENGTH = 256
BATCH = 64
CLS = 2  # its place in SPECIAL
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
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
class Encoded:
    """One example: token and segment ids (two bytes each), and the classifier row that answers it."""

    input_ids: "array[int]"
    token_type_ids: "array[int]"
    label: int


def heads() -> dict[str, dict[str, int]]:
    """Give each label of each task its row of the shared classifier."""
    names = [(task, label) for task, labels in LABELS.items() for label in labels]
    return {task: {label: names.index((task, label)) for label in labels} for task, labels in LABELS.items()}


def pair_of(task: str, row: Row) -> tuple[str, str]:
    """Put the two texts of a row in the order in which the encoder reads them."""
    first, second = ("passage", "question") if task == "boolq" else ("premise", "hypothesis")
    return str(row[first]), str(row[second])


def label_of(row: Row) -> str:
    """Name the label of a row."""
    label = row["label"]
    return str(label).lower() if isinstance(label, bool) else str(label)


def build_tokenizer(data: Source, sample: int = 20_000) -> "Tokenizer":
    """Make a lower-case WordPiece tokenizer of all words of the first rows of `train`, and of characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    words = {
        word for task in LABELS for row in data.rows(task, "train", sample) for word in _words(task, row)
    }
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


def _words(task: str, row: Row) -> list[str]:
    return [word for text in pair_of(task, row) for word in _WORD.findall(text.lower())]


def encode(tokenizer: "Tokenizer", task: str, rows: Sequence[Row]) -> list[Encoded]:
    """Encode labelled rows of one task."""
    labels = heads()[task]
    encodings = tokenizer.encode_batch([pair_of(task, row) for row in rows])
    return [
        Encoded(array("H", encoding.ids), array("H", encoding.type_ids), labels[label_of(row)])
        for encoding, row in zip(encodings, rows, strict=True)
    ]


def plan(
    data: Source,
    tokenizer: "Tokenizer",
    stages: Sequence[Stage],
    seed: int,
) -> list[Encoded]:
    """Write every stage's examples in the order of training: batches of similar length, in random order."""
    ordered: list[Encoded] = []
    for number, stage in enumerate(stages):
        found = [
            example
            for task, count in stage.counts.items()
            for example in encode(
                tokenizer, task, list(data.rows(task, "train", count, max_sentences=stage.max_sentences))
            )
        ]
        ordered += _in_batches(found, random.Random(f"{seed}/{number}"))  # noqa: S311
    return ordered


def _in_batches(examples: list[Encoded], order: random.Random) -> list[Encoded]:
    """Shuffle, sort by length within pools of 50 batches, cut into full batches, and shuffle these."""
    order.shuffle(examples)
    pool = 50 * BATCH
    batches: list[list[Encoded]] = []
    for start in range(0, len(examples), pool):
        near = sorted(examples[start : start + pool], key=lambda example: len(example.input_ids))
        batches += [near[at : at + BATCH] for at in range(0, len(near) - BATCH + 1, BATCH)]
    order.shuffle(batches)
    return [example for each in batches for example in each]
