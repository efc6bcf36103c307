import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.common.errors import DataError
from harness.workload import synthetic
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.base import Task, reported_split, split_path
from harness.workload.tasks.example import Example
from harness.workload.tasks.prediction_files import read_predictions
from harness.workload.tasks.rows import without_labels

ROWS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a few rows of every task."""
    root = tmp_path_factory.mktemp("data")
    for task in TASKS.values():
        path = root / split_path(task, reported_split(task))
        path.parent.mkdir()
        rows = synthetic.rows(task.name, reported_split(task), ROWS)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def read(task: Task, data: Path) -> list[Example]:
    return task.read(data / split_path(task, reported_split(task)), labelled=True)


def last_answers(task: Task, examples: list[Example]) -> list[str]:
    """Return answers that differ from the first constant where possible: in ReCoRD the last candidate."""
    if task.name == "record":
        return [str(len(example.candidates) - 1) for example in examples]
    return [task.constants(example)[-1] for example in examples]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_written_predictions_are_read_back(task: Task, data: Path, tmp_path: Path) -> None:
    """The rows of every task, in any order, give the answers in the order of the examples."""
    examples = read(task, data)
    answers = last_answers(task, examples)
    rows = task.answer_rows(examples, answers)
    assert read_predictions(task, write(tmp_path / "a.jsonl", rows), examples) == answers
    assert read_predictions(task, write(tmp_path / "b.jsonl", rows[::-1]), examples) == answers


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_missing_repeated_and_unknown_rows_are_refused(task: Task, data: Path, tmp_path: Path) -> None:
    """The error names the line or the idx."""
    examples = read(task, data)
    rows = task.answer_rows(examples, last_answers(task, examples))
    path = tmp_path / "p.jsonl"
    with pytest.raises(DataError, match="have no answer"):
        read_predictions(task, write(path, rows[1:]), examples)
    with pytest.raises(DataError, match="answered twice, also on line 1") as twice:
        read_predictions(task, write(path, [*rows, rows[0]]), examples)
    assert twice.value.where == f"{path}:{len(rows) + 1}"
    with pytest.raises(DataError, match="no example "):
        read_predictions(task, write(path, [*rows, {**rows[0], "idx": 10**6}]), examples)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("extra", [{"text": "x"}, {"idx": None}, {"idx": True}, {"idx": 0.0}, {"idx": [0]}])
def test_a_row_must_have_exactly_the_published_fields(
    task: Task, data: Path, tmp_path: Path, extra: dict[str, Any]
) -> None:
    """An idx is a whole number or text, as in the data; true is not 1."""
    examples = read(task, data)
    first, *others = task.answer_rows(examples, last_answers(task, examples))
    with pytest.raises(DataError) as caught:
        read_predictions(task, write(tmp_path / "p.jsonl", [*others, {**first, **extra}]), examples)
    assert caught.value.where == f"{tmp_path / 'p.jsonl'}:{len(others) + 1}"
    assert caught.value.remedy is not None


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("boolq", True),
        ("boolq", "True"),
        ("boolq", ["true"]),
        ("wsc", "true"),
        ("copa", "1"),
        ("copa", True),
        ("copa", 2),
        ("cb", 1),
        ("record", 0),
        ("record", "Nobody of this passage"),
        ("record", None),
    ],
)
def test_a_label_must_have_the_form_of_the_benchmark(
    name: str, label: object, data: Path, tmp_path: Path
) -> None:
    """BoolQ's are strings, WSC's have capitals, COPA's are numbers, ReCoRD's are entities of the passage."""
    task = get_task(name)
    examples = read(task, data)
    first, *others = task.answer_rows(examples, last_answers(task, examples))
    with pytest.raises(DataError) as caught:
        read_predictions(task, write(tmp_path / "p.jsonl", [{**first, "label": label}, *others]), examples)
    assert caught.value.where == f"{tmp_path / 'p.jsonl'}:1"


def test_an_unanswered_query_is_an_empty_text(data: Path, tmp_path: Path) -> None:
    """It scores 0, and is not a position."""
    task = get_task("record")
    examples = read(task, data)
    answers = ["" for _ in examples]
    path = write(tmp_path / "p.jsonl", task.answer_rows(examples, answers))
    assert read_predictions(task, path, examples) == answers


def test_the_error_about_an_entity_does_not_hold_its_text(data: Path, tmp_path: Path) -> None:
    """The message may be kept in a record, which never holds the text of an example."""
    task = get_task("record")
    examples = read(task, data)
    rows = task.answer_rows(examples, last_answers(task, examples))
    path = write(tmp_path / "p.jsonl", [{**rows[0], "label": "Some Secret"}, *rows[1:]])
    with pytest.raises(DataError) as caught:
        read_predictions(task, path, examples)
    assert "Secret" not in str(caught.value)


def multirc_row() -> dict[str, Any]:
    """Two questions; the second has the candidates 5 and 3."""
    questions = [
        {"question": "Who?", "idx": 7, "answers": [{"text": "Ana", "idx": 0, "label": 1}]},
        {
            "question": "What?",
            "idx": 8,
            "answers": [{"text": "A kite", "idx": 5, "label": 1}, {"text": "", "idx": 3, "label": 0}],
        },
    ]
    return {"idx": 2, "passage": {"text": "Ana sold a kite.", "questions": questions}}


def prediction(*second: tuple[int, int]) -> dict[str, Any]:
    labels = [{"idx": idx, "label": label} for idx, label in second]
    first = {"idx": 7, "answers": [{"idx": 0, "label": 0}]}
    return {"idx": 2, "passage": {"questions": [first, {"idx": 8, "answers": labels}]}}


def test_multirc_labels_are_matched_by_the_idx_of_their_candidate(tmp_path: Path) -> None:
    """Candidates are 5 and 3, in this order; 3 has label 1, so the answer is 01 in any order of the file."""
    task = get_task("multirc")
    examples = task.read(write(tmp_path / "val.jsonl", [multirc_row()]), labelled=True)
    for row in (prediction((5, 0), (3, 1)), prediction((3, 1), (5, 0))):
        assert read_predictions(task, write(tmp_path / "p.jsonl", [row]), examples) == ["0", "01"]


@pytest.mark.parametrize(
    "labels", [[(5, 0)], [(5, 0), (5, 1)], [(5, 0), (4, 1)], [(5, 0), (3, 1), (3, 1)], []]
)
def test_multirc_candidates_must_each_be_labelled_once(labels: list[tuple[int, int]], tmp_path: Path) -> None:
    """Neither fewer, nor more, nor others."""
    task = get_task("multirc")
    examples = task.read(write(tmp_path / "val.jsonl", [multirc_row()]), labelled=True)
    with pytest.raises(DataError, match="question 8 of passage 2 has 2 answers"):
        read_predictions(task, write(tmp_path / "p.jsonl", [prediction(*labels)]), examples)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=5),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(["idx", "label", "passage", "questions", "answers", "x"]), part, max_size=4
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(JSON, max_size=4), keep=st.integers(0, 2))
def test_any_json_raises_at_most_a_data_error(
    task: Task, data: Path, tmp_path: Path, rows: list[Any], keep: int
) -> None:
    """Whatever rows follow valid ones."""
    examples = read(task, data)
    valid = task.answer_rows(examples, last_answers(task, examples))[:keep]
    with pytest.raises(DataError):
        read_predictions(task, write(tmp_path / "p.jsonl", [*valid, *rows]), examples)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60))
def test_any_bytes_raise_a_data_error(data: Path, tmp_path: Path, content: bytes) -> None:
    """Sixty bytes cannot hold answers to the whole sample."""
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_predictions(get_task("boolq"), path, read(get_task("boolq"), data))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"idx": ' + "1" * 5000 + "}", "", "\n\n"])
def test_json_that_python_cannot_read_raises_a_data_error(text: str, data: Path, tmp_path: Path) -> None:
    """Nested too deep, a number too long, nothing at all; also a folder, and a missing file."""
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    examples = read(get_task("boolq"), data)
    for source in (path, tmp_path, tmp_path / "none"):
        with pytest.raises(DataError):
            read_predictions(get_task("boolq"), source, examples)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_row_without_labels_gives_the_same_example_without_gold(
    task: Task, data: Path, tmp_path: Path
) -> None:
    """Every label is removed; texts, candidates and ids stay."""
    path = data / split_path(task, reported_split(task))
    rows = [without_labels(json.loads(line)) for line in path.read_text().splitlines()]
    assert '"label"' not in json.dumps(rows)
    if task.name == "record":
        assert '"answers"' not in json.dumps(rows)
    unlabelled = task.read(write(tmp_path / "val.jsonl", rows), labelled=False)
    assert unlabelled == task.read(path, labelled=False)


def test_a_prediction_file_that_is_no_regular_file_is_refused(data: Path, tmp_path: Path) -> None:
    """A pipe that nobody writes to, and a device without an end."""
    os.mkfifo(tmp_path / "pipe.jsonl")
    examples = read(get_task("boolq"), data)
    for path, kind in ((tmp_path / "pipe.jsonl", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(DataError, match=f"expected a regular file, got {kind}"):
            read_predictions(get_task("boolq"), path, examples)
