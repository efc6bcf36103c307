"""The columns of a ladder's tables: for each a heading, and how its cell is made from a rung's figures.

`{}` in a heading stands for the unit, which is chosen from the values of the whole column.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import absent_cell, estimate_cell, ratio_cell, share_cell
from reports.layout.number_format import (
    COUNTS,
    ENERGIES,
    MEMORIES,
    Unit,
    decimals,
    fixed,
    shown,
    unit_for,
    with_interval,
)
from reports.layout.table_model import Column, Notes, TableCell
from reports.values.figures import Absent
from reports.values.ladder_model import Gain, LadderReport, PaperFigures, RungFigures
from reports.values.preparation import BreakEven, Joules

MakeCell = Callable[[RungFigures, Notes], TableCell]
Maker = tuple[Column, MakeCell]

PAIRED = "paired by example"
_NOT_THE_PAPERS = Unavailable("the paper has no such rung")


def name() -> Maker:
    """Return the column of names, which says what did not end well."""

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        del notes
        status = "" if rung.status in ("complete", "missing") else f" ({rung.status})"
        return TableCell(f"{rung.words.name}{status}")

    return Column("rung", "left", "name"), make


def words(heading: str, read: Callable[[RungFigures], str | Unavailable], *, folds: bool = False) -> Maker:
    """Return a column of words, which may take several lines where it `folds`."""

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = read(rung)
        return TableCell(found) if isinstance(found, str) else absent(found, rung, notes)

    return Column(heading, "left", "speed", folds), make


def estimates(
    ladder: LadderReport,
    heading: str,
    read: Callable[[RungFigures], Estimate | Unavailable],
    units: Sequence[Unit] = COUNTS,
) -> Maker:
    """Return a column of estimates with their intervals."""
    unit = unit_of(ladder, read, units)

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = read(rung)
        return (
            absent(found, rung, notes)
            if isinstance(found, Unavailable)
            else estimate_cell(found, unit, units)
        )

    return Column(heading.format(unit.name), "right", "speed"), make


def unit_of(
    ladder: LadderReport, read: Callable[[RungFigures], Estimate | Unavailable], units: Sequence[Unit]
) -> Unit:
    """Return the unit of a column of estimates."""
    found = map(read, ladder.rungs)
    return unit_for([each.value for each in found if isinstance(each, Estimate)], units)


def gain(heading: str, read: Callable[[RungFigures], Ratio | Absent]) -> Maker:
    """Return a column of ratios; the first rung is what all are counted from."""

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = read(rung)
        if not isinstance(found, Ratio):
            return absent(found, rung, notes)
        first = found.over == rung.words.name
        return TableCell("1 (baseline)", value=1.0) if first else ratio_cell(found, notes)

    return Column(heading, "right", "speed"), make


def energy(ladder: LadderReport) -> Maker:
    """Return the column of energy per request; its heading says the grade, or each cell's note does."""
    found = [rung.energy for rung in ladder.rungs]
    known = [each for each in found if isinstance(each, EnergyEstimate)]
    unit = unit_for([each.microjoules.value for each in known], ENERGIES)
    graded = _grade([each.grade for each in known])

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        if isinstance(rung.energy, Unavailable):
            return absent(rung.energy, rung, notes)
        cell = estimate_cell(rung.energy.microjoules, unit, ENERGIES)
        return cell if graded else replace(cell, note=notes.number(rung.energy.grade))

    return Column(f"{unit.name}/request{graded}", "right", "speed"), make


def quality(heading: str) -> Maker:
    """Return the column of the primary metric."""

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = rung.quality
        return share_cell(found) if isinstance(found, Estimate) else absent(found, rung, notes)

    return Column(heading, "right", "speed"), make


def quality_change(ladder: LadderReport) -> Maker:
    """Return the column of changes of quality in points; what is not paired by example says so."""
    first = ladder.rungs[0]

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = rung.quality_change
        if not isinstance(found, QualityChange):
            return absent(found, rung, notes)
        if rung is first:
            return TableCell("0 (baseline)", value=0.0)
        points = found.points
        value, interval = with_interval(points.value, points.low, points.high)
        sign = "+" if points.value > 0 and value.strip("0.,") else ""
        note = None if found.note == PAIRED else notes.number(f"{found.note.rstrip('. ')}.")
        return TableCell(f"{sign}{value}", interval, note, points.value)

    return Column("change, points", "right", "speed"), make


def kept_gain(ladder: LadderReport) -> Maker:
    """Return the column of the share that is kept of the first rung's gain over a constant answer."""
    first = ladder.rungs[0]

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = rung.kept_gain
        if not isinstance(found, Estimate):
            return absent(found, rung, notes)
        return TableCell("100 % (baseline)", value=1.0) if rung is first else share_cell(found)

    return Column("kept of the gain", "right", "speed"), make


def size(ladder: LadderReport, heading: str, read: Callable[[RungFigures], int | Unavailable]) -> Maker:
    """Return a column of bytes."""
    known = [found for rung in ladder.rungs if isinstance(found := read(rung), int)]
    unit = unit_for(known, MEMORIES[1:])

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = read(rung)
        if isinstance(found, Unavailable):
            return absent(found, rung, notes)
        return TableCell(shown(found / unit.size), value=found)

    return Column(heading.format(unit.name), "right", "speed"), make


def seconds() -> Maker:
    """Return the column of preparation time."""

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = rung.spent.seconds
        if isinstance(found, Unavailable):
            return absent(found, rung, notes)
        return TableCell(shown(found), value=found)

    return Column("preparation, s", "right", "speed"), make


def joules(ladder: LadderReport) -> Maker:
    """Return the column of preparation energy; its heading says the grade, or each cell's note does."""
    found = [rung.spent.energy for rung in ladder.rungs]
    graded = _grade([each.grade for each in found if isinstance(each, Joules) and each.kind])

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        spent = rung.spent.energy
        if isinstance(spent, Unavailable):
            return absent(spent, rung, notes)
        note = None if graded or not spent.kind else notes.number(spent.grade)
        return TableCell(shown(spent.value), note=note, value=spent.value)

    return Column(f"preparation, J{graded}", "right", "speed"), make


def pays(ladder: LadderReport, heading: str, read: Callable[[RungFigures], BreakEven | Absent]) -> Maker:
    """Return a column of the requests after which preparation has paid for itself."""
    first = ladder.rungs[0]

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        found = read(rung)
        if rung is first and rung.status != "failed":
            return TableCell("(baseline)")
        if not isinstance(found, BreakEven):
            return absent(found, rung, notes)
        requests = found.requests
        if requests is None:
            return TableCell("never", value=math.inf)
        return TableCell(fixed(requests, min(0, decimals(requests))), value=requests)

    return Column(heading, "right", "speed"), make


def papers(ladder: LadderReport, heading: str, read: Callable[[PaperFigures], str | None]) -> list[Maker]:
    """Return the column of the paper's own figures as printed there; none where the ladder has none."""
    rows = [rung.words.reference for rung in ladder.rungs]
    if not any(row and read(row) for row in rows):
        return []

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        row = rung.words.reference
        found = read(row) if row else None
        return TableCell(found) if found else absent_cell(_NOT_THE_PAPERS, notes)

    return [(Column(heading, "right", "speed"), make)]


def absent(found: Absent, rung: RungFigures, notes: Notes) -> TableCell:
    """Show what is absent, as failed where the rung is."""
    return absent_cell(found, notes, failed=rung.status == "failed")


def gains(step: str, cumulative: str, read: Callable[[RungFigures], Gain]) -> tuple[Maker, Maker]:
    """Return the columns of a ratio over the rung built on, and over the first."""
    return gain(step, lambda rung: read(rung).step), gain(cumulative, lambda rung: read(rung).cumulative)


def _grade(grades: Sequence[str]) -> str:
    """Return what a heading says of energies that are all of one grade."""
    return f", {grades[0]}" if len(set(grades)) == 1 else ""
