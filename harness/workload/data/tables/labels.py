"""Labels as spreadsheets and data frames write them: whole numbers with decimals, blanks around a name."""

import re
from collections.abc import Sequence
from dataclasses import replace

from harness.common.errors import DataError
from harness.common.json_types import JsonValue
from harness.workload.data.tables.files import TabularFile

_WHOLE = re.compile(r"(-?\d+)[.,]0+")


def with_plain_labels(table: TabularFile, column: str, names: Sequence[str] = ()) -> TabularFile:
    """Return the table with labels 1.0 as 1, if all labels of the column are such numbers.

    Whole numbers are written that way where a cell of the column is empty. DataError where 1.0 stands beside
    1, or where two labels differ only in blanks: they may be one label, or two. Labels in `names` stay.
    """
    labels = [(line, row.get(column)) for line, row in table.rows]
    labels = [(line, label) for line, label in labels if not _is_empty(label)]
    if not labels or all(label in names for _, label in labels):
        return table
    if not names:
        _check_spelling(labels, table)
    if not all(_is_whole(label) for _, label in labels):
        return table
    rows = ((line, row, row.get(column)) for line, row in table.rows)
    return replace(
        table,
        rows=tuple(
            (line, row if _is_empty(label) else {**row, column: _plain(label)}) for line, row, label in rows
        ),
    )


def _check_spelling(labels: list[tuple[int, JsonValue]], table: TabularFile) -> None:
    spelling: dict[str, JsonValue] = {}
    for line, label in labels:
        if isinstance(label, list | dict):
            continue
        first = spelling.setdefault(str(_plain(label)).strip(), label)
        if str(first) != str(label):
            raise DataError(
                f"the labels {str(first)[:40]!r} and {str(label)[:40]!r} may be the same.",
                where=f"{table.path}:{line}",
                remedy="Write each label in one way. Where they are two labels, name all with --labels.",
            )


def _is_empty(label: JsonValue) -> bool:
    return label is None or (isinstance(label, str) and not label.strip())


def _is_whole(label: JsonValue) -> bool:
    return type(label) is not type(_plain(label)) or label != _plain(label)


def _plain(label: JsonValue) -> JsonValue:
    if isinstance(label, float) and label.is_integer():
        return int(label)
    match = _WHOLE.fullmatch(label.strip()) if isinstance(label, str) else None
    return match[1] if match else label
