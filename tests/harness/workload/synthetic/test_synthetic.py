"""The embedded generator: its layout, its repeatability, and that one text alone gives nothing away."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.workload import synthetic
from harness.workload.synthetic.prose import count_tokens
from harness.workload.synthetic.seeded_choice import Dice

# The tasks of two texts, the one that asks and the one that tells.
FIELDS = {
    "boolq": ("question", "passage"),
    "cb": ("hypothesis", "premise"),
    "rte": ("hypothesis", "premise"),
}
FINGERPRINTS = {
    "boolq": "fc58e906ab34b2023af27df44ce67e778a23361f8a155933d796cdfcc4debd27",
    "cb": "269b575a5a3071a1c7e26383783ba3cd0ac10225928ef161682d92fca9736a36",
    "copa": "8ac32656e9c48182f1efe4877a6eca215ec8305b28c10f2dec5ea1029b4cf3dc",
    "multirc": "eec9aa294999bbb455ceb3a324c7bcb5ab9ca02ab32b08ca80f045d916f592cc",
    "record": "6694b5ad46ccdfb3c75ab826b7d2179ed6f5a9769d4290190e714c62a8dc4163",
    "rte": "50a746aaa657f320f22ff6e76557f11a5f2bbc98e3b54c40817dd94833c8e37c",
    "wic": "e70246fa48bfcb1ef09f9b0f56e5144ca44c1eb51e57fd9fadcde5be2802c32f",
    "wsc": "8a41a03e6b60bdec7ed48c033ec324bd8f5a5ddcf64446b6520d6555b12603d9",
    "ax-b": "4bac70f6c624d5b61a1bc3fbdce2d44ffe396bf2775e17df8529a230265e31c5",
    "ax-g": "eb905ddc89a3bb9212d2dc9c621faa99e2f6cd9bf05405077abf8ad514cbbdb4",
}
ALL_SPLITS = [(task, split) for task in synthetic.TASKS for split in synthetic.sizes(task)]


@cache
def first(task: str, split: str, limit: int | None) -> tuple[dict[str, object], ...]:
    """Write the first rows of a split once for all tests."""
    return tuple(synthetic.rows(task, split, limit))


def made(task: str, split: str, limit: int | None = None) -> tuple[dict[str, object], ...]:
    """Return the rows of a split; of a long one, from as many as any test asks for."""
    long = split == "train" and task in FIELDS
    return first(task, split, 5000 if long else limit)[:limit]


def texts(task: str, split: str, limit: int | None = None) -> list[tuple[str, str]]:
    """List (question or hypothesis, passage or premise) of a split."""
    asked, told = FIELDS[task]
    return [(str(row[asked]), str(row[told])) for row in made(task, split, limit)]


@pytest.mark.parametrize("task", synthetic.TASKS)
def test_rows_change_only_with_the_version(task: str) -> None:
    """A change of the rows without a new VERSION fails here; with one, the pinned sums are renewed."""
    assert synthetic.VERSION == 2
    assert (
        synthetic.fingerprint(task, "val" if "val" in synthetic.sizes(task) else "test") == FINGERPRINTS[task]
    )


@pytest.mark.parametrize(("task", "split"), ALL_SPLITS)
def test_a_split_has_its_size_and_counts_its_rows(task: str, split: str) -> None:
    """Rows are numbered from 0 and there are as many as `sizes` says (train: as many as asked for)."""
    limit = 50 if split == "train" else None
    count = limit or synthetic.sizes(task)[split]
    assert [int(str(row["idx"])) for row in made(task, split, limit)] == list(range(count))


@pytest.mark.parametrize("task", FIELDS)
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


@pytest.mark.parametrize(("task", "low", "high"), [("cb", 50, 80), ("rte", 55, 75)])
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


@pytest.mark.parametrize("task", FIELDS)
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
        split: {told.split(" -- ")[0] for _, told in texts("boolq", split, 3000)}
        for split in synthetic.SPLITS
    }
    assert not titles["train"] & titles["val"]
    assert not titles["train"] & titles["test"]
    assert not titles["val"] & titles["test"]


@pytest.mark.parametrize(("task", "split"), ALL_SPLITS)
def test_a_row_does_not_depend_on_the_rows_before_it(task: str, split: str) -> None:
    """The first rows are the same whether five or nine are asked for."""
    assert list(synthetic.rows(task, split, 5)) == list(synthetic.rows(task, split, 9))[:5]


def test_a_limit_on_sentences_shortens_training_texts() -> None:
    """With at most 3 sentences a passage tells of little; the rows of a split are longer."""
    short = [
        count_tokens(str(row["passage"])) for row in synthetic.rows("boolq", "train", 200, max_sentences=3)
    ]
    full = [count_tokens(told) for _, told in texts("boolq", "train", 200)]
    assert sum(short) < sum(full) / 2


def test_write_leaves_the_official_layout(tmp_path: Path) -> None:
    """Each task has its folder with three files of one JSON object a line, equal to the rows."""
    synthetic.write(tmp_path, ("rte",), train_rows=7)
    lines = (tmp_path / "RTE" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(synthetic.rows("rte", "train", 7))
    assert sorted(path.name for path in (tmp_path / "RTE").iterdir()) == [
        "test.jsonl",
        "train.jsonl",
        "val.jsonl",
    ]


def test_a_diagnostic_is_one_labelled_file(tmp_path: Path) -> None:
    """AX-b has no train and no val: its one file bears the name of the task and holds labels."""
    synthetic.write(tmp_path, ("ax-b",))
    (path,) = (tmp_path / "AX-b").iterdir()
    assert path.name == "AX-b.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(synthetic.rows("ax-b", "test"))
    assert all("label" in json.loads(line) for line in lines)


def test_a_limit_on_train_rows_counts_passages(tmp_path: Path) -> None:
    """Three rows of MultiRC to train on are three passages, each with its questions."""
    synthetic.write(tmp_path, ("multirc",), train_rows=3)
    lines = (tmp_path / "MultiRC" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(synthetic.rows("multirc", "train", 3))


@pytest.mark.parametrize("task", FIELDS)
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
