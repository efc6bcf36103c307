"""`custom`: a user's own single- or pair-text classification, defined by its labels and its metric.

The user's file is first written in the layout of the official tasks (`harness.workload.data.user_files`),
so that everything else sees one more task: rows of `first`, for pairs `second`, and `label`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.workload.tasks.base import SPLITS, LabelTask
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.rows import Row, text_field
from harness.workload.tasks.text_pair import pair

Metric = Literal["accuracy", "f1", "mcc"]
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class CustomTaskDefinition:
    """What makes a custom task: label names in their order, the metric, one text or two.

    `positional` says that the user named the labels in the order of the model's columns, so that a checkpoint
    whose labels are called LABEL_0 and so on can be matched.
    """

    labels: tuple[str, ...]
    metric: Metric = "accuracy"
    pair: bool = False
    positional: bool = False

    @property
    def words(self) -> dict[str, Any]:
        """The definition as JSON holds it."""
        return asdict(self)


class CustomTask(LabelTask):
    """A task whose files hide nothing: a row is scored where it has a label, in whichever split."""

    __slots__ = ()

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        del labelled
        return super().parse(row, where, labelled="label" in row)


def custom_task(definition: CustomTaskDefinition) -> CustomTask:
    """Return the task; its F1 is the last label's of two, and the mean of all labels' F1 of more."""
    labels = definition.labels
    metric, said = _metric(definition)
    return CustomTask(
        name=CUSTOM,
        folder=CUSTOM,
        summary=f"your own data, {len(labels)} labels; {said}",
        lay_out=pair("first", "second") if definition.pair else _alone,
        values={label: label for label in labels},
        scoring=label_scoring(labels, (metric,)),
        splits={**SPLITS, "all": "all.jsonl"},
        positional=definition.positional,
    )


def parse_definition(words: Mapping[str, Any]) -> CustomTaskDefinition:
    """Return the definition that JSON holds."""
    return CustomTaskDefinition(**{**words, "labels": tuple(words["labels"])})


def _metric(definition: CustomTaskDefinition) -> tuple[str, str]:
    """Return the metric's name in the table of metrics, and how it is told."""
    if definition.metric != "f1":
        return definition.metric, definition.metric
    if len(definition.labels) > 2:  # noqa: PLR2004 -- a positive and a negative one
        return "macro_f1", "macro-F1"
    return "f1", f"F1 of {definition.labels[-1]}"


def _alone(row: Row, where: str) -> TextInput:
    return TextInput(text_field(row, "first", where))
