"""Turns the rows of a user's own file into texts and labels; every error names file and line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.common.errors import DataError
from harness.common.json_types import JsonObject, JsonValue
from harness.workload.data.tables import TabularFile
from harness.workload.tasks.rows import Row, encodable, field, json_type, text_field

RowLabel = str | tuple[str, ...] | None
"""The label of a row, or the labels that hold where there may be any number; None where it has no label."""


class LabelReader(Protocol):
    """Reads the label of a row, or its labels."""

    def read(self, row: Row, where: str, *, required: bool) -> RowLabel:
        """Return what the row holds; DataError where it cannot be read, or with `required` is missing."""


@dataclass(frozen=True, slots=True)
class SingleLabel:
    """One label in one column, or none where the column is unnamed; `labels`, unless empty, are allowed."""

    column: str
    labels: tuple[str, ...]

    def read(self, row: Row, where: str, *, required: bool) -> str | None:
        """Return the label, or None where the row has none."""
        has_label = bool(self.column) and (required or self.column in row)
        label = label_text(field(row, self.column, where), self.column, where) if has_label else None
        if label is None and required:
            raise DataError(
                f"the label {self.column!r} is empty.", where=where, remedy="Label the row, or remove it."
            )
        if label is not None:
            check_name(label, self.labels, where)
        return label


@dataclass(frozen=True, slots=True)
class UserRow:
    """One row: its position in its file from 0, its texts, and its label or labels if it has any."""

    idx: int
    texts: tuple[str, ...]
    label: RowLabel

    @property
    def line(self) -> str:
        """The row as a line of the layout that task `custom` reads."""
        row: JsonObject = dict(zip(("first", "second"), self.texts, strict=False))
        if self.label is not None:
            row["label"] = self.label
        return json.dumps({**row, "idx": self.idx}) + "\n"


def user_rows(
    table: TabularFile, text_columns: Sequence[str], reader: LabelReader, *, labelled: bool
) -> list[UserRow]:
    """Return the rows of a file. With `labelled`, each needs a label."""
    rows = []
    for idx, (line, row) in enumerate(table.rows):
        where = f"{table.path}:{line}"
        texts = tuple(text_field(row, column, where) for column in text_columns)
        rows.append(UserRow(idx, texts, reader.read(row, where, required=labelled)))
    return rows


def label_names(rows: Mapping[str, Sequence[UserRow]]) -> tuple[str, ...]:
    """Return the labels of all rows, sorted."""
    labels = [row.label for split in rows.values() for row in split if row.label is not None]
    return tuple(
        sorted({name for label in labels for name in ((label,) if isinstance(label, str) else label)})
    )


def label_text(value: JsonValue, column: str, where: str) -> str | None:
    """Return a label as text: as it is, the digits of a whole number, true or false; None where empty."""
    if is_empty(value):
        return None
    if not isinstance(value, str | int):
        raise DataError(
            f"the label {column!r} must be text, a whole number, true or false, got {json_type(value)}.",
            where=where,
        )
    return encodable(value, column, where) if isinstance(value, str) else json.dumps(value)


def is_empty(value: JsonValue) -> bool:
    """Return whether a cell is null or blank."""
    return value is None or (isinstance(value, str) and not value.strip())


def check_name(label: str, labels: Sequence[str], where: str) -> None:
    """Raise DataError unless the label is one of `labels`; if these are empty, any is allowed."""
    if labels and label not in labels:
        raise DataError(
            f"the label must be one of {', '.join(labels)}, got {json.dumps(label)}.",
            where=where,
            remedy="Correct the row, or add the label to --labels.",
        )
