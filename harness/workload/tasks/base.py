"""The interface of a task: how its official files are read, laid out, answered and scored.

    row of a file --parse--> Example --a system--> logits --decide--> answer --scoring--> metrics
                                                               answer --answer_rows--> prediction file

A task handles text and labels, never token ids. To add one, write one file and list it in
`harness.workload.tasks`. An answer is one short string per example: a label's name, the position of a choice,
or one 0 or 1 for each of several labels. It never holds text of an example.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from harness.common.errors import DataError
from harness.common.json_types import JsonObject
from harness.workload.tasks.example import Example, Logits, Offsets, TextInput
from harness.workload.tasks.metrics import Scoring
from harness.workload.tasks.prediction_rows import example_at, parse_prediction, shorten
from harness.workload.tasks.rows import Row, example_id, field, prediction_idx, read_rows

if TYPE_CHECKING:
    from pathlib import Path

Head = Literal["sequence", "choice", "span", "multi_label"]
"""The head of a model: labels for a sequence, of which one holds; one score for a sequence, compared within a
request; labels for two spans of a sequence; labels for a sequence, of which any number holds."""

SPLITS: Mapping[str, str] = {"train": "train.jsonl", "val": "val.jsonl", "test": "test.jsonl"}

BOOLEAN_LABELS: Mapping[str, bool] = {"false": False, "true": True}
"""Names of labels that the official files hold as booleans."""


class Task(Protocol):
    """One task with its files, labels and official metrics."""

    @property
    def name(self) -> str:
        """The name on the command line: `boolq`."""

    @property
    def folder(self) -> str:
        """The name of the official folder and prediction file: `BoolQ`."""

    @property
    def summary(self) -> str:
        """One line for `bench list`."""

    @property
    def head(self) -> Head:
        """The kind of head that its models have."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the logit columns in their order: the labels, or `score` for a choice."""

    @property
    def model_task(self) -> str:
        """The task whose models answer: its own name, but `rte` for the diagnostics."""

    @property
    def splits(self) -> Mapping[str, str]:
        """Its official file of each split. The reported split is `val`, or else the only one."""

    @property
    def scoring(self) -> Scoring:
        """The official metrics."""

    @property
    def positional(self) -> bool:
        """Whether unnamed labels of a checkpoint are matched by position, because the user ordered them."""

    def read(self, path: "Path", *, labelled: bool) -> list[Example]:
        """Read one official file; DataError with file, line and remedy."""

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the examples of one row; `where` is its file and line, for messages."""

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Turn float32 logits [sequences, labels] into one answer per request.

        The sequences of request i are `logits[offsets[i]:offsets[i + 1]]`.
        """

    def valid(self, answer: str, example: Example) -> bool:
        """Return whether this is a possible answer to the example."""

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return the training target of each sequence.

        It is the label's position in `labels`; for a choice, 1 where the candidate is correct, else 0. Where
        any number of labels may hold, there is one target for each label: 1 where it holds, else 0.
        """

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return the answers that can be given without reading the example: the baselines of a score."""

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[JsonObject]:
        """Return the rows of the official prediction file."""

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield pairs of example id and answer from the rows of a prediction file.

        Raises ValueError for a row of another form, an unknown example, or an answer that is not possible.
        The caller checks that every example is answered once.
        """


@runtime_checkable
class ConstantAnswers(Protocol):
    """An optional addition to `Task`: which constant answer is best depends on the split."""

    def constant_answers(self, examples: Sequence[Example]) -> Sequence[Sequence[str]]:
        """Return constant answers to all of these labelled examples, the best one among them."""


def constant_answers(task: Task, examples: Sequence[Example]) -> Iterable[Sequence[str]]:
    """Return the answers of every system that does not read the labelled examples."""
    if isinstance(task, ConstantAnswers):
        return task.constant_answers(examples)
    return zip(*map(task.constants, examples), strict=True)


def split_path(task: Task, split: str) -> str:
    """Return a split's file below the data folder; DataError where the task has no such split."""
    try:
        return f"{task.folder}/{task.splits[split]}"
    except KeyError:
        names = ", ".join(task.splits)
        raise DataError(f"{task.name} has no split {split!r}.", remedy=f"Its splits: {names}.") from None


def reported_split(task: Task) -> str:
    """Return the split that is scored by default: `val`, or the only one of a diagnostic."""
    return "val" if "val" in task.splits else next(iter(task.splits))


def labelled(task: Task, split: str) -> bool:
    """Return whether a split has labels: every split but `test`, and the only split of a diagnostic."""
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
    """A task with one label per example: BoolQ, CB, RTE and its diagnostics, WiC, WSC.

    `lay_out` turns a row (and its file and line) into the model's input. `values` maps each label's name to
    its value in the official files; `written` maps names to their form in prediction files, where that
    differs. `cluster` names the field whose value is shared by examples that are resampled together.
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
        """Label names, in the order of the logit columns."""
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
        return [Example(example_id(row, where), (self.lay_out(row, where),), gold, cluster=cluster)]

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return the label with the highest logit; of equals, the first."""
        del offsets  # one sequence per request
        return [self.labels[column] for column in np.argmax(logits, axis=1)]

    def valid(self, answer: str, example: Example) -> bool:
        """Return whether the answer is a label."""
        del example
        return answer in self.values

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return the label's position."""
        return (self.labels.index(example.gold[0]),)

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return every label."""
        del example
        return self.labels

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[JsonObject]:
        """Return the rows of the official prediction file; labels are strings, also for BoolQ."""
        written = self.written or {}
        return [
            {"idx": prediction_idx(example.id), "label": written.get(answer, answer)}
            for example, answer in zip(examples, answers, strict=True)
        ]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield pairs of example id and label from the rows of a prediction file."""
        names = {(self.written or {}).get(label, label): label for label in self.labels}
        by_idx = {prediction_idx(example.id): example for example in examples}
        for row in rows:
            idx, label = parse_prediction(row)
            if not isinstance(label, str) or label not in names:
                raise ValueError(f"the label must be one of {', '.join(names)}, got {shorten(label)}")
            yield example_at(by_idx, idx).id, names[label]

    def _label(self, row: Row, where: str) -> str:
        label = field(row, "label", where)
        for name, value in self.values.items():
            # types too: in Python 1 == True, and a label 1 is not an official BoolQ label
            if type(label) is type(value) and label == value:
                return name
        expected = ", ".join(json.dumps(value) for value in self.values.values())
        raise DataError(f"the label must be one of {expected}, got {json.dumps(label)}.", where=where)
