"""Reads a user's own file as rows: JSON Lines, CSV or TSV, in UTF-8; every error names file and line.

CSV and TSV have a header, and quoting as spreadsheets write it. A quote that is never closed is an error: the
rows below it would become part of the field.
"""

import csv
import hashlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import DataError
from harness.workload.tasks.rows import Row, decode, parse_rows, read_bytes

_JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*_JSON_LINES, *_DELIMITERS)
_QUOTING = "A quote inside a quoted field is doubled. JSON Lines (.jsonl) needs no such quoting."


@dataclass(frozen=True, slots=True)
class TabularFile:
    """A file that was read: each row with the line it begins on, and the sha256 of the file."""

    path: Path
    rows: tuple[tuple[int, Row], ...]
    sha256: str


def read_table(path: Path) -> TabularFile:
    """Read a file in the format of its suffix; DataError where it cannot be read, or has no rows."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"expected a file that ends in {', '.join(SUFFIXES)}, got {path.suffix or 'no ending'}.",
            where=str(path),
            remedy="Save the file in one of these formats.",
        )
    content = read_bytes(path, "--data names your file, or a folder of files.")
    text = decode(content, path, "Save the file as UTF-8.", encoding="utf-8-sig")
    rows = parse_rows(text, path) if suffix in _JSON_LINES else list(_csv_rows(text, path))
    if not rows:
        raise DataError("the file has no rows.", where=str(path), remedy="It needs one row per example.")
    return TabularFile(path, tuple(rows), hashlib.sha256(content).hexdigest())


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    records = _csv_records(text, path)
    _, header = records[0] if records else (1, [])
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(
            f"the header has {', '.join(map(repr, repeated))} more than once.",
            where=f"{path}:1",
            remedy="Give each column a name of its own.",
        )
    for line, fields in records[1:]:
        if len(fields) != len(header):
            raise DataError(
                f"expected {len(header)} fields, as in the header, got {len(fields)}.",
                where=f"{path}:{line}",
                remedy=f"Put fields that contain the delimiter in quotes. {_QUOTING}",
            )
        yield line, dict(zip(header, fields, strict=True))


def _csv_records(text: str, path: Path) -> list[tuple[int, list[str]]]:
    """Return the line on which each record begins, and its fields; blank lines are skipped."""
    suffix = path.suffix.lower()
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_DELIMITERS[suffix], strict=True)
    first_line, records = 1, []
    with _unlimited_fields():
        try:
            for fields in reader:
                records.append((first_line, fields))
                first_line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"not a valid {suffix[1:]} row ({error}).", where=f"{path}:{first_line}", remedy=_QUOTING
            ) from None
    return [(line, fields) for line, fields in records if fields]


@contextmanager
def _unlimited_fields() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB per field: a document may be longer."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
