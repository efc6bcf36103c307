"""Builds the cells and columns that tables share: estimates, ratios and absent values look alike everywhere.

figures of a row --column--> Column, cell --build_table--> Table
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from harness.analysis.energy.modelled_range import modelled_range
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.multiple_testing import note_on
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.ratios import BASELINE, Ratio
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import CPU_TIME, model_of
from reports.layout.number_format import (
    ENERGIES,
    MEMORIES,
    Unit,
    decimals,
    shown,
    unit_for,
    with_interval,
    without_unit,
)
from reports.layout.table_model import Align, Column, ColumnMaker, Notes, Part, TableCell
from reports.values.figures import Absent, Figures

_FAR_BELOW = 1000.0

MODELLED = f"Joules are modelled: {CPU_TIME}."

NOT_MEASURED = "Joules are modelled, not measured."
"""The remark where the source of the joules is not known."""


class TableRow(Protocol):
    """What a row shows: `status` is that of its record."""

    @property
    def status(self) -> str:
        """The status of the record."""


Row = TypeVar("Row", bound=TableRow)
Value = TypeVar("Value")


def column(
    heading: str,
    read: Callable[[Row], Value | Absent],
    show: Callable[[Value, Row, Notes], TableCell],
    *,
    align: Align = "right",
    part: Part = "speed",
    folds: bool = False,
    unitless: str = "",
) -> ColumnMaker[Row]:
    """Return a column that shows a value of each row, or a note that says why the value is absent."""

    def make_cell(row: Row, notes: Notes) -> TableCell:
        value = read(row)
        if isinstance(value, Unavailable | NotComparable):
            return absent_cell(value, notes, failed=row.status == "failed")
        return show(value, row, notes)

    return Column(heading, align, part, folds, unitless), make_cell


def estimate_column(
    heading: str,
    read: Callable[[Row], Estimate | Absent],
    values: Iterable[object],
    units: Sequence[Unit],
    part: Part = "speed",
) -> ColumnMaker[Row]:
    """Return a column of estimates in the unit that suits `values`; `{}` in the heading stands for it."""
    unit = unit_for([value.value for value in values if isinstance(value, Estimate)], units)
    return column(
        heading.format(unit.name),
        read,
        lambda value, _, __: estimate_cell(value, unit, units),
        part=part,
        unitless=without_unit(heading, units),
    )


def share_column(heading: str, read: Callable[[Row], Estimate | Absent]) -> ColumnMaker[Row]:
    """Return a column of shares, in percent."""
    return column(heading, read, lambda value, _, __: share_cell(value))


def memory_column(
    heading: str, read: Callable[[Row], int | Absent], rows: Sequence[Row], part: Part = "speed"
) -> ColumnMaker[Row]:
    """Return a column of bytes; `{}` in the heading stands for the unit."""
    unit = unit_for([value for row in rows if isinstance(value := read(row), int)], MEMORIES[1:])
    return column(
        heading.format(unit.name),
        read,
        lambda value, _, __: TableCell(shown(value / unit.size), value=value),
        part=part,
        unitless=without_unit(heading, MEMORIES),
    )


def energy_column(
    heading: str,
    read: Callable[[Row], EnergyEstimate | Absent],
    energies: Iterable[object],
    part: Part = "speed",
) -> ColumnMaker[Row]:
    """Return a column of energies in the unit that suits `energies`; `{}` in the heading stands for it.

    The heading ends with the grade if all energies share it; else the note of each cell gives it.
    """
    available = [energy for energy in energies if isinstance(energy, EnergyEstimate)]
    unit = unit_for([energy.microjoules.value for energy in available], ENERGIES)
    grade = common_grade(energy.grade for energy in available)

    def show(energy: EnergyEstimate, row: Row, notes: Notes) -> TableCell:
        del row
        cell = estimate_cell(energy.microjoules, unit, ENERGIES)
        return cell if grade else replace(cell, note=notes.number(energy.grade))

    named, bare = heading.format(unit.name), without_unit(heading, ENERGIES)
    return column(f"{named}{grade}", read, show, part=part, unitless=f"{bare}{grade}")


def reference_column(
    heading: str, read: Callable[[Figures], Ratio | Absent], over: str, part: Part = "speed"
) -> ColumnMaker[Figures]:
    """Return a column of ratios over a reference variant; the reference's own row shows `1`."""

    def show(ratio: Ratio, figures: Figures, notes: Notes) -> TableCell:
        if figures.record.cell.variant == over:
            return TableCell("1 (baseline)" if over == BASELINE else "1 (itself)", value=1.0)
        return ratio_cell(ratio, notes)

    return column(heading, read, show, part=part)


def variant_column() -> ColumnMaker[Figures]:
    """Return the column of variants, each with the status of its record unless that is `complete`."""

    def make_cell(figures: Figures, notes: Notes) -> TableCell:
        del notes
        status = "" if figures.status == "complete" else f" ({figures.status})"
        return TableCell(f"{figures.record.cell.variant}{status}")

    return Column("variant", "left", "name"), make_cell


def absent_cell(absent: Absent, notes: Notes, *, failed: bool = False) -> TableCell:
    """Return `n/a` with the reason as a note, or `failed` where the whole cell failed."""
    because = "" if failed else "because "
    note = notes.number(f"{because}{absent.reason.rstrip('. ')}.")
    return TableCell("failed" if failed else "n/a", note=note)


def estimate_cell(estimate: Estimate, unit: Unit, units: Sequence[Unit]) -> TableCell:
    """Return an estimate in the column's unit; a value far below it gets a smaller unit beside the number."""
    own = unit if estimate.value * _FAR_BELOW >= unit.size else unit_for([estimate.value], units)
    value, interval = with_interval(*_scaled(estimate, own.size))
    return TableCell(value if own == unit else f"{value} {own.name}", interval, value=estimate.value)


def difference_cell(difference: Estimate, minuend: Estimate, unit: Unit) -> TableCell:
    """Return a difference with at most the decimals of the minuend: finer digits are rounding errors."""
    finest = decimals(*_scaled(minuend, unit.size))
    value, interval = with_interval(*_scaled(difference, unit.size), finest=finest)
    return TableCell(value, interval, value=difference.value)


def share_cell(share: Estimate) -> TableCell:
    """Return a share between 0 and 1 in percent."""
    value, interval = with_interval(100 * share.value, 100 * share.low, 100 * share.high)
    return TableCell(f"{value} %", interval, value=share.value)


def ratio_cell(ratio: Ratio, notes: Notes) -> TableCell:
    """Return a ratio; a note says why it has no verdict, or that it is not that of totals."""
    value, interval = with_interval(ratio.value, ratio.low, ratio.high)
    note = note_on(ratio)
    return TableCell(f"{value}x", interval, notes.number(note) if note else None, ratio.value)


def model_remark(sources: Iterable[str]) -> str:
    """Return the remark on modelled joules of these sources; without a source, they are of CPU time."""
    other = sorted({source for source in sources if model_of(source) == source})
    return f"Joules are modelled: {'; '.join(other)}." if other else MODELLED


def energy_model(energies: Iterable[object]) -> str:
    """Return the remark on modelled joules; it names models that are not CPU time times a constant."""
    available = (energy for energy in energies if isinstance(energy, EnergyEstimate))
    return model_remark(energy.source for energy in available if energy.grade == "modelled")


def model_remarks(group: Sequence[Figures]) -> list[str]:
    """Return what modelled joules are, and how far they may lie from the truth where that is known."""
    energies = [figures.energy for figures in group]
    if "modelled" not in grades_of(energies):
        return []
    ranges = [limits for figures in group if (limits := modelled_range(figures.record))]
    if not ranges:
        return [energy_model(energies)]
    low, high = min(limits.low for limits in ranges), max(limits.high for limits in ranges)
    within = (
        f"The curve allows {low:.2g} to {high:.2g} times as many joules: no idle power, or all CPUs busy."
    )
    return [energy_model(energies), within]


def grades_of(energies: Iterable[object]) -> set[str]:
    """Return the grades of the energies that are available."""
    return {energy.grade for energy in energies if isinstance(energy, EnergyEstimate)}


def common_grade(grades: Iterable[str]) -> str:
    """Return the end of a heading, `, modelled`, for energies that share one grade; else nothing."""
    distinct = set(grades)
    return f", {distinct.pop()}" if len(distinct) == 1 else ""


def _scaled(estimate: Estimate, size: float) -> tuple[float, float, float]:
    return estimate.value / size, estimate.low / size, estimate.high / size
