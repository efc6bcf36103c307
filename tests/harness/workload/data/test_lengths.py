"""The histogram in the package, and random texts with exactly its lengths."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from baselines.encoding.tokenizer import TextEncoder
from harness.common.errors import UsageError
from harness.workload.data import load_split
from harness.workload.data.lengths import (
    FIRST_WORD,
    MIN_TOKENS,
    Histogram,
    TokenizerFacts,
    draw_lengths,
    length_counts,
    lengths_data,
    shipped_histogram,
    texts,
    write_sample,
)
from harness.workload.data.official import official_file
from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example, TextInput
from optimized.recipes.random_shape import Shape, write_tokenizer

UNKNOWN = 1  # the id of [UNK]


def histogram(*lengths: int) -> Histogram:
    tokenizer = TokenizerFacts(name="some", vocabulary="", sha256="0" * 64)
    return Histogram(
        task="boolq",
        split="val",
        data_sha256="1" * 64,
        tokenizer=tokenizer,
        max_length=512,
        examples=len(lengths),
        counts=length_counts(lengths),
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    """Return the encoder of an untrained shape, where each word is one token."""
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "config.json").write_text('{"max_position_embeddings": 512}')
    write_tokenizer(folder, Shape(layers=1, hidden=8, heads=1, ffn=8))
    return TextEncoder(folder, 512)


def test_the_shipped_histogram_is_of_the_official_file_in_bert_tokens() -> None:
    """The checksum is the official one, and every question is counted once."""
    counted = shipped_histogram("boolq")
    official = official_file("BoolQ", "val")
    assert official is not None
    assert counted.data_sha256 == official.sha256
    assert (counted.tokenizer.name, counted.tokenizer.vocabulary) == ("minilm", "bert-base-uncased")
    assert (counted.examples, len(counted.lengths), counted.max_length) == (3270, 3270, 512)


def test_the_shipped_histogram_has_the_statistics_of_its_file() -> None:
    """As `bench data lengths` printed them; longer texts count as 512 tokens."""
    counted = shipped_histogram("boolq")
    assert sum(counted.lengths) == 452_349
    assert (round(counted.mean, 1), counted.quantile(0.5), counted.quantile(0.95)) == (138.3, 125, 263)
    assert (counted.lengths[0], counted.lengths[-1]) == (30, 512)
    assert counted.counts[512] == counted.cut == 10


def test_a_task_without_a_histogram_is_refused(tmp_path: Path) -> None:
    """The package has only BoolQ's."""
    with pytest.raises(UsageError, match="no histogram of the lengths of rte"):
        lengths_data(tmp_path, get_task("rte"))


def test_quantiles_are_lengths_that_occur() -> None:
    """Nearest rank: of 10, 20, 20, 40, half and three quarters do not exceed 20, and all do not exceed 40."""
    counted = histogram(40, 20, 10, 20)
    assert counted.counts == {10: 1, 20: 2, 40: 1}
    assert [counted.quantile(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [10, 10, 20, 20, 40]


@given(st.lists(st.integers(MIN_TOKENS, 512), min_size=1, max_size=30), st.integers(0, 90), st.integers(0, 9))
def test_lengths_are_repeated_as_often_as_they_fit(lengths: list[int], count: int, seed: int) -> None:
    """The whole histogram is repeated, and the rest is sampled from it; the seed decides the order."""
    drawn = draw_lengths(histogram(*lengths), count, seed)
    assert len(drawn) == count
    repeats = count // len(lengths)
    rest = Counter(drawn)
    rest.subtract({length: times * repeats for length, times in Counter(lengths).items()})
    assert all(0 <= rest[length] <= times for length, times in Counter(lengths).items())
    assert set(drawn) <= set(lengths)
    assert drawn == draw_lengths(histogram(*lengths), count, seed)


def test_seed_and_split_change_the_order_of_lengths() -> None:
    """A whole split has the same lengths with any seed, so the same number of tokens."""
    counted = shipped_histogram("boolq")
    orders = [
        draw_lengths(counted, 3270, 0),
        draw_lengths(counted, 3270, 1),
        draw_lengths(counted, 3270, 0, "train"),
    ]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == counted.lengths for order in orders)
    assert sorted(draw_lengths(counted, 100, 0)) != sorted(draw_lengths(counted, 100, 1))


@given(st.integers(MIN_TOKENS, 512), st.integers(0, 5))
@example(MIN_TOKENS, 0)
@example(512, 0)
def test_a_text_encodes_to_exactly_the_requested_length(encoder: TextEncoder, tokens: int, seed: int) -> None:
    """Nothing is cut, every word is its own token id, and the question is the second segment."""
    passage, question = texts(tokens, SeededRandom(seed))
    (request,) = encoder.encode([Example("0", (TextInput(passage, question),))])
    (sequence,) = request.sequences
    assert (request.tokens, sequence.cut) == (tokens, 0)
    words = [int(word) for word in (*passage.split(), *question.split())]
    assert sequence.ids[sequence.ids >= FIRST_WORD].tolist() == words
    assert UNKNOWN not in sequence.ids
    assert sequence.segments.sum() == len(question.split()) + 1


def test_a_pair_needs_five_tokens() -> None:
    """One word each, and three special tokens."""
    assert [len(text.split()) for text in texts(5, SeededRandom(0))] == [1, 1]
    with pytest.raises(ValueError, match="at least 5"):
        texts(4, SeededRandom(0))


def test_a_sample_has_the_drawn_lengths_in_order(tmp_path: Path, encoder: TextEncoder) -> None:
    """Both splits, from the first row to the last."""
    counted = histogram(5, 6, 30, 30, 200, 512)
    write_sample(counted, tmp_path / "BoolQ", examples=8, train_rows=4, seed=3)
    for split, count in (("val", 8), ("train", 4)):
        examples = get_task("boolq").read(tmp_path / "BoolQ" / f"{split}.jsonl", labelled=True)
        assert [request.tokens for request in encoder.encode(examples)] == draw_lengths(
            counted, count, 3, split
        )
        assert all(gold in ("false", "true") for row in examples for gold in row.gold)


def test_a_sample_is_not_official_and_has_a_note(tmp_path: Path) -> None:
    """It has the tier `embedded`, and is written once for each seed."""
    boolq = get_task("boolq")
    data = lengths_data(tmp_path, boolq, examples=40, train_rows=10, seed=7)
    split = load_split(boolq, data)
    assert (split.tier, split.official, len(split.examples)) == ("embedded", None, 40)
    assert split.note == (
        "words without meaning, in the lengths of boolq's val split (in tokens of bert-base-uncased), "
        "seed 7: for speed and energy alone"
    )
    assert load_split(boolq, data, "train").note == split.note
    file = data.folder / "BoolQ" / "val.jsonl"
    written = file.stat().st_mtime_ns
    assert lengths_data(tmp_path, boolq, examples=40, train_rows=10, seed=7) == data
    assert file.stat().st_mtime_ns == written
    assert lengths_data(tmp_path, boolq, examples=40, train_rows=10, seed=8) != data


def test_the_texts_of_a_sample_are_distinct(tmp_path: Path) -> None:
    """So no text of the training split is in the validation split."""
    folder = lengths_data(tmp_path, get_task("boolq"), examples=300, train_rows=100).folder / "BoolQ"
    lines = [
        line for split in ("val", "train") for line in (folder / f"{split}.jsonl").read_text().splitlines()
    ]
    assert len({json.loads(line)["passage"] for line in lines}) == 400
