"""The generator of the embedded sample: layout, repeatability, and no label in one text alone."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from harness.workload import synthetic
from harness.workload.synthetic.prose import count_tokens

# The tasks of two texts: the one with the question or claim, and the one with the facts.
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
def generate_once(task: str, split: str, limit: int | None) -> tuple[dict[str, object], ...]:
    """Generate the first rows of a split once for all tests."""
    return tuple(synthetic.rows(task, split, limit))


def generate(task: str, split: str, limit: int | None = None) -> tuple[dict[str, object], ...]:
    """Return the rows of a split; those of a long one are cut from as many as any test needs."""
    long = split == "train" and task in FIELDS
    return generate_once(task, split, 5000 if long else limit)[:limit]


def texts(task: str, split: str, limit: int | None = None) -> list[tuple[str, str]]:
    """List (question or hypothesis, passage or premise) of a split."""
    claim, passage = FIELDS[task]
    return [(str(row[claim]), str(row[passage])) for row in generate(task, split, limit)]


@pytest.mark.parametrize("task", synthetic.TASKS)
def test_rows_change_only_with_the_version(task: str) -> None:
    """Rows must not change without a new VERSION; a new one needs new fingerprints here."""
    assert synthetic.VERSION == 2
    assert (
        synthetic.fingerprint(task, "val" if "val" in synthetic.sizes(task) else "test") == FINGERPRINTS[task]
    )


@pytest.mark.parametrize(("task", "split"), ALL_SPLITS)
def test_a_split_has_its_size_and_counts_its_rows(task: str, split: str) -> None:
    """Rows are numbered from 0, and `sizes` gives their number (for train, the limit does)."""
    limit = 50 if split == "train" else None
    count = limit or synthetic.sizes(task)[split]
    assert [int(str(row["idx"])) for row in generate(task, split, limit)] == list(range(count))


@pytest.mark.parametrize("task", FIELDS)
def test_rows_carry_exactly_the_official_fields(task: str) -> None:
    """Labelled rows have both texts, an index and a label; rows of test have no label."""
    official = {*FIELDS[task], "idx"}
    assert all(set(row) == {*official, "label"} for row in generate(task, "val"))
    assert all(set(row) == official for row in generate(task, "test"))


def test_boolq_looks_like_boolq() -> None:
    """A passage opens with its title; a question is lower case, without a question mark, and yes-no."""
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
    labels = Counter(row["label"] for row in generate(task, "val"))
    assert set(labels) == set(shares)
    for label, share in shares.items():
        assert labels[label] / labels.total() == pytest.approx(share, abs=0.087)


@pytest.mark.parametrize("task", FIELDS)
def test_no_text_occurs_twice_within_or_between_splits(task: str) -> None:
    """No passage or premise of val or test occurs twice, nor in 5,000 rows of train."""
    passages = [
        passage
        for split, limit in (("train", 5000), ("val", None), ("test", None))
        for _, passage in texts(task, split, limit)
    ]
    assert len(set(passages)) == len(passages)


def test_the_entities_of_a_split_are_its_own() -> None:
    """The title of a passage occurs in one split only."""
    titles = {
        split: {passage.split(" -- ")[0] for _, passage in texts("boolq", split, 3000)}
        for split in synthetic.SPLITS
    }
    assert not titles["train"] & titles["val"]
    assert not titles["train"] & titles["test"]
    assert not titles["val"] & titles["test"]


@pytest.mark.parametrize(("task", "split"), ALL_SPLITS)
def test_a_row_does_not_depend_on_the_rows_before_it(task: str, split: str) -> None:
    """The first five rows are the same with a limit of five as with a limit of nine."""
    assert list(synthetic.rows(task, split, 5)) == list(synthetic.rows(task, split, 9))[:5]


def test_a_limit_on_sentences_shortens_training_texts() -> None:
    """With at most 3 sentences a passage states few facts; the rows of a split are longer."""
    short = [
        count_tokens(str(row["passage"])) for row in synthetic.rows("boolq", "train", 200, max_sentences=3)
    ]
    full = [count_tokens(passage) for _, passage in texts("boolq", "train", 200)]
    assert sum(short) < sum(full) / 2


def test_write_follows_the_official_layout(tmp_path: Path) -> None:
    """Each task has a folder with three files of one JSON object per line, equal to the rows."""
    synthetic.write(tmp_path, ("rte",), train_rows=7)
    lines = (tmp_path / "RTE" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(synthetic.rows("rte", "train", 7))
    assert sorted(path.name for path in (tmp_path / "RTE").iterdir()) == [
        "test.jsonl",
        "train.jsonl",
        "val.jsonl",
    ]


def test_a_diagnostic_is_one_labelled_file(tmp_path: Path) -> None:
    """AX-b has no train and no val: its one file has the name of the task and holds labels."""
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
def test_one_text_alone_does_not_predict_the_label(task: str, side: int) -> None:
    """A bag of one- and two-word features of one text stays within 4 points of the most frequent label."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    def texts_and_labels(split: str, limit: int) -> tuple[list[str], list[str]]:
        pairs = texts(task, split, limit)
        return [pair[side] for pair in pairs], [str(row["label"]) for row in generate(task, split, limit)]

    train_texts, train_labels = texts_and_labels("train", 3000)
    val_texts, val_labels = texts_and_labels("val", 800)
    features = CountVectorizer(ngram_range=(1, 2), binary=True, min_df=3)
    model = LogisticRegression(C=0.01, max_iter=200).fit(features.fit_transform(train_texts), train_labels)
    majority = max(Counter(val_labels).values()) / len(val_labels)
    assert model.score(features.transform(val_texts), val_labels) <= majority + 0.04


def test_both_texts_together_predict_the_label() -> None:
    """Whether the passage holds the last word of the question predicts the answer better than "yes" does."""
    rows = generate("boolq", "val")
    hits = [(str(row["question"]).split()[-1] in str(row["passage"]).lower()) == row["label"] for row in rows]
    majority = sum(row["label"] is True for row in rows) / len(rows)
    assert sum(hits) / len(hits) > majority + 0.08
