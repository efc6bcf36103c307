"""The columns of a ladder's tables, each with the function that makes a rung's cell.

`{}` in a heading stands for the unit, which suits the values of the whole column.
"""

import math
from collections.abc import Callable, Sequence

from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import (
    absent_cell,
    column,
    common_grade,
    estimate_column,
    ratio_cell,
    share_cell,
)
from reports.layout.number_format import COUNTS, Unit, decimals, fixed, shown, with_interval
from reports.layout.table_model import Column, ColumnMaker, Notes, TableCell
from reports.values.figures import Absent
from reports.values.ladder_model import Gain, LadderReport, PaperFigures, RungFigures
from reports.values.preparation import BreakEven, Joules

RungColumn = ColumnMaker[RungFigures]

PAIRED = "paired by example"


def name() -> RungColumn:
    """Return the column of names, each with the status of its record unless that is `complete`."""

    def make_cell(rung: RungFigures, notes: Notes) -> TableCell:
        del notes
        status = "" if rung.status in ("complete", "missing") else f" ({rung.status})"
        return TableCell(f"{rung.definition.name}{status}")

    return Column("rung", "left", "name"), make_cell


def text(
    heading: str, read: Callable[[RungFigures], str | Unavailable], *, folds: bool = False
) -> RungColumn:
    """Return a column of text, which takes several lines where it `folds`."""
    return column(heading, read, lambda value, _, __: TableCell(value), align="left", folds=folds)


def estimates(
    ladder: LadderReport,
    heading: str,
    read: Callable[[RungFigures], Estimate | Unavailable],
    units: Sequence[Unit] = COUNTS,
) -> RungColumn:
    """Return a column of estimates with their intervals."""
    return estimate_column(heading, read, map(read, ladder.rungs), units)


def gains(step: str, cumulative: str, read: Callable[[RungFigures], Gain]) -> tuple[RungColumn, RungColumn]:
    """Return the columns of a ratio over the rung that each builds on, and over the first."""
    return (
        column(step, lambda rung: read(rung).step, _gain_cell),
        column(cumulative, lambda rung: read(rung).cumulative, _gain_cell),
    )


def _gain_cell(ratio: Ratio, rung: RungFigures, notes: Notes) -> TableCell:
    if ratio.over == rung.definition.name:
        return TableCell("1 (baseline)", value=1.0)
    return ratio_cell(ratio, notes)


def quality_change(ladder: LadderReport) -> RungColumn:
    """Return the column of changes of quality in points; a note marks those not paired by example."""

    def show(change: QualityChange, rung: RungFigures, notes: Notes) -> TableCell:
        if rung is ladder.rungs[0]:
            return TableCell("0 (baseline)", value=0.0)
        points = change.points
        value, interval = with_interval(points.value, points.low, points.high)
        sign = "+" if points.value > 0 and value.strip("0.,") else ""
        note = None if change.note == PAIRED else notes.number(f"{change.note.rstrip('. ')}.")
        return TableCell(f"{sign}{value}", interval, note, points.value)

    return column("change, points", lambda rung: rung.quality_change, show)


def kept_gain(ladder: LadderReport) -> RungColumn:
    """Return the column of the share that a rung keeps of the first rung's gain over a constant answer."""

    def show(share: Estimate, rung: RungFigures, notes: Notes) -> TableCell:
        del notes
        return TableCell("100 % (baseline)", value=1.0) if rung is ladder.rungs[0] else share_cell(share)

    return column("kept of the gain", lambda rung: rung.kept_gain, show)


def preparation_seconds() -> RungColumn:
    """Return the column of preparation time."""
    return column(
        "preparation, s",
        lambda rung: rung.preparation.seconds,
        lambda seconds, _, __: TableCell(shown(seconds), value=seconds),
    )


def preparation_joules(ladder: LadderReport) -> RungColumn:
    """Return the column of preparation energy, with the grade in the heading or in each cell's note."""
    energies = [rung.preparation.energy for rung in ladder.rungs]
    grade = common_grade(energy.grade for energy in energies if isinstance(energy, Joules) and energy.kind)

    def show(joules: Joules, rung: RungFigures, notes: Notes) -> TableCell:
        del rung
        note = None if grade or not joules.kind else notes.number(joules.grade)
        return TableCell(shown(joules.value), note=note, value=joules.value)

    return column(f"preparation, J{grade}", lambda rung: rung.preparation.energy, show)


def break_even(
    ladder: LadderReport, heading: str, read: Callable[[RungFigures], BreakEven | Absent]
) -> RungColumn:
    """Return a column of the requests after which preparation has paid for itself."""
    heading_column, make_absent_or_value = column(heading, read, _break_even_cell)

    def make_cell(rung: RungFigures, notes: Notes) -> TableCell:
        if rung is ladder.rungs[0] and rung.status != "failed":
            return TableCell("(baseline)")
        return make_absent_or_value(rung, notes)

    return heading_column, make_cell


def _break_even_cell(break_even: BreakEven, rung: RungFigures, notes: Notes) -> TableCell:
    del rung, notes
    requests = break_even.requests
    if requests is None:
        return TableCell("never", value=math.inf)
    return TableCell(fixed(requests, min(0, decimals(requests))), value=requests)


def paper(ladder: LadderReport, heading: str, read: Callable[[PaperFigures], str | None]) -> list[RungColumn]:
    """Return the column of the paper's own figures as printed; none where no rung has such a figure."""
    references = [rung.definition.reference for rung in ladder.rungs]
    if not any(reference and read(reference) for reference in references):
        return []

    def make_cell(rung: RungFigures, notes: Notes) -> TableCell:
        reference = rung.definition.reference
        figure = read(reference) if reference else None
        if not figure:
            return absent_cell(Unavailable("the paper has no such rung"), notes)
        return TableCell(figure)

    return [(Column(heading, "right", "speed"), make_cell)]
