"""Histograms of how many tokens the texts of a split have, and random texts with exactly these lengths.

    split --tokenizer, `bench data lengths`--> histogram --seed--> lengths --> random words of one token each

The cost of a model of a given shape depends on the number of tokens, not on what they mean. The timings of
the paper can therefore be measured without its data and without trained weights: the histogram of BoolQ's
validation split ships with the package, as numbers only.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import Field

from harness.common.errors import UsageError
from harness.common.model import FrozenModel
from harness.workload.data.folds import ORIGIN
from harness.workload.data.source import Data
from harness.workload.data.writing import store_errors, write_once
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.tasks.base import Task

VERSION = 1
"""Version of the texts that a seed gives."""

FIRST_WORD, VOCABULARY = 5, 30_522
"""Words are numbers: each is its own token id, after five special tokens, in a vocabulary of BERT's size."""

SPECIAL_TOKENS = 3
"""Tokens that BERT adds to a pair."""

MIN_TOKENS = SPECIAL_TOKENS + 2
"""Tokens of a pair of one word each."""

QUESTION_WORDS = 9
"""Words of a question: BoolQ's validation questions have 9.3 tokens on average."""

EXAMPLES = 3270
"""Questions of BoolQ's validation split, which the paper's Table 3 gives the time of."""

TRAIN_ROWS = 256
"""Rows of the training split, from which candidates are timed."""

_BEGIN, _END = "words without meaning, in the lengths of ", ": for speed and energy alone"
_NOTE = re.compile(rf"{_BEGIN}.*, seed (-?\d{{1,20}}){_END}")


class TokenizerFacts(FrozenModel):
    """The tokenizer whose tokens were counted.

    `name` is the model as the user named it, `sha256` that of tokenizer.json, `vocabulary` the common name of
    the vocabulary, or empty.
    """

    name: str
    vocabulary: str
    sha256: str


class Histogram(FrozenModel):
    """Counts of the sequences of a split by their number of tokens, special tokens included.

    `examples` counts the split. `cut` counts sequences longer than `max_length`, which are counted as that
    long. `data_sha256` is that of the split's file.
    """

    task: str
    split: str
    data_sha256: str
    tokenizer: TokenizerFacts
    max_length: int
    examples: int
    cut: int = 0
    counts: dict[int, int] = Field(min_length=1)

    @property
    def lengths(self) -> list[int]:
        """The length of every sequence, in ascending order."""
        return [length for length, count in sorted(self.counts.items()) for _ in range(count)]

    @property
    def mean(self) -> float:
        """Mean number of tokens per sequence."""
        return sum(self.lengths) / len(self.lengths)

    def quantile(self, share: float) -> int:
        """Return the length that this share of the sequences does not exceed (nearest rank)."""
        lengths = self.lengths
        return lengths[max(math.ceil(share * len(lengths)), 1) - 1]

    @property
    def written(self) -> str:
        """The histogram as the text of its file."""
        return self.model_dump_json(indent=1) + "\n"


def length_counts(lengths: Sequence[int]) -> dict[int, int]:
    """Return how often each length occurs, in ascending order."""
    return dict(sorted(Counter(lengths).items()))


def shipped_histogram(task: str) -> Histogram:
    """Return the histogram of a task's validation split in the package; UsageError where it has none."""
    path = files("harness.workload.data") / "histograms" / f"{task}-val.json"
    if not path.is_file():
        raise UsageError(
            f"the package has no histogram of the lengths of {task}.", remedy="It has one of boolq."
        )
    return Histogram.model_validate_json(path.read_text(encoding="utf-8"))


def save_histogram(histogram: Histogram, path: Path) -> None:
    """Write a histogram to a file; StoreError where it cannot be written."""
    with store_errors("the histogram cannot be written", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(histogram.written, encoding="utf-8")


def lengths_data(
    cache: Path,
    task: Task,
    *,
    examples: int = EXAMPLES,
    train_rows: int = TRAIN_ROWS,
    seed: int = 0,
) -> Data:
    """Write a sample with a task's lengths below the cache, unless it is there, and return its source.

    Raises UsageError where the package has no histogram of the task.
    """
    histogram = shipped_histogram(task.name)
    content = [VERSION, histogram.written, examples, train_rows, seed]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    folder = cache / "data" / f"lengths-{digest}"
    write_once(
        folder,
        task.folder,
        lambda scratch: write_sample(
            histogram, scratch / task.folder, examples=examples, train_rows=train_rows, seed=seed
        ),
    )
    return Data("embedded", folder)


def write_sample(
    histogram: Histogram,
    folder: Path,
    *,
    examples: int = EXAMPLES,
    train_rows: int = TRAIN_ROWS,
    seed: int = 0,
) -> None:
    """Write `train.jsonl`, `val.jsonl` and the origin file in BoolQ's layout into a new folder.

    Labels are random: code that reads labels needs some, and they mean nothing.
    """
    folder.mkdir(parents=True)
    for split, count in (("train", train_rows), ("val", examples)):
        lines = [
            json.dumps(_row(SeededRandom("words", VERSION, seed, split, idx), idx, tokens))
            for idx, tokens in enumerate(draw_lengths(histogram, count, seed, split))
        ]
        (folder / f"{split}.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    origin = {
        "note": _note(histogram, seed),
        "seed": seed,
        "histogram": histogram.model_dump(exclude={"counts"}),
    }
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def draw_lengths(histogram: Histogram, count: int, seed: int, split: str = "val") -> list[int]:
    """Return `count` lengths in random order.

    The lengths of the histogram are repeated as often as they fit, and the rest is sampled from them. Where
    `count` is the number of its lengths, all are drawn once, so the total of tokens is that of the split.
    """
    rng = SeededRandom("lengths", VERSION, seed, split)
    repeats, rest = divmod(count, len(histogram.lengths))
    return rng.shuffled(histogram.lengths * repeats + rng.sample(histogram.lengths, rest))


def texts(tokens: int, rng: SeededRandom) -> tuple[str, str]:
    """Return a random passage and question of this many tokens together, special tokens included."""
    if tokens < MIN_TOKENS:
        raise ValueError(f"a pair has at least {MIN_TOKENS} tokens, got {tokens}")
    words = [str(FIRST_WORD + rng.below(VOCABULARY - FIRST_WORD)) for _ in range(tokens - SPECIAL_TOKENS)]
    question = min(QUESTION_WORDS, len(words) - 1)
    return " ".join(words[question:]), " ".join(words[:question])


def _row(rng: SeededRandom, idx: int, tokens: int) -> dict[str, object]:
    passage, question = texts(tokens, rng)
    return {"question": question, "passage": passage, "idx": idx, "label": rng.chance(0.5)}


def drawn_seed(note: str | None) -> int | None:
    """Return the seed of a sample of `lengths_data`, given the note of its record; None for other data."""
    match = _NOTE.fullmatch(note or "")
    return int(match[1]) if match else None


def _note(histogram: Histogram, seed: int) -> str:
    tokenizer = histogram.tokenizer.vocabulary or histogram.tokenizer.name
    source = f"{histogram.task}'s {histogram.split} split (in tokens of {tokenizer})"
    return f"{_BEGIN}{source}, seed {seed}{_END}"
