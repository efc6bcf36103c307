"""How estimates, ratios and what is absent become cells, the same in every table."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.multiple_testing import typical_request_note, why_too_noisy
from harness.analysis.statistics.ratios import BASELINE, Ratio, judge
from harness.records.estimate import Estimate
from reports.layout.number_format import ENERGIES, Unit, decimals, unit_for, with_interval
from reports.layout.table_model import Notes, TableCell
from reports.values.figures import Absent, Figures

_FAR_BELOW = 1000.0

OTHERS = ("codecarbon", "replay")
"""What the source of energy begins with that our own model did not make."""

MODELLED = "Joules are modelled: CPU time in other units."


def how_modelled(energies: Iterable[object]) -> str:
    """Say what modelled joules are: other tools' models are not our own."""
    others = {
        each.source
        for each in energies
        if isinstance(each, EnergyEstimate) and each.source.startswith(OTHERS)
    }
    return f"Joules are modelled: {'; '.join(sorted(others))}." if others else MODELLED


def variant_cell(item: Figures, notes: Notes) -> TableCell:
    """Show the variant's name, and what did not end well."""
    del notes
    status = "" if item.record.status == "complete" else f" ({item.record.status})"
    return TableCell(f"{item.record.cell.variant}{status}")


def absent_cell(found: Absent, notes: Notes, *, failed: bool = False) -> TableCell:
    """Show `n/a`, or `failed` where the whole cell failed, with the reason as a note."""
    because = "" if failed else "because "
    return TableCell(
        "failed" if failed else "n/a", note=notes.number(f"{because}{found.reason.rstrip('. ')}.")
    )


def estimate_cell(found: Estimate, unit: Unit, units: Sequence[Unit]) -> TableCell:
    """Show an estimate in the column's unit, or with a smaller one beside it if that has too many zeros."""
    own = unit if found.value * _FAR_BELOW >= unit.size else unit_for([found.value], units)
    value, interval = with_interval(found.value / own.size, found.low / own.size, found.high / own.size)
    return TableCell(value if own == unit else f"{value} {own.name}", interval, value=found.value)


def left_cell(found: Estimate, whole: Estimate, unit: Unit) -> TableCell:
    """Show what a subtraction leaves of `whole`, in digits that `whole` has: finer ones are rounding."""
    finest = decimals(*(each / unit.size for each in (whole.value, whole.low, whole.high)))
    scaled = (each / unit.size for each in (found.value, found.low, found.high))
    value, interval = with_interval(*scaled, finest=finest)
    return TableCell(value, interval, value=found.value)


def figure_cell(
    found: Estimate | Absent, unit: Unit, units: Sequence[Unit], item: Figures, notes: Notes
) -> TableCell:
    """Show a figure of a record, or why there is none."""
    if isinstance(found, Estimate):
        return estimate_cell(found, unit, units)
    return absent_cell(found, notes, failed=item.record.status == "failed")


def energy_cell(item: Figures, unit: Unit, grades: Sequence[str], notes: Notes) -> TableCell:
    """Show energy per request; where a table holds several grades, a note says which one this is."""
    if not isinstance(item.energy, EnergyEstimate):
        return figure_cell(item.energy, unit, ENERGIES, item, notes)
    cell = estimate_cell(item.energy.microjoules, unit, ENERGIES)
    return cell if len(grades) == 1 else replace(cell, note=notes.number(item.energy.grade))


def over_cell(found: Ratio | Absent, over: str, item: Figures, notes: Notes) -> TableCell:
    """Show a ratio over a reference, which itself is what is counted from."""
    if not isinstance(found, Ratio):
        return absent_cell(found, notes, failed=item.record.status == "failed")
    if item.record.cell.variant == over:
        return TableCell("1 (baseline)" if over == BASELINE else "1 (itself)", value=1.0)
    return ratio_cell(found, notes)


def grades_of(group: Sequence[Figures]) -> list[str]:
    """Return the grades of the energies of a group; a heading names a single one."""
    return sorted({item.energy.grade for item in group if isinstance(item.energy, EnergyEstimate)})


def energy_unit(group: Sequence[Figures]) -> Unit:
    """Return the unit of a column of energies."""
    known = [item.energy for item in group if isinstance(item.energy, EnergyEstimate)]
    return unit_for([energy.microjoules.value for energy in known], ENERGIES)


def energy_heading(unit: Unit, grades: Sequence[str]) -> str:
    """Return the heading of a column of energies, which says a grade that all share."""
    return f"{unit.name}/request, {grades[0]}" if len(grades) == 1 else f"{unit.name}/request"


def share_cell(found: Estimate) -> TableCell:
    """Show a share in 0..1 in percent."""
    value, interval = with_interval(100 * found.value, 100 * found.low, 100 * found.high)
    return TableCell(f"{value} %", interval, value=found.value)


def ratio_cell(found: Ratio, notes: Notes) -> TableCell:
    """Show a ratio; a note says if it is too noisy, or if its verdict is not that of the interval."""
    value, interval = with_interval(found.value, found.low, found.high)
    said = why_too_noisy(found) if judge(found).verdict == "too noisy" else typical_request_note(found)
    return TableCell(f"{value}x", interval, notes.number(said) if said else None, found.value)
