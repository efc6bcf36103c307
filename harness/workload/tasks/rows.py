"""Reading official files: JSON Lines, each complaint naming file, line and remedy."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.common.errors import DataError

Row = Mapping[str, Any]


def read_rows(path: Path) -> list[tuple[int, Row]]:
    """Read a JSON Lines file into (line number, row); DataError if it is not one, or has no rows.

    The last line may lack its newline, as in several official files; a truncated row is named with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path), remedy=_LAYOUT) from None
    except UnicodeDecodeError as problem:
        raise DataError(f"not UTF-8 text (byte {problem.start}).", where=str(path), remedy=_LAYOUT) from None
    except OSError as problem:
        raise DataError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(
            "the file has no rows.", where=str(path), remedy="A split needs at least one example."
        )
    return [(number, row_of(line, f"{path}:{number}", last=number == lines[-1][0])) for number, line in lines]


def field(row: Row, name: str, where: str) -> Any:  # noqa: ANN401 -- a JSON value
    """Return a field of a row; DataError names the fields that are there."""
    if name not in row:
        there = ", ".join(sorted(map(str, row))) or "none"
        raise DataError(f"the field {name!r} is missing.", where=where, remedy=f"Fields there: {there}.")
    return row[name]


def text_field(row: Row, name: str, where: str) -> str:
    """Return a field that must be text."""
    found = field(row, name, where)
    if not isinstance(found, str):
        raise DataError(f"the field {name!r} is {type(found).__name__}, not text.", where=where)
    return sound(found, name, where)


def sound(text: str, name: str, where: str) -> str:
    """Return a text that can be written: JSON can hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{name!r} holds half a character (a lone surrogate).", where=where) from None
    return text


def int_field(row: Row, name: str, where: str) -> int:
    """Return a field that must be a whole number."""
    found = field(row, name, where)
    if type(found) is not int:
        raise DataError(f"the field {name!r} is {type(found).__name__}, not a whole number.", where=where)
    return found


def object_field(row: Row, name: str, where: str) -> Row:
    """Return a field that must be a JSON object."""
    found = field(row, name, where)
    if not isinstance(found, dict):
        raise DataError(f"the field {name!r} is {type(found).__name__}, not an object.", where=where)
    return found


def list_field(row: Row, name: str, where: str) -> list[Row]:
    """Return a field that must be a list of JSON objects with at least one in it."""
    found = field(row, name, where)
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise DataError(f"the field {name!r} is no list of objects with at least one in it.", where=where)
    return found


def idx_of(row: Row, where: str) -> str:
    """Return the row's `idx` as text (AX-b writes it as a string), or its line number where it has none."""
    return str(row.get("idx", where.rpartition(":")[2]))


def idx_written(example_id: str) -> int | str:
    """Return an id as prediction files write it: a number where it is one."""
    # as Python writes the number back: "007" and digits of other scripts stay text
    return int(example_id) if re.fullmatch(r"0|-?[1-9][0-9]{0,99}", example_id) else example_id


def without_labels(row: Row) -> dict[str, Any]:
    """Return a row of any task without its labels, as the official test files have it.

    Labels are `label`; in ReCoRD the `answers` of queries; in MultiRC the `label` of answers.
    """
    kept = {name: value for name, value in row.items() if name != "label"}
    if "qas" in kept:
        kept["qas"] = [_without(query, "answers") for query in kept["qas"]]
    if isinstance(kept.get("passage"), dict) and "questions" in kept["passage"]:
        questions = [
            {**asked, "answers": [_without(answer, "label") for answer in asked["answers"]]}
            for asked in kept["passage"]["questions"]
        ]
        kept["passage"] = {**kept["passage"], "questions": questions}
    return kept


def _without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}


def row_of(line: str, where: str, *, last: bool) -> Row:
    """Return one line as a row; DataError if it is none, with a hint if the `last` line may be cut off."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as problem:
        cut = " The file may be truncated: copy it again." if last else ""
        raise DataError(f"not JSON ({problem.msg} at column {problem.colno}).{cut}", where=where) from None
    except (ValueError, RecursionError):
        words = "not JSON that can be read: a number is too long, or it is nested too deep."
        raise DataError(words, where=where) from None
    if not isinstance(row, dict):
        raise DataError(f"a row is a JSON object, not {type(row).__name__}.", where=where)
    return row


_LAYOUT = "--data names a folder in the official layout: BoolQ/val.jsonl, CB/val.jsonl, RTE/val.jsonl, ..."
