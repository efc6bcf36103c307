"""The task `custom`: a user's own classification of single texts or pairs, defined by labels and metric.

`harness.workload.data.user_files` first writes the user's file in the layout of the official tasks, as rows
of `first`, for pairs `second`, and `label`. Everything else then handles it like any other task.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from harness.common.json_types import JsonObject, JsonValue
from harness.workload.tasks.base import SPLITS, LabelTask
from harness.workload.tasks.example import Example, TextInput, Truncation
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.rows import Row, text_field
from harness.workload.tasks.text_pair import pair

Metric = Literal["accuracy", "f1", "mcc"]
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class CustomTaskDefinition:
    """The definition of a custom task: label names in their order, the metric, and one text or a pair.

    `positional` means that the user listed the labels in the order of the model's columns, so that a
    checkpoint with unnamed labels (LABEL_0, ...) can be matched. `truncate` is the text of a pair that is cut
    where both are too long together.
    """

    labels: tuple[str, ...]
    metric: Metric = "accuracy"
    pair: bool = False
    positional: bool = False
    truncate: Truncation = "first"

    @property
    def words(self) -> JsonObject:
        """The definition as a JSON object, without `truncate` if it is the default: older code lacks it."""
        fields = asdict(self)
        if self.truncate == "first":
            del fields["truncate"]
        return fields


class CustomTask(LabelTask):
    """A custom task. A row has gold where it has a label, in any split."""

    __slots__ = ()

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        del labelled
        return super().parse(row, where, labelled="label" in row)


def custom_task(definition: CustomTaskDefinition) -> CustomTask:
    """Return the task. Its F1 is that of the last of two labels, and macro-F1 with more labels."""
    labels = definition.labels
    metric, description = _metric(definition)
    return CustomTask(
        name=CUSTOM,
        folder=CUSTOM,
        summary=f"your own data, {len(labels)} labels; {description}",
        lay_out=pair("first", "second", definition.truncate) if definition.pair else _single_text,
        values={label: label for label in labels},
        scoring=label_scoring(labels, (metric,)),
        splits={**SPLITS, "all": "all.jsonl"},
        positional=definition.positional,
        truncate=definition.truncate,
    )


def parse_definition(definition: Mapping[str, JsonValue]) -> CustomTaskDefinition:
    """Return the definition from a JSON object."""
    return CustomTaskDefinition(**{**definition, "labels": tuple(definition["labels"])})


def _metric(definition: CustomTaskDefinition) -> tuple[str, str]:
    """Return the metric's key in `LABEL_METRICS`, and its name for the reader."""
    if definition.metric != "f1":
        return definition.metric, definition.metric
    if len(definition.labels) > 2:  # noqa: PLR2004 -- a positive and a negative label
        return "macro_f1", "macro-F1"
    return "f1", f"F1 of {definition.labels[-1]}"


def _single_text(row: Row, where: str) -> TextInput:
    return TextInput(text_field(row, "first", where))
