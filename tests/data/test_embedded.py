"""The embedded generator: its layout, its repeatability, and that one text alone gives nothing away."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import embedded
from harness.data.embedded.dice import Dice
from harness.data.embedded.prose import count_tokens

FIELDS = {
    "boolq": ("question", "passage"),
    "cb": ("hypothesis", "premise"),
    "rte": ("hypothesis", "premise"),
}
VAL_FINGERPRINTS = {
    "boolq": "5270c76806b620d132a812582aaa61e2103361e792c988a8f1263724cd31ad30",
    "cb": "584b3ed19fdcf4af490153dc40e6b86bfe125f1135629b34f9d96d756eb21fb4",
    "rte": "f700959bc027d4cd03c1e492f3318d013ff6b3ad69748d2d8d03aa4815a2582e",
}


@cache
def made(task: str, split: str, limit: int | None = None) -> tuple[dict[str, object], ...]:
    """Write the rows of a split once for all tests."""
    return tuple(embedded.rows(task, split, limit))


def texts(task: str, split: str, limit: int | None = None) -> list[tuple[str, str]]:
    """List (question or hypothesis, passage or premise) of a split."""
    asked, told = FIELDS[task]
    return [(str(row[asked]), str(row[told])) for row in made(task, split, limit)]


@pytest.mark.parametrize("task", embedded.TASKS)
def test_the_val_split_changes_only_with_the_version(task: str) -> None:
    """A change of the rows without a new VERSION fails here; with one, the pinned sums are renewed."""
    assert embedded.VERSION == 1
    assert embedded.fingerprint(task, "val") == VAL_FINGERPRINTS[task]


@pytest.mark.parametrize("task", embedded.TASKS)
@pytest.mark.parametrize("split", embedded.SPLITS)
def test_a_split_has_its_size_and_counts_its_rows(task: str, split: str) -> None:
    """Rows are numbered from 0 and there are as many as `sizes` says (train: as many as asked for)."""
    limit = 50 if split == "train" else None
    count = limit or embedded.sizes(task)[split]
    assert [row["idx"] for row in made(task, split, limit)] == list(range(count))


@pytest.mark.parametrize("task", embedded.TASKS)
def test_rows_carry_exactly_the_official_fields(task: str) -> None:
    """Labelled rows have both texts, an index and a label; rows of test have no label."""
    official = {*FIELDS[task], "idx"}
    assert all(set(row) == {*official, "label"} for row in made(task, "val"))
    assert all(set(row) == official for row in made(task, "test"))


def test_boolq_looks_like_boolq() -> None:
    """A passage opens with its title; a question is lower case and bare, for a yes or a no."""
    starts = {"is", "was", "does", "did", "has", "are", "do", "can"}
    for question, passage in texts("boolq", "val"):
        title, _, rest = passage.partition(" -- ")
        assert title.split()[0] in rest
        assert question == question.lower()
        assert not question.endswith("?")
        assert question.split()[0] in starts


def test_boolq_lengths_spread_like_real_ones() -> None:
    """With three special tokens: a mean near 140 tokens, none below 25 or above 256, a tail to the right."""
    lengths = sorted(count_tokens(a) + count_tokens(b) + 3 for a, b in texts("boolq", "val"))
    mean = sum(lengths) / len(lengths)
    assert 130 <= mean <= 150
    assert lengths[0] >= 25
    assert lengths[-1] <= 256
    assert mean > lengths[len(lengths) // 2] - 5


@pytest.mark.parametrize(("task", "low", "high"), [("cb", 60, 80), ("rte", 55, 75)])
def test_the_pair_tasks_have_realistic_lengths(task: str, low: int, high: int) -> None:
    """The mean of both texts with special tokens lies near that of the official task."""
    lengths = [count_tokens(a) + count_tokens(b) + 3 for a, b in texts(task, "val")]
    assert low <= sum(lengths) / len(lengths) <= high
    assert max(lengths) <= 256


@pytest.mark.parametrize(
    ("task", "shares"),
    [
        ("boolq", {True: 0.62, False: 0.38}),
        ("cb", {"entailment": 0.46, "contradiction": 0.42, "neutral": 0.12}),
        ("rte", {"entailment": 0.52, "not_entailment": 0.48}),
    ],
)
def test_labels_come_in_their_shares(task: str, shares: dict[object, float]) -> None:
    """Three standard errors of a share of 0.5 over 300 rows are 0.087."""
    labels = Counter(row["label"] for row in made(task, "val"))
    assert set(labels) == set(shares)
    for label, share in shares.items():
        assert labels[label] / labels.total() == pytest.approx(share, abs=0.087)


@pytest.mark.parametrize("task", embedded.TASKS)
def test_no_text_occurs_twice_within_or_between_splits(task: str) -> None:
    """No passage or premise of val or test occurs again, be it in 5,000 rows of train."""
    told = [
        told
        for split, limit in (("train", 5000), ("val", None), ("test", None))
        for _, told in texts(task, split, limit)
    ]
    assert len(set(told)) == len(told)


def test_the_entities_of_a_split_are_its_own() -> None:
    """The title of a passage occurs in one split only."""
    titles = {
        split: {told.split(" -- ")[0] for _, told in texts("boolq", split, 3000)} for split in embedded.SPLITS
    }
    assert not titles["train"] & titles["val"]
    assert not titles["train"] & titles["test"]
    assert not titles["val"] & titles["test"]


def test_a_row_does_not_depend_on_the_rows_before_it() -> None:
    """The first rows are the same whether ten or twenty are asked for."""
    assert list(embedded.rows("boolq", "train", 10)) == list(embedded.rows("boolq", "train", 20))[:10]


def test_a_limit_on_sentences_shortens_training_texts() -> None:
    """With at most 3 sentences a passage tells of little; the rows of a split are longer."""
    short = [
        count_tokens(str(row["passage"])) for row in embedded.rows("boolq", "train", 200, max_sentences=3)
    ]
    full = [count_tokens(told) for _, told in texts("boolq", "train", 200)]
    assert sum(short) < sum(full) / 2


def test_write_leaves_the_official_layout(tmp_path: Path) -> None:
    """Each task has its folder with three files of one JSON object a line, equal to the rows."""
    embedded.write(tmp_path, ("rte",), train_rows=7)
    lines = (tmp_path / "RTE" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(embedded.rows("rte", "train", 7))
    assert sorted(path.name for path in (tmp_path / "RTE").iterdir()) == [
        "test.jsonl",
        "train.jsonl",
        "val.jsonl",
    ]


@pytest.mark.parametrize("task", embedded.TASKS)
@pytest.mark.parametrize("side", [0, 1])
def test_one_text_alone_says_nothing_of_the_label(task: str, side: int) -> None:
    """A bag of one- and two-word features of one text stays within 4 points of the most frequent label."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    def half(split: str, limit: int) -> tuple[list[str], list[str]]:
        pairs = texts(task, split, limit)
        return [pair[side] for pair in pairs], [str(row["label"]) for row in made(task, split, limit)]

    seen, labels = half("train", 3000)
    unseen, answers = half("val", 800)
    features = CountVectorizer(ngram_range=(1, 2), binary=True, min_df=3)
    model = LogisticRegression(C=0.01, max_iter=200).fit(features.fit_transform(seen), labels)
    majority = max(Counter(answers).values()) / len(answers)
    assert model.score(features.transform(unseen), answers) <= majority + 0.04


def test_both_texts_together_say_much_of_the_label() -> None:
    """Whether the passage holds the last word of the question is by itself a better guess than "yes"."""
    rows = made("boolq", "val")
    hits = [(str(row["question"]).split()[-1] in str(row["passage"]).lower()) == row["label"] for row in rows]
    majority = sum(row["label"] is True for row in rows) / len(rows)
    assert sum(hits) / len(hits) > majority + 0.08


@given(st.lists(st.integers(), max_size=30), st.text(max_size=5))
def test_shuffled_keeps_every_item(items: list[int], seed: str) -> None:
    """A shuffle is a permutation, whatever the seed."""
    assert sorted(Dice(seed).shuffled(items)) == sorted(items)


@given(st.integers(1, 1000), st.integers())
def test_below_stays_below(bound: int, seed: int) -> None:
    """A draw lies from 0 to one less than its bound."""
    assert 0 <= Dice(seed).below(bound) < bound
