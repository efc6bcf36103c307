"""The rows that a user's instrument writes: time with joules or watts.

    time,watts              {"time": 1767268800.0, "watts": 41.5}
    1767268800.0,41.5       {"time": 1767268801.0, "watts": 43.0}

CSV with a heading, or one JSON object per line. `time` is in seconds since the epoch; `joules` never
decrease, `watts` are the power at that time. Other columns are ignored. A last line without a line end is
still being written, and is left for the next read.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from harness.common.json_types import JsonObject, JsonValue
from harness.measurement.energy.counters.integration import at, integrate

KINDS = ("joules", "watts")

NumberedLines = Sequence[tuple[int, str]]
"""Lines with their numbers in the file."""


class MalformedRows(Exception):
    """Rows in another form than above; the message states the line and the reason."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Microjoules or microwatts (`kind`) by nanoseconds since the epoch, in the order of time."""

    kind: str
    points: tuple[tuple[int, float], ...]


def parse(text: str) -> Rows:
    """Return the rows of a text; MalformedRows for another form, no rows, or times that do not increase."""
    complete = text[: text.rfind("\n") + 1]
    lines = [(number, line) for number, line in enumerate(complete.splitlines(), 1) if line.strip()]
    if not lines:
        raise MalformedRows("it has no complete line")
    rows = _json(lines) if lines[0][1].lstrip().startswith("{") else _csv(lines)
    kind, points = "", []
    for number, row in rows:
        kind = kind or _kind(row, number)
        points.append((round(_number(row, "time", number) * 1e9), _number(row, kind, number) * 1e6))
        if len(points) > 1 and points[-1][0] <= points[-2][0]:
            raise MalformedRows(f"line {number}: its time is not after that of the previous row")
    if not points:
        raise MalformedRows("it has a heading, but no row")
    return Rows(kind, tuple(points))


def _csv(lines: NumberedLines) -> Iterator[tuple[int, Mapping[str, str]]]:
    heading = [name.strip().lower() for name in next(csv.reader([lines[0][1]]))]
    for number, line in lines[1:]:
        yield number, dict(zip(heading, next(csv.reader([line])), strict=False))


def _json(lines: NumberedLines) -> Iterator[tuple[int, JsonObject]]:
    for number, line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            raise MalformedRows(f"line {number}: not a JSON object") from None
        if not isinstance(row, dict):
            raise MalformedRows(f"line {number}: not a JSON object")
        yield number, row


def _kind(row: Mapping[str, JsonValue], number: int) -> str:
    kinds = [kind for kind in KINDS if kind in row]
    if len(kinds) != 1 or "time" not in row:
        raise MalformedRows(f"line {number}: it needs `time`, and either `joules` or `watts`")
    return kinds[0]


def _number(row: Mapping[str, JsonValue], name: str, number: int) -> float:
    try:
        value = float(row[name])
    except (KeyError, TypeError, ValueError):
        raise MalformedRows(f"line {number}: {name} must be a number") from None
    if not math.isfinite(value) or value < 0:
        raise MalformedRows(f"line {number}: {name} must be a finite number of 0 or more, got {value}")
    return value


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """The energy of a window, its uncertainty, and the number of rows that it is computed from."""

    microjoules: int
    resolution_uj: int
    samples: int


def measured(rows: Rows, begin_ns: int, end_ns: int) -> WindowEnergy | str:
    """Return the energy between two times since the epoch, or the reason why it is unknown.

    At each edge the instrument may be late by the interval of its rows, at the mean power; with two rows
    only, by the time between edge and row. Watts add the roughness of their integral.
    """
    points = rows.points
    if points[0][0] > begin_ns or points[-1][0] < end_ns:
        side = "before the window" if points[0][0] > begin_ns else "after the window"
        return f"there is no row {side}"
    if end_ns <= begin_ns:
        return "the window is empty"
    first = max(index for index, point in enumerate(points) if point[0] <= begin_ns)
    last = min(index for index, point in enumerate(points) if point[0] >= end_ns)
    used = points[first : last + 1]
    if rows.kind == "joules":
        if any(later < earlier for (_, earlier), (_, later) in pairwise(used)):
            return "the joules decreased"
        energy, rough = round(at(used, end_ns) - at(used, begin_ns)), 0
    else:
        inner = [point for point in used if begin_ns < point[0] < end_ns]
        edges = (begin_ns, at(used, begin_ns)), (end_ns, at(used, end_ns))
        integral = integrate((edges[0], *inner, edges[1]))
        energy, rough = integral.microjoules, integral.rough_uj
    if energy <= 0:
        return "the rows show no energy within the window"
    late_ns = pace_ns(used) if used[2:] else max(begin_ns - used[0][0], used[-1][0] - end_ns)
    return WindowEnergy(energy, math.ceil(2 * energy * late_ns / (end_ns - begin_ns)) + rough, len(used))


def pace_ns(points: tuple[tuple[int, float], ...]) -> int:
    """Return the median interval between two rows; 0 for a single row."""
    return (
        round(median(later - earlier for (earlier, _), (later, _) in pairwise(points))) if points[1:] else 0
    )


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
