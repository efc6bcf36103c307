"""When enough is measured: rounds are added until every interval is as narrow as requested, or time is up.

profile's rounds -> widest interval --wide--> more rounds -> ... --narrow, out of time, or too many--> stop

The rule reads the width of the intervals alone, never on which side of 1 they lie: so it stops a run of two
equal systems no sooner where they seem to differ. What it does to false alarms is in
docs/explanation/method.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.statistics.estimates import MINIMUM_ROUNDS, mean_over_rounds
from harness.analysis.statistics.ratios import BASELINE
from harness.records.cell import Cell
from harness.records.journal import rounds_of
from harness.records.journal_entries import JournalEntry, RoundEntry, StopCause, VisitEntry

STEP = 4
"""Rounds that are added before the next check, which costs milliseconds and stops no worker."""

MOST = 10
"""Times the profile's rounds: an interval that is still too wide then will hardly become narrow."""


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """The requested half-width, as a share of the ratio, and the seconds that measuring may take."""

    half_width: float
    budget_s: float | None
    most_rounds: int


def why_stop(rule: StoppingRule, entries: Sequence[JournalEntry], cells: Sequence[Cell]) -> StopCause | None:
    """Return why no round is to be added, as a record keeps it, or None if more are."""
    if len(cells) == 1:
        return "nothing to compare"
    rounds = rounds_of(entries, cells[0].group)
    widest = widest_half_width(rounds, cells)
    if widest is not None and widest <= rule.half_width:
        return "precision"
    spent_s = sum(entry.elapsed_ns for entry in rounds) / 1e9
    if rule.budget_s is not None and spent_s >= rule.budget_s:
        return "time budget"
    return "rounds" if len(rounds) >= rule.most_rounds else None


def widest_half_width(rounds: Sequence[RoundEntry], cells: Sequence[Cell]) -> float | None:
    """Return the widest relative half-width of the speed-ups over the group's reference.

    The reference is the baseline where it is measured, and else the first cell: a ladder's first rung. None
    where an interval is missing, for there are too few rounds.
    """
    reference = next((cell for cell in cells if cell.variant == BASELINE), cells[0])
    widths: list[float] = []
    for cell in cells:
        if cell.id != reference.id:
            width = _half_width(rounds, cell.id, reference.id)
            if width is None:
                return None
            widths.append(width)
    return max(widths, default=None)


def _half_width(rounds: Sequence[RoundEntry], cell: str, reference: str) -> float | None:
    paired = [entry for entry in rounds if cell in entry.visits and reference in entry.visits]
    if len(paired) < MINIMUM_ROUNDS:
        return None
    ratios = [_request_ns(entry.visits[reference]) / _request_ns(entry.visits[cell]) for entry in paired]
    estimate = mean_over_rounds(ratios, [entry.launch for entry in paired])
    return (estimate.high - estimate.low) / 2 / estimate.value


def _request_ns(visit: VisitEntry) -> float:
    return visit.wall_ns / visit.requests
