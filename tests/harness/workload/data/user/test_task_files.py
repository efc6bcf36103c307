import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.common.errors import DataError, StoreError, UsageError
from harness.workload.data import load_split
from harness.workload.data.held_out import held_out
from harness.workload.data.tables import read_table
from harness.workload.data.user.task_files import TaskData, UserData, find_task_data, own_data
from harness.workload.tasks import resolve_task
from harness.workload.tasks.example import Truncation

REVIEWS = UserData(text=("review",), label="stars")


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_reviews(path: Path, rows: int = 100) -> Path:
    """Write rows with the text `review i`; every third has the label good."""
    return write_jsonl(
        path, [{"review": f"review {i}", "stars": ("good", "bad")[i % 3 > 0]} for i in range(rows)]
    )


def texts(data: TaskData, split: str) -> list[str]:
    return [example.inputs[0].first for example in load_split(data.task, data.data, split).examples]


def gold(data: TaskData, split: str) -> list[tuple[str, ...]]:
    return [example.gold for example in load_split(data.task, data.data, split).examples]


# Files


def test_a_csv_file_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    """A byte order mark, quoted fields with delimiter and line break, Windows line ends, a blank line."""
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffreview,stars\r\n"good, ""very""\r\ngood",1\r\n\r\nbad,0\r\n'.encode())
    table = read_table(path)
    assert table.rows == (
        (2, {"review": 'good, "very"\r\ngood', "stars": "1"}),
        (5, {"review": "bad", "stars": "0"}),  # the first record ends on line 3, and line 4 is blank
    )


def test_a_tsv_file_has_tabs_as_delimiter(tmp_path: Path) -> None:
    """Commas are part of the text."""
    path = tmp_path / "a.TSV"
    path.write_text("review\tstars\na, b\t1\n")
    assert read_table(path).rows == ((2, {"review": "a, b", "stars": "1"}),)


def test_a_field_may_be_longer_than_the_limit_of_the_csv_module(tmp_path: Path) -> None:
    """The limit is 131,072 characters, and is restored afterwards."""
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
        ("a.csv", b"review,review\nx,y\n", "a.csv:1: the header has 'review' more than once"),
        ("a.csv", b"review,stars\nx,1\nx,y,2\n", "a.csv:3: expected 2 fields, as in the header, got 3"),
        ("a.csv", b'review,stars\nx,1\n"never closed,2\ny,3\n', "a.csv:3: not a valid csv row"),
        ("a.tsv", b'review\tstars\n"so" he said\n', "a.tsv:2: not a valid tsv row"),
        ("a.csv", b"review,stars\n\xff,1\n", "a.csv: not UTF-8 text \\(byte 13\\)"),
        ("a.jsonl", b'{"review": "x"}\n\n{"review":', "a.jsonl:3: not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: a row must be a JSON object, got a list"),
        ("a.xlsx", b"PK", "expected a file that ends in .jsonl, .ndjson, .csv, .tsv, got .xlsx"),
    ],
)
def test_an_error_in_a_file_names_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Nothing is guessed, and no row is skipped."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


# any character that UTF-8 can encode, except NUL, which no text file holds
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
ANY_LABEL = ANY_TEXT.filter(str.strip)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(ANY_TEXT, ANY_LABEL), min_size=1, max_size=8),
    form=st.sampled_from(["csv", "tsv", "jsonl"]),
)
def test_any_texts_and_labels_are_read_unchanged(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], form: str
) -> None:
    """Through the file, the layout below the cache, and the task that reads it.

    Some CSV and TSV files could be read in two ways, so they are named as quoted.
    """
    root = tmp_path_factory.mktemp("own")
    path = root / f"a.{form}"
    records = [{"review": text, "stars": label} for text, label in rows]
    if form == "jsonl":
        write_jsonl(path, records)
    else:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter="\t" if form == "tsv" else ",")
        writer.writerows([("review", "stars"), *rows])
        path.write_bytes(out.getvalue().encode())
    labels = tuple(dict.fromkeys([*(label for _, label in rows), "another", "and another"]))
    own = UserData(("review",), "stars", labels=labels, quoting="quoted")
    custom = own_data(path, own, root / "cache", split="all")
    assert texts(custom, "all") == [text for text, _ in rows]
    assert gold(custom, "all") == [(label,) for _, label in rows]


# Labels


def test_label_values_become_text(tmp_path: Path) -> None:
    """True and false as JSON writes them, a number's digits, text as it is; sorted without --labels."""
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"t": str(i), "y": y} for i, y in enumerate([True, 10, 2, "b", False])]
    )
    custom = own_data(path, UserData(("t",), "y"), tmp_path / "cache", split="all")
    assert gold(custom, "all") == [("true",), ("10",), ("2",), ("b",), ("false",)]
    assert custom.task.labels == ("10", "2", "b", "false", "true")
    assert not custom.task.positional


def test_named_labels_keep_their_order_and_are_positional(tmp_path: Path) -> None:
    """Also a label that does not occur."""
    own = UserData(("review",), "stars", labels=("good", "fair", "bad"))
    custom = own_data(write_reviews(tmp_path / "a.jsonl"), own, tmp_path / "cache")
    assert custom.task.labels == ("good", "fair", "bad")
    assert custom.task.positional


@pytest.mark.parametrize(
    ("rows", "own", "message"),
    [
        ([{"review": "a", "stars": None}], REVIEWS, "a.jsonl:1: the label 'stars' is empty"),
        ([{"review": "a", "stars": " "}], REVIEWS, "a.jsonl:1: the label 'stars' is empty"),
        (
            [{"review": "a", "stars": 1.5}],
            REVIEWS,
            (
                "a.jsonl:1: the label 'stars' must be text, a whole number, true or false, "
                "got a number with decimals"
            ),
        ),
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
        ([{"review": "a", "stars": "x"}], REVIEWS, "a classifier needs at least two labels, got x"),
        (
            [{"review": "a", "stars": "x"}, {"review": "b", "stars": "z"}],
            UserData(("review",), "stars", labels=("x", "y")),
            'a.jsonl:2: the label must be one of x, y, got "z".\nCorrect the row',
        ),
        (
            [{"review": "a", "stars": "x"}, {"review": " a", "stars": "z"}],
            REVIEWS,
            "all rows have the same text",
        ),
    ],
)
def test_an_error_in_a_row_names_the_line(
    tmp_path: Path, rows: list[dict[str, Any]], own: UserData, message: str
) -> None:
    """And the remedy."""
    with pytest.raises(DataError, match=message):
        own_data(write_jsonl(tmp_path / "a.jsonl", rows), own, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (UserData(("a", "b", "c"), "y"), "--text must name one column, or two for a pair"),
        (UserData(("a", "a"), "y"), "--text must name one column, or two for a pair"),
        (UserData(("a",), "a"), "--label another column"),
        (UserData(("a",)), "Name it with --label COLUMN\\."),
        (UserData(("a",), "y", labels=("x",)), "--labels must name two or more labels, each once"),
        (UserData(("a",), "y", labels=("x", "y", "x")), "--labels must name two or more labels, each once"),
        (UserData(("a",), "y", held_out=0.0), "--held-out must be between 0 and 1, got 0"),
        (UserData(("a",), "y", held_out=1.0), "--held-out must be between 0 and 1, got 1"),
        (UserData(("a",), "y", truncate="first"), "--truncate names the text of a pair"),
    ],
)
def test_contradictory_options_are_an_error(tmp_path: Path, own: UserData, message: str) -> None:
    """They are checked before the file is opened."""
    with pytest.raises(UsageError, match=message):
        own_data(tmp_path / "nowhere.csv", own, tmp_path)


# Splits


def test_one_file_is_split_by_a_hash_of_its_texts(tmp_path: Path) -> None:
    """Every row is in one split, ids are in the order of the file, and a note tells what was held out."""
    custom = own_data(write_reviews(tmp_path / "reviews.jsonl"), REVIEWS, tmp_path / "cache")
    train, val = texts(custom, "train"), texts(custom, "val")
    assert sorted([*train, *val]) == sorted(f"review {i}" for i in range(100))
    split = load_split(custom.task, custom.data, "val")
    assert [f"review {e.id}" for e in split.examples] == val
    assert split.note == f"{len(val)} of the 100 rows of reviews.jsonl, held out by seed 0 (--held-out 0.2)"
    assert split.official is None
    assert custom.facts == {
        "text": ("review",),
        "label": "stars",
        "labels": ("bad", "good"),
        "metric": "accuracy",
        "held_out": 0.2,
    }


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(ANY_TEXT), min_size=2, max_size=30),
    share=st.floats(0.01, 0.99),
    more=st.floats(0.0, 1.0),
)
def test_equal_texts_stay_together_and_a_larger_share_only_adds(
    rows: list[tuple[str]], share: float, more: float
) -> None:
    """A model trained with a larger share was not trained on rows that a smaller share holds out."""
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


def test_the_share_held_out_is_about_the_requested_one() -> None:
    """2,000 texts at 0.2: 400 +- 18 (one standard deviation of a binomial); five deviations are allowed."""
    assert abs(sum(held_out([(f"text {i}",) for i in range(2000)], 0.2)) - 400) < 90


def test_an_added_row_moves_no_other_row() -> None:
    """The split of a row depends on its texts alone."""
    rows = [(f"text {i}",) for i in range(50)]
    assert held_out([*rows, ("one more",)], 0.2)[:50] == held_out(rows, 0.2)


def test_a_folder_has_its_own_splits(tmp_path: Path) -> None:
    """Each in its own format; test rows may lack labels."""
    folder = tmp_path / "mine"
    write_reviews(folder / "train.jsonl", 9)
    (folder / "val.csv").write_text("stars,review\ngood,so good\n")
    write_jsonl(folder / "test.jsonl", [{"review": "x"}, {"review": "y", "stars": "bad"}])
    custom = own_data(folder, REVIEWS, tmp_path / "cache")
    assert len(texts(custom, "train")) == 9
    assert gold(custom, "val") == [("good",)]
    assert gold(custom, "test") == [(), ("bad",)]
    assert load_split(custom.task, custom.data, "val").note is None
    assert custom.facts is not None
    assert custom.facts["held_out"] is None


@pytest.mark.parametrize(
    ("files", "own", "split", "error", "message"),
    [
        ([], REVIEWS, "val", DataError, "the folder has no file for train, val or test"),
        (
            ["train.jsonl", "train.ndjson"],
            REVIEWS,
            "train",
            DataError,
            "expected one file for train, got train.jsonl and train.ndjson",
        ),
        (["train.jsonl"], REVIEWS, "val", DataError, "the data has no val split.\nIts splits: train"),
        (
            ["val.jsonl"],
            UserData(("review",), "stars", held_out=0.1),
            "val",
            UsageError,
            "--held-out splits a single file",
        ),
    ],
)
def test_the_error_of_an_incomplete_folder_lists_its_splits(
    tmp_path: Path, files: list[str], own: UserData, split: str, error: type[Exception], message: str
) -> None:
    """An empty folder, one with two files for a split, one without the split."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in files:
        write_reviews(folder / name)
    with pytest.raises(error, match=message):
        own_data(folder, own, tmp_path / "cache", split=split)


def test_a_single_file_has_no_test_split(tmp_path: Path) -> None:
    """It has three splits."""
    with pytest.raises(DataError, match=r"no test split\.\nIts splits: train, val, all"):
        own_data(write_reviews(tmp_path / "a.jsonl"), REVIEWS, tmp_path / "cache", split="test")


def test_rows_that_are_only_answered_may_lack_labels(tmp_path: Path) -> None:
    """One row is enough; the labels are those that the user names."""
    path = tmp_path / "a.csv"
    path.write_text("review\nhow nice\n")
    own = UserData(("review",), labels=("good", "bad"))
    custom = own_data(path, own, tmp_path / "cache", split="all", labelled=False)
    assert gold(custom, "all") == [()]
    assert custom.task.labels == ("good", "bad")
    with pytest.raises(UsageError, match="--labels NAME"):
        own_data(path, UserData(("review",)), tmp_path / "cache", split="all", labelled=False)


def test_rows_without_labels_are_answered_but_not_scored(tmp_path: Path) -> None:
    """Empty and absent labels are treated alike."""
    rows = [{"review": "a", "stars": "x"}, {"review": "b", "stars": None}, {"review": "c"}]
    path = write_jsonl(tmp_path / "a.jsonl", [*rows, {"review": "d", "stars": "y"}])
    custom = own_data(path, REVIEWS, tmp_path / "cache", split="all", labelled=False)
    assert gold(custom, "all") == [("x",), (), (), ("y",)]
    with pytest.raises(DataError, match=r"a\.jsonl:2: the label 'stars' is empty"):
        own_data(path, REVIEWS, tmp_path / "cache", split="all")


# The layout below the cache


def test_the_layout_is_written_once(tmp_path: Path) -> None:
    """Other content, share, file name or columns give another folder."""
    path, cache = write_reviews(tmp_path / "a.jsonl"), tmp_path / "cache"
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
        own_data(write_reviews(tmp_path / "b.jsonl", 101), REVIEWS, cache),
    ]
    folders = {first.folder, *(custom.data.folder for custom in again)}
    assert len(folders) == 6
    assert sorted(path.name for path in (cache / "data").iterdir()) == sorted(f.name for f in folders)


def test_the_error_of_an_unwritable_cache_names_the_setting(tmp_path: Path) -> None:
    """A file in its place represents a full or read-only disk."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(StoreError, match="BENCH_CACHE"):
        own_data(write_reviews(tmp_path / "a.jsonl"), REVIEWS, tmp_path / "cache")


# The task


def test_a_pair_has_two_texts_and_one_text_has_no_second(tmp_path: Path) -> None:
    """In the order of --text."""
    rows = [{"p": f"p{i}", "q": f"q{i}", "y": i % 2} for i in range(10)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    pair = own_data(path, UserData(("q", "p"), "y"), tmp_path / "cache", split="all")
    alone = own_data(path, UserData(("q",), "y"), tmp_path / "cache", split="all")
    first = load_split(pair.task, pair.data, "all").examples[0].inputs[0]
    assert (first.first, first.second) == ("q0", "p0")
    assert load_split(alone.task, alone.data, "all").examples[0].inputs[0].second is None


@pytest.mark.parametrize(
    ("asked", "cut"), [(None, "longest"), ("first", "first"), ("second", "second"), ("longest", "longest")]
)
def test_a_pair_loses_tokens_of_the_longer_text_or_of_the_one_that_is_named(
    tmp_path: Path, asked: Truncation | None, cut: Truncation
) -> None:
    """In the task, in what workers get of it, and in what the record holds."""
    path = write_jsonl(tmp_path / "a.jsonl", [{"p": f"p{i}", "q": f"q{i}", "y": i % 2} for i in range(10)])
    data = own_data(path, UserData(("q", "p"), "y", truncate=asked), tmp_path / "cache", split="all")
    for task in (data.task, resolve_task(data.words)):
        assert load_split(task, data.data, "all").examples[0].inputs[0].truncate == cut
    assert (data.facts or {})["truncate"] == cut


def test_a_task_whose_first_text_is_cut_is_described_as_older_versions_do(tmp_path: Path) -> None:
    """A worker of another version reads the definition, and the cells of single texts keep their hash."""
    path = write_jsonl(tmp_path / "a.jsonl", [{"p": f"p{i}", "q": f"q{i}", "y": i % 2} for i in range(10)])
    for own in (UserData(("q",), "y"), UserData(("q", "p"), "y", truncate="first")):
        data = own_data(path, own, tmp_path / "cache", split="all")
        assert set(dict(data.words)) == {"labels", "metric", "pair", "positional"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "labels", "expected"),
    [
        (None, 2, ("accuracy", "accuracy")),
        ("mcc", 3, ("mcc", "mcc")),
        ("f1", 2, ("f1", "F1 of b")),
        ("f1", 3, ("macro_f1", "macro-F1")),
    ],
)
def test_the_metric_is_the_requested_one(
    tmp_path: Path, metric: Any, labels: int, expected: tuple[str, str]
) -> None:
    """The summary names the label of the F1."""
    rows = [{"t": f"{i}", "y": "abc"[i % labels]} for i in range(12)]
    own = UserData(("t",), "y", metric=metric)
    task = own_data(write_jsonl(tmp_path / "a.jsonl", rows), own, tmp_path / "cache").task
    assert task.scoring.metrics == (expected[0],)
    assert task.summary == f"your own data, {labels} labels; {expected[1]}"


def test_a_custom_task_needs_data_and_columns(tmp_path: Path) -> None:
    """And its options are an error for any other task."""
    with pytest.raises(UsageError, match="--data FILE --text COLUMN"):
        find_task_data("custom", None, UserData(), tmp_path, split="val")
    with pytest.raises(UsageError, match="--data FILE --text COLUMN"):
        find_task_data("custom", tmp_path, UserData(label="y"), tmp_path, split="val")
    with pytest.raises(UsageError, match="--text, --held-out describe data of your own, and rte reads"):
        find_task_data("rte", tmp_path, UserData(("a",), held_out=0.1), tmp_path, split="val")


# Quoting


def test_a_tsv_whose_quotes_pair_up_loses_no_rows(tmp_path: Path) -> None:
    """Five rows would become three; `--quoting` decides, and each answer has data of its own."""
    path = tmp_path / "a.tsv"
    path.write_text('t\ty\nfine\t1\n"bad from the start\t0\nso so\t0\nit ended"\t0\ngood\t1\n')
    own = UserData(("t",), "y")
    with pytest.raises(DataError, match=r"a\.tsv:3: a field from this line on holds a line break and a tab"):
        own_data(path, own, tmp_path / "cache", split="all")
    plain = own_data(path, replace(own, quoting="none"), tmp_path / "cache", split="all")
    assert texts(plain, "all") == ["fine", '"bad from the start', "so so", 'it ended"', "good"]
    quoted = own_data(
        path, replace(own, labels=("0", "1"), quoting="quoted"), tmp_path / "cache", split="all"
    )
    assert len(texts(quoted, "all")) == 3


def test_labels_that_a_spreadsheet_wrote_with_decimals_are_whole_numbers(tmp_path: Path) -> None:
    """Named labels count as they are, and the folder below the cache is another."""
    path = tmp_path / "a.csv"
    path.write_text("t,y\na,1.0\nb,0.0\n")
    own = UserData(("t",), "y")
    assert own_data(path, own, tmp_path / "cache", split="all").task.labels == ("0", "1")
    named = own_data(path, replace(own, labels=("0.0", "1.0")), tmp_path / "cache", split="all")
    assert gold(named, "all") == [("1.0",), ("0.0",)]


def test_an_empty_row_of_a_table_of_one_column_shifts_no_ids(tmp_path: Path) -> None:
    """The answers of `bench predict` are matched by them."""
    path = tmp_path / "a.csv"
    path.write_text("t\nfirst\n\nthird\n")
    own = UserData(("t",), labels=("0", "1"))
    data = own_data(path, own, tmp_path / "cache", split="all", labelled=False)
    examples = load_split(data.task, data.data, "all").examples
    assert [(example.id, example.inputs[0].first) for example in examples] == [
        ("0", "first"),
        ("1", ""),
        ("2", "third"),
    ]
