import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.common.errors import DataError, StoreError, UsageError
from harness.workload.data import load_split
from harness.workload.data.tables import read_table
from harness.workload.data.user_files import TaskData, UserData, find_task_data, held_out, own_data

REVIEWS = UserData(text=("review",), label="stars")


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def reviews(path: Path, rows: int = 100) -> Path:
    """Row i says `review i`; every third is good."""
    return jsonl(path, [{"review": f"review {i}", "stars": ("good", "bad")[i % 3 > 0]} for i in range(rows)])


def texts(found: TaskData, split: str) -> list[str]:
    return [e.inputs[0].first for e in load_split(found.task, found.data, split).examples]


def gold(found: TaskData, split: str) -> list[tuple[str, ...]]:
    return [example.gold for example in load_split(found.task, found.data, split).examples]


# Files


def test_a_csv_file_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    """A byte order mark, quotes with separator and line break in them, Windows line ends, a blank line."""
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffreview,stars\r\n"good, ""very""\r\ngood",1\r\n\r\nbad,0\r\n'.encode())
    table = read_table(path)
    assert table.rows == (
        (2, {"review": 'good, "very"\r\ngood', "stars": "1"}),
        (5, {"review": "bad", "stars": "0"}),  # the first record ends on line 3, and line 4 is blank
    )


def test_a_tsv_file_separates_by_tabs(tmp_path: Path) -> None:
    """Commas are text there."""
    path = tmp_path / "a.TSV"
    path.write_text("review\tstars\na, b\t1\n")
    assert read_table(path).rows == ((2, {"review": "a, b", "stars": "1"}),)


def test_a_document_may_be_longer_than_the_csv_module_likes(tmp_path: Path) -> None:
    """Its limit is 131,072 characters, and is as it was afterwards."""
    path = tmp_path / "a.csv"
    path.write_text(f"review,stars\n{'long ' * 40_000},1\n")
    before = csv.field_size_limit()
    assert len(read_table(path).rows[0][1]["review"]) == 200_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: the file has no rows"),
        ("a.csv", b"review,stars\n", "a.csv: the file has no rows"),
        ("a.csv", b"review,review\nx,y\n", "a.csv:1: the header names 'review' twice"),
        ("a.csv", b"review,stars\nx,1\nx,y,2\n", "a.csv:3: the row has 3 fields, the header 2"),
        ("a.csv", b'review,stars\nx,1\n"never closed,2\ny,3\n', "a.csv:3: not a csv row"),
        ("a.tsv", b'review\tstars\n"so" he said\t1\n', "a.tsv:2: not a tsv row"),
        ("a.csv", b"review,stars\n\xff,1\n", "a.csv: not UTF-8 text \\(byte 13\\)"),
        ("a.jsonl", b'{"review": "x"}\n\n{"review":', "a.jsonl:3: not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: a row must be a JSON object, got a list"),
        ("a.xlsx", b"PK", "what .xlsx holds is not known"),
    ],
)
def test_a_file_that_is_no_table_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """Nothing is guessed, and nothing is left out in silence."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


# what a file can hold: any character but half ones
WILD = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAMES = WILD.filter(str.strip)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(WILD, NAMES), min_size=1, max_size=8),
    form=st.sampled_from(["csv", "tsv", "jsonl"]),
)
def test_wild_texts_and_labels_arrive_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], form: str
) -> None:
    """Through the file, the layout below the cache, and the task that reads it: to the character."""
    root = tmp_path_factory.mktemp("own")
    path = root / f"a.{form}"
    named = [{"review": text, "stars": label} for text, label in rows]
    if form == "jsonl":
        jsonl(path, named)
    else:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="\t" if form == "tsv" else ",")
        writer.writerows([("review", "stars"), *rows])
        path.write_bytes(out.getvalue().encode())
    labels = tuple(dict.fromkeys([*(label for _, label in rows), "another", "and another"]))
    found = own_data(path, UserData(("review",), "stars", labels=labels), root / "cache", split="all")
    assert texts(found, "all") == [text for text, _ in rows]
    assert gold(found, "all") == [(label,) for _, label in rows]


# Labels


def test_label_values_become_names(tmp_path: Path) -> None:
    """True and false as JSON writes them, a number's digits, text as it is; sorted if nobody orders them."""
    path = jsonl(
        tmp_path / "a.jsonl", [{"t": str(i), "y": y} for i, y in enumerate([True, 10, 2, "b", False])]
    )
    found = own_data(path, UserData(("t",), "y"), tmp_path / "cache", split="all")
    assert gold(found, "all") == [("true",), ("10",), ("2",), ("b",), ("false",)]
    assert found.task.labels == ("10", "2", "b", "false", "true")
    assert not found.task.positional


def test_named_labels_keep_their_order_and_stand_for_the_models_columns(tmp_path: Path) -> None:
    """Also one that does not occur."""
    own = UserData(("review",), "stars", labels=("good", "fair", "bad"))
    found = own_data(reviews(tmp_path / "a.jsonl"), own, tmp_path / "cache")
    assert found.task.labels == ("good", "fair", "bad")
    assert found.task.positional


@pytest.mark.parametrize(
    ("rows", "own", "message"),
    [
        ([{"review": "a", "stars": None}], REVIEWS, "a.jsonl:1: the label 'stars' is empty"),
        ([{"review": "a", "stars": " "}], REVIEWS, "a.jsonl:1: the label 'stars' is empty"),
        ([{"review": "a", "stars": 1.5}], REVIEWS, "a.jsonl:1: the label 'stars' is float"),
        (
            [{"review": "a", "stars": "x"}, {"review": "b"}],
            REVIEWS,
            "a.jsonl:2: the field 'stars' is missing",
        ),
        ([{"stars": "x", "text": "a"}], REVIEWS, "'review' is missing.\nFields of this row: stars, text"),
        ([{"review": None, "stars": "x"}], REVIEWS, "the field 'review' must be text, got null"),
        (
            [{"review": "\ud800", "stars": "x"}],
            REVIEWS,
            "a.jsonl:1: the field 'review' holds half a character",
        ),
        ([{"review": "a", "stars": "x"}], REVIEWS, "the labels found are x: a classifier needs at least two"),
        (
            [{"review": "a", "stars": "x"}, {"review": "b", "stars": "z"}],
            UserData(("review",), "stars", labels=("x", "y")),
            'a.jsonl:2: label "z" is not one of --labels.\nNamed: x, y',
        ),
        (
            [{"review": "a", "stars": "x"}, {"review": " a", "stars": "z"}],
            REVIEWS,
            "all rows have the same text",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named(
    tmp_path: Path, rows: list[dict[str, Any]], own: UserData, message: str
) -> None:
    """With its line, and what to do."""
    with pytest.raises(DataError, match=message):
        own_data(jsonl(tmp_path / "a.jsonl", rows), own, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (UserData(("a", "b", "c"), "y"), "--text names one column, or the two of a pair"),
        (UserData(("a", "a"), "y"), "--text names one column, or the two of a pair"),
        (UserData(("a",), "a"), "--label another one"),
        (UserData(("a",)), "Say --label COLUMN\\."),
        (UserData(("a",), "y", labels=("x",)), "--labels names two labels or more, each once"),
        (UserData(("a",), "y", labels=("x", "y", "x")), "--labels names two labels or more, each once"),
        (UserData(("a",), "y", held_out=0.0), "--held-out 0 is out of range"),
        (UserData(("a",), "y", held_out=1.0), "--held-out 1 is out of range"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, own: UserData, message: str) -> None:
    """Before the file is opened."""
    with pytest.raises(UsageError, match=message):
        own_data(tmp_path / "nowhere.csv", own, tmp_path)


# Splits


def test_one_file_is_split_by_what_its_texts_are(tmp_path: Path) -> None:
    """A row each, none twice, ids in the order of the file, and a note of who was held out."""
    found = own_data(reviews(tmp_path / "reviews.jsonl"), REVIEWS, tmp_path / "cache")
    train, val = texts(found, "train"), texts(found, "val")
    assert sorted([*train, *val]) == sorted(f"review {i}" for i in range(100))
    split = load_split(found.task, found.data, "val")
    assert [f"review {e.id}" for e in split.examples] == val
    assert split.note == f"{len(val)} of the 100 rows of reviews.jsonl, held out by seed 0 (--held-out 0.2)"
    assert split.official is None
    assert found.facts == {
        "text": ("review",),
        "label": "stars",
        "labels": ("bad", "good"),
        "metric": "accuracy",
        "held_out": 0.2,
    }


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(WILD), min_size=2, max_size=30),
    share=st.floats(0.01, 0.99),
    more=st.floats(0.0, 1.0),
)
def test_equal_texts_stay_together_and_a_larger_share_only_adds(
    rows: list[tuple[str]], share: float, more: float
) -> None:
    """So that a model trained with a larger share held out has not seen who is held out by a smaller one."""
    distinct = {" ".join(text.split()) for (text,) in rows}
    if len(distinct) < 2:
        with pytest.raises(ValueError, match="two different texts"):
            held_out(rows, share)
        return
    out = held_out(rows, share)
    assert set(out) == {True, False}
    sides = {(" ".join(text.split()), side) for (text,), side in zip(rows, out, strict=True)}
    assert len(sides) == len(distinct)
    larger = held_out(rows, share + (0.99 - share) * more)
    assert all(after or not before for before, after in zip(out, larger, strict=True))


def test_the_share_held_out_is_about_what_was_asked() -> None:
    """2,000 texts at 0.2: 400 +- 18 (one standard deviation of a binomial); five of them are allowed."""
    assert abs(sum(held_out([(f"text {i}",) for i in range(2000)], 0.2)) - 400) < 90


def test_a_row_that_joins_the_file_moves_nobody() -> None:
    """A side follows from the texts of the row alone."""
    rows = [(f"text {i}",) for i in range(50)]
    assert held_out([*rows, ("one more",)], 0.2)[:50] == held_out(rows, 0.2)


def test_a_folder_brings_its_own_splits(tmp_path: Path) -> None:
    """Each in a form of its own; the test rows may have labels or not."""
    folder = tmp_path / "mine"
    reviews(folder / "train.jsonl", 9)
    (folder / "val.csv").write_text("stars,review\ngood,so good\n")
    jsonl(folder / "test.jsonl", [{"review": "x"}, {"review": "y", "stars": "bad"}])
    found = own_data(folder, REVIEWS, tmp_path / "cache")
    assert len(texts(found, "train")) == 9
    assert gold(found, "val") == [("good",)]
    assert gold(found, "test") == [(), ("bad",)]
    assert load_split(found.task, found.data, "val").note is None
    assert found.facts is not None
    assert found.facts["held_out"] is None


@pytest.mark.parametrize(
    ("files", "own", "split", "error", "message"),
    [
        ([], REVIEWS, "val", DataError, "neither train, val nor test is there"),
        (["train.jsonl", "train.ndjson"], REVIEWS, "train", DataError, "both train.jsonl and train.ndjson"),
        (["train.jsonl"], REVIEWS, "val", DataError, "there is no val split.\nSplits here: train"),
        (
            ["val.jsonl"],
            UserData(("review",), "stars", held_out=0.1),
            "val",
            UsageError,
            "--held-out splits one file",
        ),
    ],
)
def test_a_folder_that_lacks_what_is_asked_says_what_it_has(
    tmp_path: Path, files: list[str], own: UserData, split: str, error: type[Exception], message: str
) -> None:
    """An empty one, one with two files for a split, one without the split."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in files:
        reviews(folder / name)
    with pytest.raises(error, match=message):
        own_data(folder, own, tmp_path / "cache", split=split)


def test_a_split_that_one_file_cannot_have_is_refused(tmp_path: Path) -> None:
    """It has three."""
    with pytest.raises(DataError, match=r"no test split\.\nSplits here: train, val, all"):
        own_data(reviews(tmp_path / "a.jsonl"), REVIEWS, tmp_path / "cache", split="test")


def test_rows_may_lack_labels_where_they_are_only_answered(tmp_path: Path) -> None:
    """One row is enough then; the labels are those that the user names."""
    path = tmp_path / "a.csv"
    path.write_text("review\nhow nice\n")
    own = UserData(("review",), labels=("good", "bad"))
    found = own_data(path, own, tmp_path / "cache", split="all", labelled=False)
    assert gold(found, "all") == [()]
    assert found.task.labels == ("good", "bad")
    with pytest.raises(UsageError, match="--labels NAME"):
        own_data(path, UserData(("review",)), tmp_path / "cache", split="all", labelled=False)


def test_half_labelled_rows_are_answered_and_refused_for_scoring(tmp_path: Path) -> None:
    """Empty or absent labels both count as none."""
    rows = [{"review": "a", "stars": "x"}, {"review": "b", "stars": None}, {"review": "c"}]
    path = jsonl(tmp_path / "a.jsonl", [*rows, {"review": "d", "stars": "y"}])
    found = own_data(path, REVIEWS, tmp_path / "cache", split="all", labelled=False)
    assert gold(found, "all") == [("x",), (), (), ("y",)]
    with pytest.raises(DataError, match=r"a\.jsonl:2: the label 'stars' is empty"):
        own_data(path, REVIEWS, tmp_path / "cache", split="all")


# The layout below the cache


def test_what_is_written_once_is_not_written_again(tmp_path: Path) -> None:
    """Other content, another share, another name or other columns are another folder."""
    path, cache = reviews(tmp_path / "a.jsonl"), tmp_path / "cache"
    first = own_data(path, REVIEWS, cache).data
    file = first.folder / "custom" / "val.jsonl"
    written = file.stat().st_mtime_ns
    assert own_data(path, REVIEWS, cache).data == first
    assert file.stat().st_mtime_ns == written
    again = [
        own_data(path, REVIEWS, cache, split="all"),
        own_data(path, UserData(("review",), "stars", held_out=0.5), cache),
        own_data(path, UserData(("stars",), "review"), cache),
        own_data(path.rename(tmp_path / "b.jsonl"), REVIEWS, cache),
        own_data(reviews(tmp_path / "b.jsonl", 101), REVIEWS, cache),
    ]
    folders = {first.folder, *(found.data.folder for found in again)}
    assert len(folders) == 6
    assert sorted(path.name for path in (cache / "data").iterdir()) == sorted(f.name for f in folders)


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path: Path) -> None:
    """A file in its place stands for a full or read-only disk."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(StoreError, match="BENCH_CACHE"):
        own_data(reviews(tmp_path / "a.jsonl"), REVIEWS, tmp_path / "cache")


# The task


def test_a_pair_has_two_texts_and_one_text_has_no_second(tmp_path: Path) -> None:
    """In the order in which the columns were named."""
    rows = [{"p": f"p{i}", "q": f"q{i}", "y": i % 2} for i in range(10)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    pair = own_data(path, UserData(("q", "p"), "y"), tmp_path / "cache", split="all")
    alone = own_data(path, UserData(("q",), "y"), tmp_path / "cache", split="all")
    first = load_split(pair.task, pair.data, "all").examples[0].inputs[0]
    assert (first.first, first.second) == ("q0", "p0")
    assert load_split(alone.task, alone.data, "all").examples[0].inputs[0].second is None


@pytest.mark.parametrize(
    ("metric", "labels", "named"),
    [
        (None, 2, ("accuracy", "accuracy")),
        ("mcc", 3, ("mcc", "mcc")),
        ("f1", 2, ("f1", "F1 of b")),
        ("f1", 3, ("macro_f1", "macro-F1")),
    ],
)
def test_the_metric_is_the_one_that_was_named(
    tmp_path: Path, metric: Any, labels: int, named: tuple[str, str]
) -> None:
    """The summary says whose F1 it is."""
    rows = [{"t": f"{i}", "y": "abc"[i % labels]} for i in range(12)]
    own = UserData(("t",), "y", metric=metric)
    task = own_data(jsonl(tmp_path / "a.jsonl", rows), own, tmp_path / "cache").task
    assert task.scoring.metrics == (named[0],)
    assert task.summary == f"your own data, {labels} labels; {named[1]}"


def test_a_custom_task_is_none_before_it_is_known_whose(tmp_path: Path) -> None:
    """And what describes one belongs to no other task."""
    with pytest.raises(UsageError, match="--data FILE --text COLUMN"):
        find_task_data("custom", None, UserData(), tmp_path, split="val")
    with pytest.raises(UsageError, match="--data FILE --text COLUMN"):
        find_task_data("custom", tmp_path, UserData(label="y"), tmp_path, split="val")
    with pytest.raises(UsageError, match="--text, --held-out: for data of your own only, and rte has"):
        find_task_data("rte", tmp_path, UserData(("a",), held_out=0.1), tmp_path, split="val")
