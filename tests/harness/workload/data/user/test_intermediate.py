"""Files of pairs become one task, and a damaged or empty one is refused with its name."""

import json
from pathlib import Path

import pytest

from harness.common.errors import DataError, UsageError
from harness.workload.data.user.intermediate import load_intermediate

COLUMNS = ("premise", "hypothesis")


def pairs(path: Path, *labels: str) -> Path:
    rows = [
        {"premise": f"premise {number}", "hypothesis": "h", "label": label}
        for number, label in enumerate(labels)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_files_with_three_and_two_labels_are_one_task(tmp_path: Path) -> None:
    """The second file's not_entailment is either of the other two."""
    first = pairs(tmp_path / "mnli.jsonl", "entailment", "neutral", "contradiction")
    second = pairs(tmp_path / "scitail.jsonl", "not_entailment", "entailment")
    data = load_intermediate([first, second], COLUMNS, "label")
    assert data.task.labels == ("contradiction", "entailment", "neutral")
    assert [example.gold for example in data.examples] == [
        ("entailment",), ("neutral",), ("contradiction",), ("contradiction", "neutral"), ("entailment",),
    ]  # fmt: skip
    assert len({example.id for example in data.examples}) == 5
    assert [(file.name, file.rows) for file in data.files] == [("mnli.jsonl", 3), ("scitail.jsonl", 2)]


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    """Another label, another fingerprint; another folder, the same."""
    one = load_intermediate([pairs(tmp_path / "a.jsonl", "x", "y")], COLUMNS, "label").fingerprint
    (tmp_path / "b").mkdir()
    same = load_intermediate([pairs(tmp_path / "b" / "a.jsonl", "x", "y")], COLUMNS, "label").fingerprint
    other = load_intermediate([pairs(tmp_path / "a.jsonl", "y", "y", "x")], COLUMNS, "label").fingerprint
    assert one == same != other


def test_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    """One label is not a task; a column that is missing, and a file that is named twice."""
    one = pairs(tmp_path / "one.jsonl", "x", "x")
    with pytest.raises(DataError, match="at least two labels"):
        load_intermediate([one], COLUMNS, "label")
    with pytest.raises(DataError) as error:
        load_intermediate([one], ("sentence1", "sentence2"), "label")
    assert "one.jsonl:1" in str(error.value.where)
    with pytest.raises(DataError, match="no such file"):
        load_intermediate([tmp_path / "nowhere"], COLUMNS, "label")
    with pytest.raises(UsageError, match="twice"):
        load_intermediate([one, one], COLUMNS, "label")
