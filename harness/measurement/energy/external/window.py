"""The part of an instrument's rows within a window: its energy, or why that is unknown.

    rows ... | begin ... rows ... end | ... rows --measured--> microjoules and their uncertainty

Between two rows the line is taken. Each edge may be late by as long as the instrument shows nothing new: the
largest gap between two rows that touches the window, or the time between rows that change, as an instrument
may repeat an old value, and a counter of 0.01 kWh steps every ten minutes at 60 W. A gap of several usual
ones is a hole in which anything may have happened.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from harness.measurement.energy.counters.integration import LATE, at, integrate
from harness.measurement.energy.external.rows import Rows

CEILING_WATTS = 1_000_000
"""A power that no instrument of one machine shows: a rack of 2025 draws 0.15 MW."""

Points = tuple[tuple[int, float], ...]
"""Nanoseconds since the epoch, and microjoules or microwatts."""


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """The energy of a window, its uncertainty, and the number of rows that it is computed from."""

    microjoules: int
    resolution_uj: int
    samples: int


def measured(rows: Rows, begin_ns: int, end_ns: int, behind_ns: int = 0) -> WindowEnergy | str:
    """Return the energy between two times since the epoch, or the reason why it is unknown.

    `behind_ns` is by how much the last row was older than the end of the window when the window ended: either
    the instrument writes late, or its clock is slow, and which of the two is unknown. Two rows alone, one
    before the window and one after it, are late by the time between edge and row. Watts add the roughness of
    their integral.
    """
    points = rows.points
    if points[0][0] > begin_ns or points[-1][0] < end_ns:
        side = "before the window" if points[0][0] > begin_ns else "after the window"
        return f"there is no row {side}"
    if end_ns <= begin_ns:
        return "the window is empty"
    used = _around(points, begin_ns, end_ns)
    energy, rough = _energy(rows.kind, used, begin_ns, end_ns)
    late_ns = max(behind_ns, _late_ns(rows, used, begin_ns, end_ns))
    if objection := _objection(rows, used, energy, late_ns, end_ns - begin_ns):
        return objection
    edges_uj = math.ceil(2 * energy * late_ns / (end_ns - begin_ns))
    return WindowEnergy(energy, edges_uj + rough, len(used))


def nearest(rows: Rows, begin_ns: int, end_ns: int) -> Rows:
    """Return the last row before a window and the first after it: all that a counter's energy needs."""
    used = _around(rows.points, begin_ns, end_ns)
    return Rows(rows.kind, (used[0], used[-1]) if used[1:] else rows.points)


def pace_ns(points: Points) -> int:
    """Return the median interval between two rows; 0 for a single row."""
    return (
        round(median(later - earlier for (earlier, _), (later, _) in pairwise(points))) if points[1:] else 0
    )


def news_ns(rows: Rows) -> int:
    """Return the median time between rows that change, or between all rows if fewer than three change."""
    changed = _changed(rows.points)
    return max(pace_ns(rows.points), pace_ns(changed) if changed[2:] else 0)


def _around(points: Points, begin_ns: int, end_ns: int) -> Points:
    """Return the rows within a window, with one on either side of it where there is one."""
    first = max((index for index, point in enumerate(points) if point[0] <= begin_ns), default=0)
    last = min((index for index, point in enumerate(points) if point[0] >= end_ns), default=len(points))
    return points[first : last + 1]


def _energy(kind: str, used: Points, begin_ns: int, end_ns: int) -> tuple[int, int]:
    """Return the energy and the roughness of its integral in microjoules."""
    if kind == "joules":
        return round(at(used, end_ns) - at(used, begin_ns)), 0
    inner = [point for point in used if begin_ns < point[0] < end_ns]
    integral = integrate(((begin_ns, at(used, begin_ns)), *inner, (end_ns, at(used, end_ns))))
    return integral.microjoules, integral.rough_uj


def _late_ns(rows: Rows, used: Points, begin_ns: int, end_ns: int) -> int:
    """Return by how much each edge may be late."""
    if not rows.points[2:]:
        return max(begin_ns - used[0][0], used[-1][0] - end_ns)
    if rows.kind == "watts":
        return max(_longest_gap_ns(used), news_ns(Rows(rows.kind, used)))
    changed = (rows.points[0], *_changed(rows.points), rows.points[-1])
    edges = [_around(part, edge, edge) for part in (used, changed) for edge in (begin_ns, end_ns)]
    return max(news_ns(rows), *map(_longest_gap_ns, edges))


def _objection(rows: Rows, used: Points, energy: int, late_ns: int, span_ns: int) -> str | None:
    """Return why the rows do not tell the energy of a window, or None."""
    if rows.kind == "joules" and any(later < earlier for (_, earlier), (_, later) in pairwise(used)):
        return "the joules decreased"
    if energy <= 0:
        return "the rows show no energy within the window"
    usual_ns = pace_ns(rows.points)
    # joules count through a hole: only one at an edge matters
    touching = (used[:2], used[-2:]) if rows.kind == "joules" else (used,)
    hole_ns = max(map(_longest_gap_ns, touching))
    if hole_ns > LATE * usual_ns:
        return f"the rows have a hole of {hole_ns / 1e9:.3g} s, and one comes every {usual_ns / 1e9:.3g} s"
    if rows.kind == "joules" and rows.points[2:] and late_ns > span_ns:
        return (
            f"the joules change every {late_ns / 1e9:.3g} s, and the window lasts {span_ns / 1e9:.3g} s: "
            "it must be longer"
        )
    watts = _highest_watts(rows.kind, used)
    return f"the rows show {watts:,.0f} W, which is not possible" if watts > CEILING_WATTS else None


def _highest_watts(kind: str, used: Points) -> float:
    if kind == "watts":
        return max(microwatts for _, microwatts in used) / 1e6
    # uJ over ns is kW
    return max(1000 * (later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairwise(used))


def _longest_gap_ns(points: Points) -> int:
    return max((later - earlier for (earlier, _), (later, _) in pairwise(points)), default=0)


def _changed(points: Points) -> Points:
    """Return the rows whose value differs from that of the row before."""
    return tuple(later for earlier, later in pairwise(points) if later[1] != earlier[1])
