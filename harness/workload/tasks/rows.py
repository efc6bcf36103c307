"""Reads JSON Lines files; every error names the file, the line and what was expected there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from harness.common.errors import DataError
from harness.common.inputs.files import DATA, InputLimit, InvalidText, decode_text, read_input
from harness.common.inputs.json_text import parse_json
from harness.common.json_types import JsonObject, JsonValue

Row = Mapping[str, JsonValue]
"""One line of a JSON Lines file, which holds a JSON object."""

T = TypeVar("T")

_LAYOUT = "--data names a folder in the official layout: BoolQ/val.jsonl, CB/val.jsonl, RTE/val.jsonl, ..."

_ONE_A_LINE = "Write one JSON object on each line, instead of one list: `jq -c '.[]' FILE` does that."

_JSON_TYPES: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number with decimals",
    type(None): "null",
    list: "a list",
    dict: "an object",
}


def read_rows(path: Path, limit: InputLimit = DATA) -> list[tuple[int, Row]]:
    """Read a JSON Lines file into pairs of line number and row; DataError where it is not one, or is empty.

    The last line may lack its newline, as in several official files. Blank lines are skipped. Lines may end
    as on any system.
    """
    content = read_input(path, limit, DataError, remedy=_LAYOUT)
    rows = parse_rows(decode(content, path, _LAYOUT), path)
    if not rows:
        raise DataError(
            "the file has no rows.", where=str(path), remedy="A split needs at least one example."
        )
    return rows


def decode(content: bytes, path: Path, remedy: str, encoding: str = "utf-8") -> str:
    """Return the text of a file; DataError where it is not in this encoding."""
    try:
        return decode_text(content, encoding)
    except InvalidText as problem:
        raise DataError(f"{problem}.", where=str(path), remedy=remedy) from None


def parse_rows(text: str, path: Path) -> list[tuple[int, Row]]:
    """Parse the text of a JSON Lines file into pairs of line number and row; `path` is for messages."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [
        (number, _parse_row(line, f"{path}:{number}", last=number == lines[-1][0])) for number, line in lines
    ]


def _parse_row(line: str, where: str, *, last: bool) -> Row:
    remedy = _ONE_A_LINE if line.lstrip().startswith("[") else None
    try:
        row = parse_json(line)
    except InvalidText as problem:
        hint = " The file may be truncated: copy it again." if last and not remedy else ""
        raise DataError(f"{problem}.{hint}", where=where, remedy=remedy) from None
    if not isinstance(row, dict):
        raise DataError(f"a row must be a JSON object, got {json_type(row)}.", where=where, remedy=remedy)
    return row


def json_type(value: JsonValue) -> str:
    """Return the name of a JSON value's type for messages: "text", "a list", ..."""
    return _JSON_TYPES[type(value)]


def field(row: Row, name: str, where: str) -> JsonValue:
    """Return a field of a row; DataError that lists the row's fields where it is missing."""
    if name not in row:
        names = ", ".join(sorted(map(str, row))) or "none"
        raise DataError(
            f"the field {name!r} is missing.", where=where, remedy=f"Fields of this row: {names}."
        )
    return row[name]


def text_field(row: Row, name: str, where: str) -> str:
    """Return a field that must be text."""
    return encodable(_typed_field(row, name, where, str), name, where)


def encodable(text: str, name: str, where: str) -> str:
    """Return the text; DataError where it holds a lone surrogate, which JSON can write and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"the field {name!r} holds half a character (a lone surrogate).", where=where
        ) from None
    return text


def int_field(row: Row, name: str, where: str) -> int:
    """Return a field that must be a whole number."""
    return _typed_field(row, name, where, int)


def object_field(row: Row, name: str, where: str) -> Row:
    """Return a field that must be a JSON object."""
    return _typed_field(row, name, where, dict)


def list_field(row: Row, name: str, where: str) -> list[Row]:
    """Return a field that must be a list of JSON objects, with at least one."""
    value = field(row, name, where)
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        raise DataError(f"the field {name!r} must be a list of objects, with at least one.", where=where)
    return value


def _typed_field(row: Row, name: str, where: str, expected: type[T]) -> T:
    value = field(row, name, where)
    # `type`, not isinstance: true is not a whole number
    if type(value) is not expected:
        # without the value: a message may be kept in a record, which holds no text of an example
        raise DataError(
            f"the field {name!r} must be {_JSON_TYPES[expected]}, got {json_type(value)}.", where=where
        )
    return value


def example_id(row: Row, where: str) -> str:
    """Return the row's `idx` as text (AX-b writes it as text), or its line number where it has none."""
    return str(row.get("idx", where.rpartition(":")[2]))


def describe_id(example_id: str) -> str:
    """Return an example's id for messages: idx, or question and passage where it has both."""
    passage, slash, question = example_id.rpartition("/")
    return f"question {question} of passage {passage}" if slash else f"idx {example_id}"


def prediction_idx(example_id: str) -> int | str:
    """Return an example's id as prediction files write it: as a number where it is one."""
    # only what Python writes back alike: "007" and digits of other scripts stay text
    return int(example_id) if re.fullmatch(r"0|-?[1-9][0-9]{0,99}", example_id) else example_id


def without_labels(row: Row) -> JsonObject:
    """Return a row of any task without its labels, as the official test files have it.

    Labels are the field `label`; in ReCoRD the `answers` of queries; in MultiRC the `label` of answers.
    """
    hidden = _without(row, "label")
    if "qas" in hidden:
        hidden["qas"] = [_without(query, "answers") for query in hidden["qas"]]
    if isinstance(hidden.get("passage"), dict) and "questions" in hidden["passage"]:
        questions = [
            {**question, "answers": [_without(answer, "label") for answer in question["answers"]]}
            for question in hidden["passage"]["questions"]
        ]
        hidden["passage"] = {**hidden["passage"], "questions": questions}
    return hidden


def _without(row: Row, name: str) -> JsonObject:
    return {key: value for key, value in row.items() if key != name}
