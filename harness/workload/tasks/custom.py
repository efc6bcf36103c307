"""The task `custom`: a user's own classification of single texts or pairs, defined by labels and metric.

`harness.workload.data.user.task_files` first writes the user's file in the layout of the official tasks, as
rows of `first`, for pairs `second`, and `label`: one, or a list where any number of labels may hold.
Everything else then handles it like any other task.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from harness.common.json_types import JsonObject, JsonValue
from harness.workload.tasks.base import SPLITS, LabelTask
from harness.workload.tasks.example import Example, TextInput, Truncation
from harness.workload.tasks.metrics import MULTI_LABEL_METRICS, label_scoring, multi_label_scoring
from harness.workload.tasks.multi_label import DEFAULT_THRESHOLD, MultiLabelTask
from harness.workload.tasks.rows import Row, text_field
from harness.workload.tasks.text_pair import pair

SingleLabelMetric = Literal["accuracy", "f1", "mcc"]
MultiLabelMetric = Literal["micro-f1", "macro-f1", "subset-accuracy"]
Metric = SingleLabelMetric | MultiLabelMetric
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class CustomTaskDefinition:
    """The definition of a custom task: label names in their order, the metric, and one text or a pair.

    `positional` means that the user listed the labels in the order of the model's columns, so that a
    checkpoint with unnamed labels (LABEL_0, ...) can be matched. `truncate` is the text of a pair that is cut
    where both are too long together.
    checkpoint with unnamed labels (LABEL_0, ...) can be matched. With `multi_label`, any number of labels may
    hold for an example: those whose probability is at least `threshold`.
    """

    labels: tuple[str, ...]
    metric: Metric = "accuracy"
    pair: bool = False
    positional: bool = False
    truncate: Truncation = "first"
    multi_label: bool = False
    threshold: float = DEFAULT_THRESHOLD

    @property
    def words(self) -> JsonObject:
        """The definition as a JSON object.

        Fields that older code lacks are left out at their default, so that hashes stay the same.
        """
        fields = asdict(self)
        if self.truncate == "first":
            del fields["truncate"]
        if not self.multi_label:
            del fields["multi_label"], fields["threshold"]
        return fields


class CustomTask(LabelTask):
    """A custom task with one label per example. A row has gold where it has a label, in any split."""

    __slots__ = ()

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        del labelled
        return super().parse(row, where, labelled="label" in row)


class CustomMultiLabelTask(MultiLabelTask):
    """A custom task with any number of labels per example. A row has gold where it has a list of labels."""

    __slots__ = ()

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        del labelled
        return super().parse(row, where, labelled="label" in row)


def metrics_of(*, multi_label: bool) -> tuple[str, ...]:
    """Return the metrics that the user may name, the default first."""
    return get_args(MultiLabelMetric if multi_label else SingleLabelMetric)


def custom_task(definition: CustomTaskDefinition) -> CustomTask | CustomMultiLabelTask:
    """Return the task. Its F1 is that of the last of two labels, and macro-F1 with more labels."""
    labels = definition.labels
    common: dict[str, Any] = {
        "name": CUSTOM,
        "folder": CUSTOM,
        "lay_out": pair("first", "second", definition.truncate) if definition.pair else _single_text,
        "truncate": definition.truncate,
        "splits": {**SPLITS, "all": "all.jsonl"},
        "positional": definition.positional,
    }
    if definition.multi_label:
        metrics = _primary_first(definition.metric.replace("-", "_"))
        return CustomMultiLabelTask(
            **common,
            summary=f"your own data, any number of {len(labels)} labels; {', '.join(metrics)}",
            labels=labels,
            scoring=multi_label_scoring(len(labels), metrics),
            threshold=definition.threshold,
        )
    metric, description = _metric(definition)
    return CustomTask(
        **common,
        summary=f"your own data, {len(labels)} labels; {description}",
        values={label: label for label in labels},
        scoring=label_scoring(labels, (metric,)),
    )


def parse_definition(definition: Mapping[str, JsonValue]) -> CustomTaskDefinition:
    """Return the definition from a JSON object."""
    return CustomTaskDefinition(**{**definition, "labels": tuple(definition["labels"])})


def recorded_definition(facts: Mapping[str, JsonValue]) -> CustomTaskDefinition:
    """Return the definition from the field `custom` of a record's configuration; KeyError if it lacks parts.

    A record does not hold whether the user ordered the labels, which matters to checkpoints alone.
    """
    return CustomTaskDefinition(
        labels=tuple(facts["labels"]),
        metric=facts["metric"],
        pair=len(facts.get("text", ())) > 1,
        multi_label=facts.get("multi_label", False),
        threshold=facts.get("threshold", DEFAULT_THRESHOLD),
    )


def _primary_first(primary: str) -> tuple[str, ...]:
    """Return the keys of `MULTI_LABEL_METRICS`, this one first."""
    return (primary, *(name for name in MULTI_LABEL_METRICS if name != primary))


def _metric(definition: CustomTaskDefinition) -> tuple[str, str]:
    """Return the metric's key in `LABEL_METRICS`, and its name for the reader."""
    if definition.metric != "f1":
        return definition.metric, definition.metric
    if len(definition.labels) > 2:  # noqa: PLR2004 -- a positive and a negative label
        return "macro_f1", "macro-F1"
    return "f1", f"F1 of {definition.labels[-1]}"


def _single_text(row: Row, where: str) -> TextInput:
    return TextInput(text_field(row, "first", where))
