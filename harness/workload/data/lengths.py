"""How long the texts of a split are, as numbers; and texts without meaning that are exactly as long.

    split --a tokenizer, `bench data lengths`--> histogram --seed--> lengths --> words that are one token each

What a model of a known shape costs follows from how many tokens a request has, not from what they say. So the
paper's timings can be asked for again without its data and without trained weights: the histogram of BoolQ's
validation split ships with the package, as numbers alone.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import Field

from harness.common.errors import StoreError, UsageError
from harness.common.model import FrozenModel
from harness.workload.data.folds import ORIGIN
from harness.workload.data.source import Data, write_once
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.tasks.base import Task

VERSION = 1
"""Of the texts that a seed gives."""

FIRST_WORD, VOCABULARY = 5, 30_522
"""Words are numbers: each is its own token id, after five special tokens, in a vocabulary of BERT's size."""

SPECIALS = 3
"""Tokens that BERT puts around a pair."""

SHORTEST = SPECIALS + 2
"""Tokens of a pair of one word each."""

QUESTION = 9
"""Words of a question: BoolQ's validation questions have 9.3 tokens on average."""

EXAMPLES = 3270
"""The paper's Table 3 gives the time that this many questions took: BoolQ's validation split."""

TRAIN_ROWS = 256
"""Enough for timing candidates, which the training split is read for."""


class TokenizerFacts(FrozenModel):
    """Whose tokens were counted: the model as the user called it, and what tells its tokenizer from others.

    `sha256` is of tokenizer.json; `vocabulary` is the name by which a known vocabulary goes, else empty.
    """

    name: str
    vocabulary: str
    sha256: str


class Histogram(FrozenModel):
    """How many sequences of a split have how many tokens, special tokens included.

    `examples` counts the split, `cut` the sequences that were longer than `max_length`, which counts them as
    that long; `data_sha256` is of the split's file.
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
        """Every sequence's length, the shortest first."""
        return [length for length, times in sorted(self.counts.items()) for _ in range(times)]

    @property
    def mean(self) -> float:
        """Tokens of a sequence on average."""
        return sum(self.lengths) / len(self.lengths)

    def quantile(self, share: float) -> int:
        """Return the length that this share of the sequences does not exceed (the nearest rank)."""
        ordered = self.lengths
        return ordered[max(math.ceil(share * len(ordered)), 1) - 1]

    @property
    def written(self) -> str:
        """The histogram as the file that ships."""
        return self.model_dump_json(indent=1) + "\n"


def length_counts(lengths: Sequence[int]) -> dict[int, int]:
    """Return how often each length occurs, the shortest first."""
    return dict(sorted(Counter(lengths).items()))


def shipped(task: str) -> Histogram:
    """Return the histogram of a task's validation split that ships; UsageError where none does."""
    found = files("harness.workload.data") / "histograms" / f"{task}-val.json"
    if not found.is_file():
        raise UsageError(
            f"no histogram of {task}'s lengths ships with the package.", remedy="There is one of boolq."
        )
    return Histogram.model_validate_json(found.read_text(encoding="utf-8"))


def save_histogram(histogram: Histogram, path: Path) -> None:
    """Write a histogram in the form that ships."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(histogram.written, encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(path)) from None


def lengths_data(
    cache: Path,
    task: Task,
    *,
    examples: int = EXAMPLES,
    train_rows: int = TRAIN_ROWS,
    seed: int = 0,
) -> Data:
    """Write the sample of a task's shipped lengths below the cache, if it is not there; return its source.

    UsageError where no histogram of the task ships.
    """
    histogram = shipped(task.name)
    facts = [VERSION, histogram.written, examples, train_rows, seed]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
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
    """Write `train.jsonl` and `val.jsonl` of BoolQ's layout into a new folder, and a note on what they are.

    Labels are drawn like the words: they are there for what reads labels, and mean nothing.
    """
    folder.mkdir(parents=True)
    for split, count in (("train", train_rows), ("val", examples)):
        drawn = enumerate(draw(histogram, count, seed, split))
        lines = [
            json.dumps(_row(SeededRandom("words", VERSION, seed, split, idx), idx, size))
            for idx, size in drawn
        ]
        (folder / f"{split}.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    facts = {
        "note": _note(histogram, seed),
        "seed": seed,
        "histogram": histogram.model_dump(exclude={"counts"}),
    }
    (folder / ORIGIN).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def draw(histogram: Histogram, count: int, seed: int, split: str = "val") -> list[int]:
    """Return as many lengths in random order: the histogram's own as often as they go in, and some more.

    As many as the histogram has are exactly its lengths, so that all requests together hold as many tokens
    as the split does, whatever the seed.
    """
    rng = SeededRandom("lengths", VERSION, seed, split)
    whole, more = divmod(count, len(histogram.lengths))
    return rng.shuffled(histogram.lengths * whole + rng.sample(histogram.lengths, more))


def texts(tokens: int, rng: SeededRandom) -> tuple[str, str]:
    """Return a passage and a question of this many tokens together, special tokens included."""
    if tokens < SHORTEST:
        raise ValueError(f"a pair has at least {SHORTEST} tokens")
    words = [str(FIRST_WORD + rng.below(VOCABULARY - FIRST_WORD)) for _ in range(tokens - SPECIALS)]
    asked = min(QUESTION, len(words) - 1)
    return " ".join(words[asked:]), " ".join(words[:asked])


def _row(rng: SeededRandom, idx: int, tokens: int) -> dict[str, object]:
    passage, question = texts(tokens, rng)
    return {"question": question, "passage": passage, "idx": idx, "label": rng.chance(0.5)}


def _note(histogram: Histogram, seed: int) -> str:
    whose = histogram.tokenizer.vocabulary or histogram.tokenizer.name
    of = f"{histogram.task}'s {histogram.split} split (in tokens of {whose})"
    return f"words without meaning, in the lengths of {of}, seed {seed}: for speed and energy alone"
