"""Reads the records of CSV and TSV text, quoted or not.

    "a ""b"", c",1       quoted, as spreadsheets write it:   a "b", c | 1
    "a" b<tab>1          not quoted, as GLUE's files are:    "a" b    | 1

With `auto`, CSV is quoted. TSV is quoted if its quotes are where a program puts them, else they are part of
the text. Quotes that happen to pair up over several lines would make one row of them. So a quoted field that
holds a line break and a delimiter is refused, in CSV unless the rest of the file shows that it is quoted.
"""

import csv
import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from harness.common.errors import DataError

Quoting = Literal["auto", "quoted", "none"]
QUOTINGS: tuple[str, ...] = get_args(Quoting)
Records = list[tuple[int, list[str]]]
"""The fields of each record, with the line that it begins on; a blank line has no fields."""

QUOTE_RULE = "A quote inside a quoted field is doubled. JSON Lines (.jsonl) needs no such quoting."
_DECIDE = "Decide with --quoting quoted, or with --quoting none where quotes are part of the text."
_TAB = "\t"
DELIMITED = {".csv": f",;{_TAB}", ".tsv": _TAB}
"""The delimiters that a file with this suffix may have; the first that is in the header counts."""

_NAMES = {",": "comma", ";": "semicolon", _TAB: "tab"}
_LINE_END = re.compile(r"\r\n|\r|\n")
_EXCEL_HINT = re.compile(r"sep=([,;\t])(?=[\r\n])")
_MISSING = ("", "NA", "NULL")


def read_records(text: str, path: Path, quoting: Quoting) -> Records:
    """Return the records of a text; DataError where they are malformed, or can be read in two ways."""
    if hint := _EXCEL_HINT.match(text):
        text = text[hint.end() :]  # its line end stays, so that lines keep their numbers
    delimiter = hint[1] if hint else _delimiter(text, path.suffix.lower())
    lines = enumerate(_LINE_END.split(text), 1)
    plain = [(number, line.split(delimiter) if line else []) for number, line in lines]
    if quoting == "none" or '"' not in text:
        return plain
    if quoting == "quoted":
        return _quoted(text, delimiter, path)
    if path.suffix.lower() == ".tsv":
        return _tsv_records(text, plain, path)
    return _csv_records(text, plain, delimiter, path)


def _delimiter(text: str, suffix: str) -> str:
    """Return the first delimiter that the header has, for instance the semicolon where commas are decimal."""
    delimiters = DELIMITED[suffix]
    header = next((line for line in _LINE_END.split(text[:100_000]) if line), "")
    outside_quotes = re.sub(r'"(?:[^"]|"")*+"', "", header)
    return next((delimiter for delimiter in delimiters if delimiter in outside_quotes), delimiters[0])


def _quoted(text: str, delimiter: str, path: Path) -> Records:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first_line, records = 1, []
    with _unlimited_fields():
        try:
            for fields in reader:
                records.append((first_line, fields))
                first_line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"not a valid {path.suffix.lower()[1:]} row ({error}).",
                where=f"{path}:{first_line}",
                remedy=f"{QUOTE_RULE} With --quoting none, quotes are part of the text.",
            ) from None
    return records


def _tsv_records(text: str, plain: Records, path: Path) -> Records:
    try:
        quoted = _quoted(text, _TAB, path)
    except DataError:
        if _is_regular(plain):
            return plain
        raise
    if _is_regular(plain) and not _is_regular(quoted):
        return plain
    is_column = len(quoted[0][1]) == 1
    for line, fields in quoted:
        if any(_breaks(field) and (is_column or _TAB in field) for field in fields):
            raise _ambiguous(path, line, _TAB)
    return plain if _is_regular(plain) and not _is_quoted_by_a_program(plain) else quoted


def _csv_records(text: str, plain: Records, delimiter: str, path: Path) -> Records:
    quoted = _quoted(text, delimiter, path)
    fields_of_one_line = (field for _, fields in quoted for field in fields if not _breaks(field))
    if '""' in text or any(delimiter in field for field in fields_of_one_line):
        return quoted
    width = next((len(fields) for _, fields in quoted if fields), 0)
    ends = [line for line, _ in quoted[1:]] + [len(plain) + 1]
    for (line, _), end in zip(quoted, ends, strict=True):
        parts = [part for _, part in plain[line - 1 : end - 1] if part]
        if len(parts) > 1 and all(len(part) == width for part in parts):
            raise _ambiguous(path, line, delimiter)
    return quoted


def _ambiguous(path: Path, line: int, delimiter: str) -> DataError:
    return DataError(
        f"a field from this line on holds a line break and a {_NAMES[delimiter]}: it is one quoted field, or "
        "its quotes are part of the text of several rows.",
        where=f"{path}:{line}",
        remedy=_DECIDE,
    )


def _breaks(field: str) -> bool:
    return "\n" in field or "\r" in field


def _is_regular(records: Records) -> bool:
    """Return whether all records have as many fields."""
    return len({len(fields) for _, fields in records if fields}) == 1


def _is_quoted_by_a_program(plain: Records) -> bool:
    """Return whether each column's quotes are where a program puts them: all, or where they are needed."""
    rows = [fields for _, fields in plain if fields]
    return all(
        any(all(_follows(field, policy) for field in column) for policy in _POLICIES)
        for column in zip(*rows, strict=True)
    )


def _follows(field: str, policy: Callable[[str], bool]) -> bool:
    content = field[1:-1].replace('""', '"') if field.startswith('"') else field
    return field.startswith('"') == policy(content)


def _needs_quotes(content: str) -> bool:
    return '"' in content


def _excel_quotes(content: str) -> bool:
    return '"' in content or "," in content


def _has_value(content: str) -> bool:
    return content not in _MISSING


_POLICIES = (_needs_quotes, _excel_quotes, _has_value)


@contextmanager
def _unlimited_fields() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB per field: a document may be longer."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
