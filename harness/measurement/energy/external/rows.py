"""What an instrument of the user's own wrote: rows of time with joules or watts.

    time,watts              {"time": 1767268800.0, "watts": 41.5}
    1767268800.0,41.5       {"time": 1767268801.0, "watts": 43.0}

Comma-separated with a heading, or one JSON object a line. `time` is in seconds since the epoch; `joules` only
ever rise, `watts` are of that moment. Further columns are ignored. A last line without its end is still being
written, and is left for the next time.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from harness.measurement.energy.counters.integration import at, integrate

KINDS = ("joules", "watts")


class MalformedRows(Exception):
    """Rows that are not of the form above; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What was written: microjoules or microwatts (`kind`) by nanoseconds since the epoch, rising in time."""

    kind: str
    points: tuple[tuple[int, float], ...]


def parse(text: str) -> Rows:
    """Return the rows of a text; Unreadable for another form, no row, or times that do not rise."""
    whole = text[: text.rfind("\n") + 1]
    lines = [(number, line) for number, line in enumerate(whole.splitlines(), 1) if line.strip()]
    if not lines:
        raise MalformedRows("it holds no whole line")
    rows = _json(lines) if lines[0][1].lstrip().startswith("{") else _csv(lines)
    kind, points = "", []
    for number, row in rows:
        kind = kind or _kind(row, number)
        points.append((round(_number(row, "time", number) * 1e9), _number(row, kind, number) * 1e6))
        if len(points) > 1 and points[-1][0] <= points[-2][0]:
            raise MalformedRows(f"line {number}: its time is not after that of the row before")
    if not points:
        raise MalformedRows("it has a heading and no row")
    return Rows(kind, tuple(points))


def _csv(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    heading = [name.strip().lower() for name in next(csv.reader([lines[0][1]]))]
    for number, line in lines[1:]:
        yield number, dict(zip(heading, next(csv.reader([line])), strict=False))


def _json(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            raise MalformedRows(f"line {number}: it is no JSON object") from None
        if not isinstance(row, dict):
            raise MalformedRows(f"line {number}: it is no JSON object")
        yield number, row


def _kind(row: Mapping[str, Any], number: int) -> str:
    found = [kind for kind in KINDS if kind in row]
    if len(found) != 1 or "time" not in row:
        raise MalformedRows(f"line {number}: it needs `time`, and either `joules` or `watts`")
    return found[0]


def _number(row: Mapping[str, Any], name: str, number: int) -> float:
    try:
        value = float(row[name])
    except (KeyError, TypeError, ValueError):
        raise MalformedRows(f"line {number}: its {name} is no number") from None
    if not math.isfinite(value) or value < 0:
        raise MalformedRows(f"line {number}: its {name} is not a finite number of 0 or more")
    return value


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """What rows say of a window: energy, its uncertainty, and how many rows it rests on."""

    microjoules: int
    resolution_uj: int
    samples: int


def measured(rows: Rows, begin_ns: int, end_ns: int) -> WindowEnergy | str:
    """Return the energy between two times since the epoch, or why the rows do not tell it.

    At each edge the instrument may be late by one row at the mean power; where there are but two rows, by
    what lies between edge and row. Watts add the roughness of their own line.
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
            return "the joules stepped back"
        energy, rough = round(at(used, end_ns) - at(used, begin_ns)), 0
    else:
        inner = [point for point in used if begin_ns < point[0] < end_ns]
        edges = (begin_ns, at(used, begin_ns)), (end_ns, at(used, end_ns))
        whole = integrate((edges[0], *inner, edges[1]))
        energy, rough = whole.microjoules, whole.rough_uj
    if energy <= 0:
        return "the rows show no energy within the window"
    late_ns = pace_ns(used) if used[2:] else max(begin_ns - used[0][0], used[-1][0] - end_ns)
    return WindowEnergy(energy, math.ceil(2 * energy * late_ns / (end_ns - begin_ns)) + rough, len(used))


def pace_ns(points: tuple[tuple[int, float], ...]) -> int:
    """Return the usual time between two rows; 0 for a single one."""
    return (
        round(median(later - earlier for (earlier, _), (later, _) in pairwise(points))) if points[1:] else 0
    )


def joined(rows: list[Rows | str]) -> Rows | str:
    """Return what a command printed in several goes as one; the edges must have succeeded."""
    for edge in (rows[0], rows[-1]):
        if isinstance(edge, str):
            return edge
    good = [each for each in rows if isinstance(each, Rows)]
    if len({each.kind for each in good}) > 1:
        return "it showed joules once and watts at another time"
    points = {when: value for each in good for when, value in each.points}
    return Rows(good[0].kind, tuple(sorted(points.items())))
