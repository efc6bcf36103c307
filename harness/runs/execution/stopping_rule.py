"""When enough is measured: rounds are added until every interval is as narrow as was asked, or time is up.

profile's rounds -> widest interval --wide--> more rounds -> ... --narrow, out of time, or too many--> stop

The rule looks at the width of the intervals alone, never at which side of 1 they lie on: so it stops a run
of two equal systems no sooner where they seem to differ. What it does to false alarms is in docs/method.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.statistics.estimates import MINIMUM_ROUNDS, median_over_rounds
from harness.analysis.statistics.ratios import BASELINE
from harness.records.cell import Cell
from harness.records.journal import JournalEntry

STEP = 4
"""Rounds that are added before looking again; looking costs milliseconds, and stops no worker."""

MOST = 10
"""Times the profile's rounds: an interval that is still too wide then will hardly become narrow."""


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """The half-width that is asked for, as a share of the ratio, and the seconds that measuring may take."""

    half_width: float
    budget_s: float | None
    most_rounds: int


def why_stop(rule: StoppingRule, entries: Sequence[JournalEntry], cells: Sequence[Cell]) -> str | None:
    """Return why no round is to be added, as a record keeps it, or None if more are."""
    if len(cells) == 1:
        return "nothing to compare"
    turns = [entry for entry in entries if entry["kind"] == "round" and entry["group"] == cells[0].group]
    widest = widest_half_width(turns, cells)
    if widest is not None and widest <= rule.half_width:
        return "precision"
    spent_s = sum(turn.get("elapsed_ns", 0) for turn in turns) / 1e9
    if rule.budget_s is not None and spent_s >= rule.budget_s:
        return "time budget"
    return "rounds" if len(turns) >= rule.most_rounds else None


def widest_half_width(turns: Sequence[JournalEntry], cells: Sequence[Cell]) -> float | None:
    """Return the widest relative half-width of the speed-ups over the group's reference; None of few rounds.

    The reference is the baseline where it is measured, and else the first cell: a ladder's first rung.
    """
    reference = next((cell for cell in cells if cell.variant == BASELINE), cells[0])
    found = [_half_width(turns, cell.id, reference.id) for cell in cells if cell.id != reference.id]
    known = [each for each in found if each is not None]
    return max(known) if found and len(known) == len(found) else None


def _half_width(turns: Sequence[JournalEntry], own: str, other: str) -> float | None:
    both = [turn for turn in turns if own in turn["visits"] and other in turn["visits"]]
    if len(both) < MINIMUM_ROUNDS:
        return None
    ratios = [_time(turn["visits"][other]) / _time(turn["visits"][own]) for turn in both]
    found = median_over_rounds(ratios, [turn["launch"] for turn in both])
    return (found.high - found.low) / 2 / found.value


def _time(visit: Mapping[str, Any]) -> float:
    return float(visit["wall_ns"] / visit["requests"])
