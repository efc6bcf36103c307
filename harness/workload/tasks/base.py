"""What a task is: how its official files are read, laid out, scored and answered.

A task knows text and labels, never token ids. Adding one is one file with a table entry in
`harness.workload.tasks`.
An answer is one short word for each example, the same in every task: the label's name, or what stands for a
choice (its position) or for several labels (one 0 or 1 each). It never holds text of an example.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from harness.common.errors import DataError
from harness.workload.tasks.example import Example, Logits, Offsets, TextInput
from harness.workload.tasks.metrics import Scoring
from harness.workload.tasks.rows import Row, field, idx_of, idx_written, read_rows

if TYPE_CHECKING:
    from pathlib import Path

Head = Literal["sequence", "choice", "span"]
"""What a model puts on its encoder: labels for a sequence; one score a sequence, compared within a request;
labels for two spans of a sequence."""

_SHOWN = 40
"""Characters of a stranger's value that a message shows."""

SPLITS: Mapping[str, str] = {"train": "train.jsonl", "val": "val.jsonl", "test": "test.jsonl"}


class Task(Protocol):
    """What is asked, with its official metrics."""

    @property
    def name(self) -> str:
        """The name on the command line: `boolq`."""

    @property
    def folder(self) -> str:
        """The official folder and prediction file: `BoolQ`."""

    @property
    def summary(self) -> str:
        """One line for `bench list`."""

    @property
    def head(self) -> Head:
        """The kind of head its models have."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the logit columns, in their order: a label each, or the one score of a choice."""

    @property
    def model_task(self) -> str:
        """The task whose models answer: its own name, but `rte` for the diagnostics."""

    @property
    def splits(self) -> Mapping[str, str]:
        """Its official files by split, the reported one being `val` or else the only one."""

    @property
    def scoring(self) -> Scoring:
        """The official metrics."""

    @property
    def positional(self) -> bool:
        """Whether a checkpoint whose labels have no names is matched by position: the user said so."""

    def read(self, path: "Path", *, labelled: bool) -> list[Example]:
        """Read one official file; DataError names file, line and remedy."""

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the examples of one row, which stands at `where`."""

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Turn float32 logits [sequences, labels] into one answer per request."""

    def valid(self, answer: str, example: Example) -> bool:
        """Say whether this is an answer to the example."""

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return what a model is trained towards, one number a sequence.

        The label's position in `labels`; for choices 1 where the candidate is right, else 0.
        """

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return the answers that need no reading: what any quality is read against."""

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of the official prediction file."""

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield (example id, answer) for all that the rows of a prediction file answer.

        ValueError says what is wrong with a row: another form, an answer to none of the examples, none of the
        example's possible answers. Whether each example is answered once is for who reads them all to see.
        """


def split_path(task: Task, split: str) -> str:
    """Return a split's file below the data folder; DataError if the task has no such split."""
    try:
        return f"{task.folder}/{task.splits[split]}"
    except KeyError:
        known = ", ".join(task.splits)
        raise DataError(f"{task.name} has no split {split!r}.", remedy=f"Splits: {known}.") from None


def reported_split(task: Task) -> str:
    """Return the split that is reported where none is named: `val`, or the only one of a diagnostic."""
    return "val" if "val" in task.splits else next(iter(task.splits))


def labelled(task: Task, split: str) -> bool:
    """Say whether a split carries labels: all do but `test`, and a diagnostic's only split does too."""
    return split != "test" or len(task.splits) == 1


def read_examples(task: Task, path: "Path", *, labelled: bool) -> list[Example]:
    """Read one official file into examples, in file order."""
    return [
        example
        for line, row in read_rows(path)
        for example in task.parse(row, f"{path}:{line}", labelled=labelled)
    ]


@dataclass(frozen=True, slots=True)
class LabelTask:
    """One label for each example: BoolQ, CB, RTE and its diagnostics, WiC, WSC.

    `lay_out` makes the model's input of a row (and of where it stands); `values` maps each label's name to
    the value the official files hold, `written` to what prediction files hold where that differs from the
    name; `cluster` names a field that examples share which belong together.
    """

    name: str
    folder: str
    summary: str
    lay_out: Callable[[Row, str], TextInput]
    values: Mapping[str, str | bool | int]
    scoring: Scoring
    head: Head = "sequence"
    trained_as: str = ""
    splits: Mapping[str, str] = dataclasses.field(default_factory=lambda: SPLITS)
    written: Mapping[str, str] | None = None
    cluster: str = ""
    positional: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names; logit columns have this order."""
        return tuple(self.values)

    @property
    def model_task(self) -> str:
        """The task whose models answer."""
        return self.trained_as or self.name

    def read(self, path: "Path", *, labelled: bool) -> list[Example]:
        """Read one official file into examples, in file order."""
        return read_examples(self, path, labelled=labelled)

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        gold = (self._label(row, where),) if labelled else ()
        cluster = str(field(row, self.cluster, where)) if self.cluster else ""
        return [Example(idx_of(row, where), (self.lay_out(row, where),), gold, cluster=cluster)]

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return the label with the highest logit, the first of equals."""
        del offsets  # one sequence a request
        return [self.labels[column] for column in np.argmax(logits, axis=1)]

    def valid(self, answer: str, example: Example) -> bool:
        """Say whether it is a label."""
        del example
        return answer in self.values

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return the label's position."""
        return (self.labels.index(example.gold[0]),)

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return every label."""
        del example
        return self.labels

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of the official prediction file; labels are strings, also for BoolQ."""
        written = self.written or {}
        return [
            {"idx": idx_written(example.id), "label": written.get(answer, answer)}
            for example, answer in zip(examples, answers, strict=True)
        ]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield the labels in rows of a prediction file with their example ids."""
        names = {(self.written or {}).get(label, label): label for label in self.labels}
        asked = {idx_written(example.id): example for example in examples}
        for row in rows:
            idx, label = written_answer(row)
            if not isinstance(label, str) or label not in names:
                raise ValueError(f"{shown(label)} is no label; labels: {', '.join(names)}")
            yield asked_at(asked, idx).id, names[label]

    def _label(self, row: Row, where: str) -> str:
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


def written_answer(row: Any) -> tuple[int | str, Any]:  # noqa: ANN401 -- a JSON value
    """Return idx and label of a prediction row; ValueError if it lacks either, or has more."""
    if not isinstance(row, dict) or set(row) != {"idx", "label"}:
        there = ", ".join(sorted(row)) if isinstance(row, dict) else shown(row)
        raise ValueError(f'an answer is {{"idx": ..., "label": ...}}, this one has {there or "nothing"}')
    if type(row["idx"]) not in (int, str):
        raise ValueError(f"{shown(row['idx'])} is no idx")
    return row["idx"], row["label"]


def asked_at(asked: Mapping[int | str, Example], idx: int | str) -> Example:
    """Return the example with this idx; ValueError if there is none."""
    if idx not in asked:
        near = [known for known in (str(idx), idx_written(str(idx))) if known in asked]
        hint = f"; did you mean {json.dumps(near[0])}" if near else ""
        raise ValueError(f"idx {shown(idx)} is not asked{hint}")
    return asked[idx]


def shown(value: Any) -> str:  # noqa: ANN401 -- a JSON value
    """Return a JSON value as a message shows it: on one line, and not at any length."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def best_of(logits: Logits, offsets: Offsets) -> list[int]:
    """Return for each request the position of its sequence with the highest score, the first of equals.

    `logits` is [sequences, 1]. A request without sequences has position -1.
    """
    scores = logits[:, 0]
    edges = pairwise(offsets)
    return [int(np.argmax(scores[low:high])) if high > low else -1 for low, high in edges]
