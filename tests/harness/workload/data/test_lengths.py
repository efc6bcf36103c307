"""The histogram that ships, and texts without meaning that are exactly as long as it says."""

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
    SHORTEST,
    Histogram,
    TokenizerFacts,
    draw,
    length_counts,
    lengths_data,
    shipped,
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
    whose = TokenizerFacts(name="some", vocabulary="", sha256="0" * 64)
    return Histogram(
        task="boolq",
        split="val",
        data_sha256="1" * 64,
        tokenizer=whose,
        max_length=512,
        examples=len(lengths),
        counts=length_counts(lengths),
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    """Encode as a shape does: one word, one token."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "config.json").write_text('{"max_position_embeddings": 512}')
    write_tokenizer(folder, Shape(layers=1, hidden=8, heads=1, ffn=8))
    return TextEncoder(folder, 512)


def test_the_shipped_histogram_is_of_the_official_file_and_of_bert_s_vocabulary() -> None:
    """Its sum is the official one, and every question is counted once."""
    found = shipped("boolq")
    official = official_file("BoolQ", "val")
    assert official is not None
    assert found.data_sha256 == official.sha256
    assert (found.tokenizer.name, found.tokenizer.vocabulary) == ("minilm", "bert-base-uncased")
    assert (found.examples, len(found.lengths), found.max_length) == (3270, 3270, 512)


def test_the_shipped_histogram_has_the_statistics_of_the_file() -> None:
    """As the command printed them of it; what was longer than 512 tokens counts as 512."""
    found = shipped("boolq")
    assert sum(found.lengths) == 452_349
    assert (round(found.mean, 1), found.quantile(0.5), found.quantile(0.95)) == (138.3, 125, 263)
    assert (found.lengths[0], found.lengths[-1]) == (30, 512)
    assert found.counts[512] == found.cut == 10


def test_a_task_without_a_histogram_is_refused(tmp_path: Path) -> None:
    """BoolQ's alone ships."""
    with pytest.raises(UsageError, match="no histogram of rte"):
        lengths_data(tmp_path, get_task("rte"))


def test_quantiles_are_lengths_that_occur() -> None:
    """Nearest rank: of 10, 20, 20, 40 half do not exceed 20, three quarters neither, all 40."""
    found = histogram(40, 20, 10, 20)
    assert found.counts == {10: 1, 20: 2, 40: 1}
    assert [found.quantile(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [10, 10, 20, 20, 40]


@given(st.lists(st.integers(SHORTEST, 512), min_size=1, max_size=30), st.integers(0, 90), st.integers(0, 9))
def test_lengths_are_drawn_as_often_as_they_go_in(lengths: list[int], count: int, seed: int) -> None:
    """Every length occurs its share of times, whole histograms first, and the seed says where."""
    drawn = draw(histogram(*lengths), count, seed)
    assert len(drawn) == count
    rounds = count // len(lengths)
    more = Counter(drawn)
    more.subtract({length: times * rounds for length, times in Counter(lengths).items()})
    assert all(0 <= more[length] <= times for length, times in Counter(lengths).items())
    assert set(drawn) <= set(lengths)
    assert drawn == draw(histogram(*lengths), count, seed)


def test_another_seed_and_another_split_draw_in_another_order() -> None:
    """The whole split is the same lengths under any seed: the same number of tokens is asked."""
    found = shipped("boolq")
    orders = [draw(found, 3270, 0), draw(found, 3270, 1), draw(found, 3270, 0, "train")]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == found.lengths for order in orders)
    assert sorted(draw(found, 100, 0)) != sorted(draw(found, 100, 1))


@given(st.integers(SHORTEST, 512), st.integers(0, 5))
@example(SHORTEST, 0)
@example(512, 0)
def test_a_text_encodes_to_exactly_the_length_asked(encoder: TextEncoder, tokens: int, seed: int) -> None:
    """Nothing is cut, every word is known and is its own id, and the question is the second segment."""
    passage, question = texts(tokens, SeededRandom(seed))
    (request,) = encoder.encode([Example("0", (TextInput(passage, question),))])
    (sequence,) = request.sequences
    assert (request.tokens, sequence.cut) == (tokens, 0)
    words = [int(word) for word in (*passage.split(), *question.split())]
    assert sequence.ids[sequence.ids >= FIRST_WORD].tolist() == words
    assert UNKNOWN not in sequence.ids
    assert sequence.segments.sum() == len(question.split()) + 1


def test_a_pair_shorter_than_its_special_tokens_allow_is_refused() -> None:
    """One word each and three special tokens are five."""
    assert [len(text.split()) for text in texts(5, SeededRandom(0))] == [1, 1]
    with pytest.raises(ValueError, match="at least 5"):
        texts(4, SeededRandom(0))


def test_a_sample_has_the_lengths_drawn_in_their_order(tmp_path: Path, encoder: TextEncoder) -> None:
    """Both splits, from the first row to the last."""
    found = histogram(5, 6, 30, 30, 200, 512)
    write_sample(found, tmp_path / "BoolQ", examples=8, train_rows=4, seed=3)
    for split, count in (("val", 8), ("train", 4)):
        examples = get_task("boolq").read(tmp_path / "BoolQ" / f"{split}.jsonl", labelled=True)
        assert [request.tokens for request in encoder.encode(examples)] == draw(found, count, 3, split)
        assert all(gold in ("false", "true") for each in examples for gold in each.gold)


def test_the_sample_can_never_be_taken_for_superglue(tmp_path: Path) -> None:
    """It is of the embedded tier, not official, and its note says what it is; it is written once a seed."""
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


def test_no_two_texts_of_a_sample_are_the_same(tmp_path: Path) -> None:
    """So nothing of the training split is ever asked."""
    folder = lengths_data(tmp_path, get_task("boolq"), examples=300, train_rows=100).folder / "BoolQ"
    lines = [
        line for split in ("val", "train") for line in (folder / f"{split}.jsonl").read_text().splitlines()
    ]
    assert len({json.loads(line)["passage"] for line in lines}) == 400
