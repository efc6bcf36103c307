"""Reads the labels of a user's own row where any number of them may hold.

    toxic: 1, insult: 0, threat: 1     --LabelColumns-->  ("toxic", "threat")
    labels: ["toxic", "threat"]        --LabelList----->  ("toxic", "threat")

Every error names file and line. A row without labels (no such columns, empty cells, null) is not the same as
a row with none of them: it is answered and not scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.common.errors import DataError, UsageError
from harness.common.json_types import JsonValue
from harness.workload.data.user.rows import check_name, is_empty, label_text
from harness.workload.tasks.prediction_rows import shorten
from harness.workload.tasks.rows import Row, field, json_type

_HOLDS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
"""What a cell may hold, in lower case; spreadsheets write TRUE, and columns with gaps are saved as 1.0."""


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """One column of 0 and 1 for each label; `labels` has the name of each column's label."""

    columns: tuple[str, ...]
    labels: tuple[str, ...]

    def read(self, row: Row, where: str, *, required: bool) -> tuple[str, ...] | None:
        """Return the labels that hold; None for a row without labels, which with `required` is an error."""
        if not required and not any(column in row for column in self.columns):
            return None
        values = [field(row, column, where) for column in self.columns]
        if all(map(is_empty, values)) and not required:
            return None
        pairs = zip(self.columns, self.labels, values, strict=True)
        return tuple(label for column, label, value in pairs if _holds(value, column, where))


@dataclass(frozen=True, slots=True)
class LabelList:
    """A list of labels in one field of JSON Lines; `labels`, unless empty, are allowed."""

    column: str
    labels: tuple[str, ...]

    def read(self, row: Row, where: str, *, required: bool) -> tuple[str, ...] | None:
        """Return the labels that hold; None for a row without labels, which with `required` is an error."""
        if not self.column or (not required and row.get(self.column) is None):
            return None
        value = field(row, self.column, where)
        if not isinstance(value, list):
            raise DataError(
                f"{self.column!r} must be a list of labels, as in other rows, got {json_type(value)}.",
                where=where,
                remedy='Write ["a", "b"], or [] where no label holds.',
            )
        labels = tuple(self._label(entry, where) for entry in value)
        if len(set(labels)) < len(labels):
            raise DataError(
                f"{self.column!r} lists a label twice.", where=where, remedy="List each label once."
            )
        return labels

    def _label(self, value: JsonValue, where: str) -> str:
        label = label_text(value, self.column, where)
        if label is None:
            raise DataError(
                f"{self.column!r} lists an empty label.", where=where, remedy="Leave it out of the list."
            )
        check_name(label, self.labels, where)
        return label


def column_labels(columns: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the label of each column: its own name, or with other `names` the one at its place.

    UsageError for names that are neither the columns, in any order, nor one new name for each.
    """
    if not names or set(names) == set(columns):
        return columns
    if len(names) == len(columns) and not set(names) & set(columns):
        return names
    raise UsageError(
        f"--labels must have the columns of --label, or a new name for each; got {', '.join(names)} for "
        f"{', '.join(columns)}.",
        remedy="List the columns in the model's order, or one name for each column in its place.",
    )


def lists_labels(rows: Sequence[tuple[int, Row]], column: str) -> bool:
    """Return whether a row has a list of labels in this column."""
    return any(isinstance(row.get(column), list) for _, row in rows)


def _holds(value: JsonValue, column: str, where: str) -> bool:
    text = str(value).strip().lower()
    if text not in _HOLDS:
        raise DataError(
            f"{column!r} must be 0 or 1, got {'an empty cell' if is_empty(value) else shorten(value)}.",
            where=where,
            remedy="Write 1 where the label holds and 0 where it does not, in each column of --label.",
        )
    return _HOLDS[text]
