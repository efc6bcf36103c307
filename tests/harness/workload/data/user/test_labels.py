"""Labels of a user's own rows where any number of them may hold: columns of 0 and 1, or a list."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.common.errors import DataError, UsageError
from harness.workload.data import load_split
from harness.workload.data.describe import describe
from harness.workload.data.user.task_files import TaskData, UserData, own_data
from harness.workload.tasks.multi_label import MultiLabelTask

COLUMNS = UserData(text=("comment",), label="toxic,insult,threat")
LIST = UserData(text=("comment",), label="labels")


def csv(path: Path, *rows: str, header: str = "comment,toxic,insult,threat") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def jsonl(path: Path, *labels: Any) -> Path:
    rows = [{"comment": f"comment {at}", "labels": value} for at, value in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, own: UserData, cache: Path, **options: Any) -> TaskData:
    return own_data(path, own, cache, split="all", **options)


def gold(data: TaskData) -> list[tuple[str, ...]]:
    return [example.gold for example in load_split(data.task, data.data, "all").examples]


def test_columns_of_zero_and_one_are_labels(tmp_path: Path) -> None:
    """As spreadsheets and data frames write them; a row of zeros has no label and is labelled."""
    path = csv(tmp_path / "a.csv", "x,1,0,1", "y,0,0,0", "z,TRUE,false,1.0", "w,0.0,1,0")
    data = read(path, COLUMNS, tmp_path / "cache")
    assert isinstance(data.task, MultiLabelTask)
    assert data.task.labels == ("toxic", "insult", "threat")
    assert gold(data) == [("101",), ("000",), ("101",), ("010",)]


def test_columns_of_json_lines_may_be_booleans(tmp_path: Path) -> None:
    """JSON's true and false, and numbers."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"comment": "x", "toxic": true, "insult": 0, "threat": 1}\n')
    assert gold(read(path, COLUMNS, tmp_path / "cache")) == [("101",)]


def test_a_list_in_one_field_are_labels(tmp_path: Path) -> None:
    """In any order; the labels are those of all rows, sorted; an empty list is labelled."""
    path = jsonl(tmp_path / "a.jsonl", ["toxic", "insult"], [], ["threat"], ["insult", "toxic"])
    data = read(path, LIST, tmp_path / "cache")
    assert data.task.labels == ("insult", "threat", "toxic")
    assert gold(data) == [("101",), ("000",), ("010",), ("101",)]


def test_both_ways_to_write_labels_mean_the_same(tmp_path: Path) -> None:
    """The same rows, in the same order of labels."""
    table = csv(tmp_path / "a.csv", "comment 0,1,1,0", "comment 1,0,0,0", "comment 2,0,0,1")
    lists = jsonl(tmp_path / "a.jsonl", ["insult", "toxic"], [], ["threat"])
    labels = ("threat", "toxic", "insult")
    splits = [
        load_split(data.task, data.data, "all")
        for data in (
            read(table, replace(COLUMNS, labels=labels), tmp_path / "cache"),
            read(lists, replace(LIST, labels=labels), tmp_path / "cache"),
        )
    ]
    assert splits[0].examples == splits[1].examples
    assert [example.gold for example in splits[0].examples] == [("011",), ("000",), ("100",)]


def test_the_labels_option_orders_columns_or_names_each(tmp_path: Path) -> None:
    """The same names in another order, or a new one for each column; names of some columns are refused."""
    path = csv(tmp_path / "a.csv", "x,1,0,0")
    ordered = read(path, replace(COLUMNS, labels=("threat", "insult", "toxic")), tmp_path / "cache")
    assert (ordered.task.labels, gold(ordered)) == (("threat", "insult", "toxic"), [("001",)])
    named = read(path, replace(COLUMNS, labels=("a", "b", "c")), tmp_path / "cache")
    assert (named.task.labels, gold(named)) == (("a", "b", "c"), [("100",)])
    for labels in (("toxic", "insult"), ("toxic", "insult", "rude"), ("a", "b")):
        with pytest.raises(UsageError, match="--labels must have the columns of --label, or a new name"):
            read(path, replace(COLUMNS, labels=labels), tmp_path / "cache")


def test_rows_without_labels_are_answered_and_not_scored(tmp_path: Path) -> None:
    """No such columns, empty cells, null, no such field; the labels come from the options."""
    bare = csv(tmp_path / "a.csv", "x", header="comment")
    assert gold(read(bare, COLUMNS, tmp_path / "cache", labelled=False)) == [()]
    empty = csv(tmp_path / "b.csv", "x,,,", "y,1,0,0")
    assert gold(read(empty, COLUMNS, tmp_path / "cache", labelled=False)) == [(), ("100",)]
    path = jsonl(tmp_path / "c.jsonl", None, ["a"], [])
    named = replace(LIST, labels=("a", "b"))
    assert gold(read(path, named, tmp_path / "cache", labelled=False)) == [(), ("10",), ("00",)]
    nothing = UserData(text=("comment",), labels=("a", "b"), multi_label=True)
    data = read(path, nothing, tmp_path / "cache", labelled=False)
    assert (isinstance(data.task, MultiLabelTask), gold(data)) == (True, [(), (), ()])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("x,1,0,2",), "a.csv:2: 'threat' must be 0 or 1, got \"2\""),
        (("x,1,0,0", "y,1,,0"), "a.csv:3: 'insult' must be 0 or 1, got an empty cell"),
        (("x,,,",), "a.csv:2: 'toxic' must be 0 or 1, got an empty cell"),
        (("x,yes,0,0",), "a.csv:2: 'toxic' must be 0 or 1, got \"yes\""),
        (("x,0.5,0,0",), "a.csv:2: 'toxic' must be 0 or 1, got \"0.5\""),
    ],
)
def test_a_cell_that_is_neither_zero_nor_one_is_refused(
    tmp_path: Path, rows: tuple[str, ...], message: str
) -> None:
    """With its line and its column: a probability or a rating is not guessed to be a label."""
    with pytest.raises(DataError) as refused:
        read(csv(tmp_path / "a.csv", *rows), COLUMNS, tmp_path / "cache")
    assert message in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((["a", "b"], "a"), "a.jsonl:2: 'labels' must be a list of labels, as in other rows, got text"),
        ((["a", "b"], None), "a.jsonl:2: 'labels' must be a list of labels, as in other rows, got null"),
        ((["a", "b", "a"],), "a.jsonl:1: 'labels' lists a label twice"),
        ((["a", "b", " "],), "a.jsonl:1: 'labels' lists an empty label"),
        ((["a", "b", ["c"]],), "a.jsonl:1: the label 'labels' must be text, a whole number"),
        (([], []), "a.jsonl: a classifier needs at least two labels, got none"),
        ((["a"], []), "a.jsonl: a classifier needs at least two labels, got a"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(tmp_path: Path, labels: tuple[Any, ...], message: str) -> None:
    """With its line; a row that lacks its list is not taken for one without labels."""
    with pytest.raises(DataError) as refused:
        read(jsonl(tmp_path / "a.jsonl", *labels), LIST, tmp_path / "cache")
    assert message in str(refused.value)


def test_a_label_that_was_not_named_is_refused(tmp_path: Path) -> None:
    """As with one label per example."""
    own = replace(LIST, labels=("a", "b"))
    with pytest.raises(DataError, match="the label must be one of a, b, got"):
        read(jsonl(tmp_path / "a.jsonl", ["a", "c"]), own, tmp_path / "cache")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "accuracy"}, "--metric accuracy does not fit a task with any number of labels"),
        ({"threshold": 1.0}, "--threshold must be between 0 and 1, got 1"),
        ({"threshold": 1}, "--threshold must be between 0 and 1, got 1"),
        ({"threshold": float("nan")}, "--threshold must be between 0 and 1, got nan"),
        ({"label": "toxic", "metric": "micro-f1"}, "--metric micro-f1 does not fit a task with one label"),
        ({"label": "toxic", "threshold": 0.5}, "this task has one label per example"),
        ({"label": "toxic,toxic"}, "--text must name one column"),
        ({"label": "toxic,comment"}, "--text must name one column"),
    ],
)
def test_options_that_do_not_fit_the_labels_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """A metric or a threshold of the other kind of task, or one outside its range."""
    path = csv(tmp_path / "a.csv", "x,1,0,0", "y,0,1,0")
    with pytest.raises(UsageError) as refused:
        read(path, replace(COLUMNS, **changes), tmp_path / "cache")
    assert message in str(refused.value)
    assert refused.value.remedy or "threshold must" in message


def test_the_definition_and_the_facts_have_the_threshold(tmp_path: Path) -> None:
    """The facts go into the record; a calibrated one is still to be found."""
    path = csv(tmp_path / "a.csv", "x,1,0,0", "y,0,1,0")
    given = read(path, replace(COLUMNS, threshold=0.3, metric="macro-f1"), tmp_path / "cache")
    assert given.definition is not None
    assert (given.definition.threshold, given.definition.metric) == (0.3, "macro-f1")
    assert given.facts is not None
    assert {name: given.facts[name] for name in ("label", "multi_label", "threshold")} == {
        "label": "toxic,insult,threat",
        "multi_label": True,
        "threshold": 0.3,
    }
    later = read(path, replace(COLUMNS, threshold="calibrated"), tmp_path / "cache")
    assert later.calibrates
    assert later.facts is not None
    assert later.facts["threshold"] == "calibrated"


def test_the_description_counts_how_often_each_label_holds(tmp_path: Path) -> None:
    """A row without any label is a row, and counts for none."""
    path = csv(tmp_path / "a.csv", "x,1,0,1", "y,0,0,0", "z,1,0,0")
    data = own_data(path, COLUMNS, tmp_path / "cache", split="val")
    descriptions = describe(data.data, (data.task,))
    counts: Counter[str] = Counter()
    for description in descriptions:
        counts.update(dict(description.labels))
    assert sum(description.rows for description in descriptions) == 3
    assert counts == {"toxic": 2, "threat": 1}
