"""What a task is: how its official files are read, scored and answered.

A task knows text and labels, never token ids. Adding one is one file with a table entry in `harness.tasks`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.errors import DataError
from harness.system import Example, Logits, TextInput

Score = Callable[[Sequence[str], Sequence[str]], dict[str, float]]


class Task(Protocol):
    """What is asked, with its official metrics."""

    @property
    def name(self) -> str:
        """The name on the command line: `boolq`."""

    @property
    def folder(self) -> str:
        """The official folder and prediction file: `BoolQ`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names; logit columns have this order."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The official metrics, the first of which leads the table; every value lies in 0..1."""

    def read(self, path: Path, *, labelled: bool) -> list[Example]:
        """Read one official file; DataError names file, line and remedy."""

    def decide(self, logits: Logits) -> list[str]:
        """Turn float32 logits [sequences, labels] into one answer per request."""

    def score(self, gold: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
        """Return every official metric by name."""

    def answer_row(self, example_id: str, answer: str) -> dict[str, Any]:
        """Return one row of the official prediction file."""


def accuracy(gold: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """Return the share of answers equal to the label."""
    if len(gold) != len(answers) or not gold:
        raise ValueError(f"{len(answers)} answers to {len(gold)} labelled examples")
    return {"accuracy": sum(map(str.__eq__, gold, answers)) / len(gold)}


@dataclass(frozen=True, slots=True)
class PairTask:
    """A classifier of two texts: BoolQ, CB, RTE.

    `first` and `second` name the row's fields in the order of the model's input; `values` maps each label
    name to the value the official files write.
    """

    name: str
    folder: str
    first: str
    second: str
    values: Mapping[str, str | bool | int]
    metrics: tuple[str, ...]
    score: Score
    summary: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names; logit columns have this order."""
        return tuple(self.values)

    def read(self, path: Path, *, labelled: bool) -> list[Example]:
        """Read one official file into examples, in file order."""
        return [self._example(row, f"{path}:{line}", labelled=labelled) for line, row in read_rows(path)]

    def decide(self, logits: Logits) -> list[str]:
        """Return the label with the highest logit, the first of equals."""
        return [self.labels[column] for column in np.argmax(logits, axis=1)]

    def answer_row(self, example_id: str, answer: str) -> dict[str, Any]:
        """Return one row of the official prediction file; labels are strings, also for BoolQ."""
        return {"idx": int(example_id), "label": answer}

    def _example(self, row: Mapping[str, Any], where: str, *, labelled: bool) -> Example:
        first = text_field(row, self.first, where)
        second = text_field(row, self.second, where)
        gold = (self._label(row, where),) if labelled else ()
        return Example(str(row.get("idx", where.rpartition(":")[2])), (TextInput(first, second),), gold)

    def _label(self, row: Mapping[str, Any], where: str) -> str:
        found = field(row, "label", where)
        for name, value in self.values.items():
            # `is` for booleans: in Python 1 == True, and a label 1 is not an official BoolQ label
            if type(found) is type(value) and found == value:
                return name
        known = ", ".join(json.dumps(value) for value in self.values.values())
        raise DataError(
            f"label {json.dumps(found)} is not one of {self.folder}'s.",
            where=where,
            remedy=f"Known labels: {known}.",
        )


def read_rows(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """Read a JSON Lines file into (line number, row); DataError if it is not one, or has no rows.

    The last line may lack its newline, as in several official files; a truncated row is named with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path), remedy=_LAYOUT) from None
    except UnicodeDecodeError as problem:
        raise DataError(f"not UTF-8 text (byte {problem.start}).", where=str(path), remedy=_LAYOUT) from None
    except OSError as problem:
        raise DataError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(
            "the file has no rows.", where=str(path), remedy="A split needs at least one example."
        )
    return [(number, _row(line, f"{path}:{number}", last=number == lines[-1][0])) for number, line in lines]


def field(row: Mapping[str, Any], name: str, where: str) -> Any:  # noqa: ANN401 -- a JSON value
    """Return a field of a row; DataError names the fields that are there."""
    if name not in row:
        there = ", ".join(sorted(map(str, row))) or "none"
        raise DataError(f"the field {name!r} is missing.", where=where, remedy=f"Fields there: {there}.")
    return row[name]


def text_field(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return a field that must be text."""
    found = field(row, name, where)
    if not isinstance(found, str):
        raise DataError(f"the field {name!r} is {type(found).__name__}, not text.", where=where)
    return found


def _row(line: str, where: str, *, last: bool) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as problem:
        cut = " The file may be truncated: copy it again." if last else ""
        raise DataError(f"not JSON ({problem.msg} at column {problem.colno}).{cut}", where=where) from None
    if not isinstance(row, dict):
        raise DataError(f"a row is a JSON object, not {type(row).__name__}.", where=where)
    return row


_LAYOUT = "--data names a folder in the official layout: BoolQ/val.jsonl, CB/val.jsonl, RTE/val.jsonl, ..."
