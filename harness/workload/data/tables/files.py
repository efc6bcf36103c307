"""Reads a user's own file as rows: JSON Lines, CSV or TSV; every error names file and line.

    bytes --encoding--> text --read_records--> records --header--> rows

A byte order mark names the encoding, else it is UTF-8. CSV and TSV have a header.
"""

import codecs
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import DataError
from harness.common.inputs.files import DATA, read_input
from harness.workload.data.tables.delimited import DELIMITED, QUOTE_RULE, Quoting, Records, read_records
from harness.workload.tasks.rows import Row, decode, parse_rows

_JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*_JSON_LINES, *DELIMITED)
_UTF_8 = "Save the file as UTF-8."
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class TabularFile:
    """A file that was read: each row with the line it begins on, and the sha256 of the file."""

    path: Path
    rows: tuple[tuple[int, Row], ...]
    sha256: str


def read_table(path: Path, quoting: Quoting = "auto") -> TabularFile:
    """Read a file in the format of its suffix; DataError where it cannot be read, or has no rows."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"expected a file that ends in {', '.join(SUFFIXES)}, got {path.suffix or 'no ending'}.",
            where=str(path),
            remedy="Save the file in one of these formats.",
        )
    content = read_input(path, DATA, DataError, remedy="--data names your file, or a folder of files.")
    text = _text(content, path)
    rows = parse_rows(text, path) if suffix in _JSON_LINES else _rows(read_records(text, path, quoting), path)
    if not rows:
        raise DataError("the file has no rows.", where=str(path), remedy="It needs one row per example.")
    return TabularFile(path, tuple(rows), hashlib.sha256(content).hexdigest())


def _text(content: bytes, path: Path) -> str:
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    text = decode(content, path, _UTF_8, encoding)
    if "\0" in text:
        line = 1 + len(re.findall("\r\n|\r|\n", text[: text.index("\0")]))
        raise DataError(
            "the line holds a NUL character: the file is damaged, or not UTF-8.",
            where=f"{path}:{line}",
            remedy=_UTF_8,
        )
    return text


def _rows(records: Records, path: Path) -> list[tuple[int, Row]]:
    records = _trimmed(records)
    if not records:
        return []
    (header_line, header), *rest = records
    columns = _columns(header, rest, f"{path}:{header_line}")
    rows: list[tuple[int, Row]] = []
    for line, fields in rest:
        if len(fields) < len(header) or any(fields[len(header) :]):
            raise DataError(
                f"expected {len(header)} fields, as in the header, got {len(fields)}.",
                where=f"{path}:{line}",
                remedy=f"Put fields that contain the delimiter in quotes. {QUOTE_RULE}",
            )
        rows.append((line, {name: fields[column] for column, name in columns.items()}))
    return rows


def _trimmed(records: Records) -> Records:
    """Return the records from the header to the last one with content.

    A blank line between them is an empty row where the table has one column, and no row elsewhere.
    """
    start = next((index for index, (_, fields) in enumerate(records) if fields), len(records))
    records = records[start:]
    is_column = bool(records) and len(records[0][1]) == 1
    while records and not (any(records[-1][1]) or (is_column and records[-1][1])):
        records.pop()
    return [(line, fields or [""]) for line, fields in records if fields or is_column]


def _columns(header: Sequence[str], records: Records, where: str) -> dict[int, str]:
    """Return the names of the columns by position, without those that have neither name nor content."""
    used = {column for _, fields in records for column, value in enumerate(fields) if value}
    columns = {column: name for column, name in enumerate(header) if name.strip() or column in used}
    names = list(columns.values())
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"the header has {', '.join(map(repr, repeated))} more than once.",
            where=where,
            remedy="Give each column a name of its own.",
        )
    return columns
