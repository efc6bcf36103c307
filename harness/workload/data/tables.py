"""A user's own file as rows: JSON Lines, CSV or TSV, in UTF-8; each complaint names file, line and remedy.

CSV and TSV have a header, and quotes as spreadsheets write them. A quote that is never closed is refused: it
would swallow the rows below it.
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
from harness.workload.tasks.rows import Row, parse_rows

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv")
_QUOTES = "A quote inside a quoted field is doubled; JSON Lines (.jsonl) need none of this."


@dataclass(frozen=True, slots=True)
class TabularFile:
    """One file, read: the line each row begins on, with the row; and the sha256 of the file."""

    path: Path
    rows: tuple[tuple[int, Row], ...]
    sha256: str


def read_table(path: Path) -> TabularFile:
    """Read a file by what its name ends with; DataError if it cannot be read, or has no rows."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"what {path.suffix or 'a name without an ending'} holds is not known.",
            where=str(path),
            remedy=f"Name a file that ends in one of: {', '.join(SUFFIXES)}.",
        )
    content = _content(path)
    text = _decoded(content, path)
    rows = tuple(parse_rows(text, path) if path.suffix.lower() in SUFFIXES[:2] else _csv_rows(text, path))
    if not rows:
        raise DataError("the file has no rows.", where=str(path), remedy="A row is one example.")
    return TabularFile(path, rows, hashlib.sha256(content).hexdigest())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            "there is no such file.", where=str(path), remedy="--data names your file or its folder."
        ) from None
    except OSError as problem:
        raise DataError(f"cannot be read: {problem.strerror}.", where=str(path)) from None


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(
            f"not UTF-8 text (byte {problem.start}).", where=str(path), remedy="Save it again as UTF-8."
        ) from None


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    lines = _csv_lines(text, path)
    _, header = lines[0] if lines else (1, [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"the header names {', '.join(map(repr, twice))} twice.", where=f"{path}:1")
    for number, fields in lines[1:]:
        if len(fields) != len(header):
            raise DataError(
                f"the row has {len(fields)} fields, the header {len(header)}.",
                where=f"{path}:{number}",
                remedy=f"Quote texts that hold the separator. {_QUOTES}",
            )
        yield number, dict(zip(header, fields, strict=True))


def _csv_lines(text: str, path: Path) -> list[tuple[int, list[str]]]:
    """Return the line on which each record begins, and its fields; a blank line is no record."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begin, records = 1, []
    with _long_fields():
        try:
            for fields in reader:
                records.append((begin, fields))
                begin = reader.line_num + 1
        except csv.Error as problem:
            raise DataError(
                f"not a {path.suffix.lower()[1:]} row ({problem}).", where=f"{path}:{begin}", remedy=_QUOTES
            ) from None
    return [(number, fields) for number, fields in records if fields]


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let a field be as long as it is: the csv module stops at 128 KiB, and a document may be longer."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)
