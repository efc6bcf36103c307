"""The speed-up and energy-reduction table: one per run and group of records.

records --groups--> figures --columns--> cells and notes --> Table
"""

from collections.abc import Sequence

from harness.compare import TOLERANCE
from harness.estimate import Energy, Estimate
from harness.record import Record
from reports.cells import DoubtLine, Notes, Table
from reports.columns import columns
from reports.facts import facts_of, title_of
from reports.figures import Figures, figures, groups


def speed_table(records: Sequence[Record]) -> list[Table]:
    """Return one table per run and group: quality, speed-up, energy reduction, and what they are made of."""
    return [_table(figures(group)) for group in groups(records)]


def _table(group: Sequence[Figures]) -> Table:
    notes = Notes()
    makers = columns(group)
    rows = tuple(tuple(make(item, notes) for _, make in makers) for item in group)
    return Table(
        title=title_of(group[0].record),
        columns=tuple(column for column, _ in makers),
        rows=rows,
        notes=tuple(notes.texts),
        remarks=_remarks(group),
        doubts=merged_doubts(group),
        facts=facts_of(group),
    )


def merged_doubts(group: Sequence[Figures]) -> tuple[DoubtLine, ...]:
    """Return the doubts of all records by code, in order of first appearance."""
    found = [doubt for item in group for doubt in item.doubts]
    return tuple(
        DoubtLine(
            code,
            tuple(dict.fromkeys(doubt.sentence for doubt in found if doubt.code == code)),
            tuple(dict.fromkeys(doubt.next_step for doubt in found if doubt.code == code)),
        )
        for code in dict.fromkeys(doubt.code for doubt in found)
    )


def _remarks(group: Sequence[Figures]) -> tuple[str, ...]:
    """Say how to read the columns."""
    timed = [item.time.method for item in group if isinstance(item.time, Estimate)]
    grades = {item.energy.grade for item in group if isinstance(item.energy, Energy)}
    lines = ["[low, high] is the 95 % interval; n/a says why in its note."]
    if timed:
        over = timed[0].partition(", ")[2]
        lines.append(
            f"Speed-up and energy reduction: the reference's time or energy over the variant's, median of "
            f"paired rounds, {over}; differences within {100 * TOLERANCE:.0f} % count as none."
        )
    if "modelled" in grades:
        lines.append("Joules are modelled: CPU time in other units.")
    return tuple(lines)
