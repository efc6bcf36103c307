"""Turns the rows of a user's own file into texts and labels; every error names file and line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.common.errors import DataError
from harness.common.json_types import JsonObject
from harness.workload.data.tables import TabularFile
from harness.workload.tasks.rows import Row, encodable, field, json_type, text_field


@dataclass(frozen=True, slots=True)
class UserRow:
    """One row: its position in its file from 0, its texts, and its label if it has one."""

    idx: int
    texts: tuple[str, ...]
    label: str | None

    @property
    def line(self) -> str:
        """The row as a line of the layout that task `custom` reads."""
        row: JsonObject = dict(zip(("first", "second"), self.texts, strict=False))
        if self.label is not None:
            row["label"] = self.label
        return json.dumps({**row, "idx": self.idx}) + "\n"


def user_rows(
    table: TabularFile,
    text_columns: Sequence[str],
    label_column: str,
    labels: Sequence[str],
    *,
    labelled: bool,
) -> list[UserRow]:
    """Return the rows of a file. With `labelled`, each needs a label; `labels`, unless empty, are allowed."""
    rows = []
    for idx, (line, row) in enumerate(table.rows):
        where = f"{table.path}:{line}"
        texts = tuple(text_field(row, column, where) for column in text_columns)
        has_label = bool(label_column) and (labelled or label_column in row)
        label = _label(row, label_column, where) if has_label else None
        if label is None and labelled:
            raise DataError(
                f"the label {label_column!r} is empty.", where=where, remedy="Label the row, or remove it."
            )
        if label is not None and labels and label not in labels:
            raise DataError(
                f"the label must be one of {', '.join(labels)}, got {json.dumps(label)}.",
                where=where,
                remedy="Correct the row, or add the label to --labels.",
            )
        rows.append(UserRow(idx, texts, label))
    return rows


def label_names(rows: Mapping[str, Sequence[UserRow]]) -> tuple[str, ...]:
    """Return the labels of all rows, sorted."""
    return tuple(sorted({row.label for split in rows.values() for row in split if row.label is not None}))


def _label(row: Row, column: str, where: str) -> str | None:
    """Return a label as text: as it is, the digits of a whole number, true or false; None where empty."""
    value = field(row, column, where)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str | int):
        raise DataError(
            f"the label {column!r} must be text, a whole number, true or false, got {json_type(value)}.",
            where=where,
        )
    return encodable(value, column, where) if isinstance(value, str) else json.dumps(value)
