"""The rows that a user's instrument writes: time with joules or watts.

    time,watts              {"time": 1767268800.0, "watts": 41.5}
    1767268800.0,41.5       {"time": 1767268801.0, "watts": 43.0}

CSV with a heading, or one JSON object per line. `time` is in seconds since the epoch; `joules` never
decrease, `watts` are the power at that time. Other columns are ignored. A last line without a line end is
still being written, and is left for the next read. A row that does not fit its heading is refused: a decimal
comma, for one, would split a number in two.
"""

import codecs
import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.common.json_types import JsonObject, JsonValue

KINDS = ("joules", "watts")

LATEST_S = 1e11
"""A time beyond this, the year 5138, is in another unit than seconds."""

FORM = "Rows need `time` (seconds since the epoch) and `joules` or `watts`: see docs/reference/meters.md."
RUNNING = "Start the program that writes the file before the run, and keep it running."
DECIMALS = "Write decimals with a point (41.5), and no comma within a number."
COMPLETE = "Write every column of the heading in every row."
PLAIN = "Write the number alone, without a unit."
EPOCH = "Write `time` in seconds since the epoch, as `date +%s.%N` or Python's time.time() do."
ENCODING = "Write the file in UTF-8: in PowerShell `Out-File -Encoding utf8`, as its `>` writes UTF-16."

UNITS = {
    "kwh": "joules: multiply by 3,600,000",
    "wh": "joules: multiply by 3,600",
    "kj": "joules: multiply by 1,000",
    "uj": "joules: divide by 1,000,000",
    "kw": "watts: multiply by 1,000",
    "uw": "watts: divide by 1,000,000",
    "mw": "watts: divide milliwatts by 1,000",
    "mj": "joules: divide millijoules by 1,000",
    **dict.fromkeys(("w", "watt", "power"), "watts"),
    **dict.fromkeys(("j", "joule", "energy"), "joules"),
}
"""Words in the names of columns that hold the right quantity in another form, and what to write instead."""

TIMES = ("timestamp", "datetime", "date", "ts", "epoch", "unix", "seconds")
"""Words in the names of columns that hold the time."""

_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_BYTE_ORDERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

NumberedLines = Sequence[tuple[int, str]]
"""Lines with their numbers in the file."""


class MalformedRows(Exception):
    """Rows in another form than above; the message states the line and the reason."""

    def __init__(self, reason: str, remedy: str = FORM) -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Rows:
    """Microjoules or microwatts (`kind`) by nanoseconds since the epoch, in the order of time."""

    kind: str
    points: tuple[tuple[int, float], ...]


def decoded(data: bytes) -> str:
    """Return the text of a file or of a program's output; MalformedRows if it is not UTF-8."""
    if data.startswith(_BYTE_ORDERS) or b"\0" in data:
        raise MalformedRows("it is written in UTF-16", ENCODING)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MalformedRows(f"line {line}: it is not UTF-8 text", ENCODING) from None


def parse(text: str) -> Rows:
    """Return the rows of a text; MalformedRows for another form, no rows, or times that do not increase."""
    complete = text[: text.rfind("\n") + 1]
    lines = [(number, line) for number, line in enumerate(complete.split("\n"), 1) if line.strip()]
    if not lines:
        raise MalformedRows("it has no complete line", RUNNING)
    rows = _json(lines) if lines[0][1].lstrip().startswith("{") else _csv(lines)
    kind, points = "", []
    for number, row in rows:
        kind = kind or _kind(row, number)
        points.append((_nanoseconds(row, number), _number(row, kind, number) * 1e6))
        if len(points) > 1 and points[-1][0] <= points[-2][0]:
            reason = f"line {number}: its time is not after that of the previous row"
            raise MalformedRows(reason, "Let one program write the file, and start a new file for a new one.")
    if not points:
        raise MalformedRows("it has a heading, but no row", RUNNING)
    return Rows(kind, tuple(points))


def _csv(lines: NumberedLines) -> Iterator[tuple[int, Mapping[str, str]]]:
    first = lines[0][1]
    delimiter = next((mark for mark in ";\t" if mark in first and "," not in first), ",")
    heading = [name.strip().lower() for name in _fields(lines[0], delimiter)]
    if twice := [name for name in ("time", *KINDS) if heading.count(name) > 1]:
        raise MalformedRows(f"line {lines[0][0]}: it names {twice[0]} twice", "Name each column once.")
    for line in lines[1:]:
        fields = _fields(line, delimiter)
        if len(fields) != len(heading):
            reason = f"line {line[0]}: it has {len(fields)} fields, and the heading has {len(heading)}"
            raise MalformedRows(reason, DECIMALS if len(fields) > len(heading) else COMPLETE)
        yield line[0], dict(zip(heading, fields, strict=True))


def _fields(line: tuple[int, str], delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line[1].rstrip("\r")], delimiter=delimiter))
    except csv.Error as error:
        raise MalformedRows(f"line {line[0]}: {error}") from None


def _json(lines: NumberedLines) -> Iterator[tuple[int, JsonObject]]:
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise MalformedRows(f"line {number}: not a JSON object") from None
        if not isinstance(row, dict):
            raise MalformedRows(f"line {number}: not a JSON object")
        yield number, row


def _kind(row: Mapping[str, JsonValue], number: int) -> str:
    kinds = [kind for kind in KINDS if kind in row]
    if len(kinds) != 1 or "time" not in row:
        reason = f"line {number}: it needs `time`, and either `joules` or `watts`"
        raise MalformedRows(reason, _renamed(row, kinds))
    return kinds[0]


def _renamed(columns: Iterable[str], kinds: Sequence[str]) -> str:
    """Return what to write in place of columns that hold time or energy under another name."""
    words = {column: re.findall(r"[a-z]+", column.lower()) for column in columns}
    if len(kinds) > 1:
        return "Leave out one of the two: `joules` if the instrument counts them."
    for unit, instead in UNITS.items() if not kinds else ():
        if column := next((column for column, parts in words.items() if unit in parts), None):
            return f"Write the column {column} as {instead}."
    if "time" not in words:
        column = next((column for column, parts in words.items() if {*parts} & {*TIMES}), None)
        return f"Write the column {column} as time. {EPOCH}" if column else FORM
    return FORM


def _nanoseconds(row: Mapping[str, JsonValue], number: int) -> int:
    seconds = _number(row, "time", number)
    if seconds > LATEST_S:
        reason = f"line {number}: time must be in seconds since the epoch, got {seconds:g}"
        raise MalformedRows(reason, "Divide milliseconds by 1,000, or nanoseconds by 1,000,000,000.")
    return round(seconds * 1e9)


def _number(row: Mapping[str, JsonValue], name: str, number: int) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value).strip()):
        remedy = EPOCH if name == "time" else PLAIN
        remedy = DECIMALS if re.fullmatch(r"\s*-?\d+,\d+\s*", str(value)) else remedy
        raise MalformedRows(f"line {number}: {name} must be a number", remedy)
    converted = float(str(value))
    if not math.isfinite(converted) or converted < 0:
        reason = f"line {number}: {name} must be a finite number of 0 or more, got {converted}"
        raise MalformedRows(reason, "Leave out rows in which the instrument could not be read.")
    return converted


def joined(outputs: list[Rows | str]) -> Rows | str:
    """Return the rows of several runs of a command as one; the first and the last run must have succeeded."""
    for edge in (outputs[0], outputs[-1]):
        if isinstance(edge, str):
            return edge
    parts = [rows for rows in outputs if isinstance(rows, Rows)]
    if len({rows.kind for rows in parts}) > 1:
        return "it printed joules in one run and watts in another"
    points = {when: value for rows in parts for when, value in rows.points}
    return Rows(parts[0].kind, tuple(sorted(points.items())))
