"""What 100 million requests cost and emit: a table per group, its factors printed beside it."""

from collections.abc import Callable, Sequence

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import MODELLED, figure_cell, grades_of, variant_cell
from reports.layout.number_format import COUNTS
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.provenance.measured import title_of
from reports.values.figures import Figures, name_of
from reports.values.prices import Grid, Price, kg_of, kwh_of, usd_of

MakeCell = Callable[[Figures, Notes], TableCell]
Maker = tuple[Column, MakeCell]

_USD = (
    "USD = seconds per request x 100 million / 3,600 x USD an hour, for requests one after another on the "
    "whole machine: the price has to be that of a machine like the one measured."
)
_NO_GRID = Unavailable("no intensity of a grid is known; --carbon names one")


def cost_tables(
    groups: Sequence[Sequence[Figures]], prices: Sequence[Price], grid: Grid | None
) -> list[Table]:
    """Return a table for each group: USD at each price, kWh, and kilograms of CO2 equivalent."""
    return [_table(group, prices, grid) for group in groups]


def _table(group: Sequence[Figures], prices: Sequence[Price], grid: Grid | None) -> Table:
    notes = Notes()
    kind = "modelled " if "modelled" in grades_of(group) else ""
    makers: list[Maker] = [
        (Column("variant", "left", "name"), variant_cell),
        *(_usd(price, number if len(prices) > 1 else 0) for number, price in enumerate(prices, 1)),
        _of_energy(f"{kind}kWh/100M", kwh_of),
        _of_energy(f"{kind}kg CO2e/100M", (lambda energy: kg_of(energy, grid)) if grid else None),
    ]
    rows = tuple(tuple(make(item, notes) for _, make in makers) for item in group)
    return Table(
        title=f"Cost and carbon of 100 million requests: {title_of(group[0].record)}",
        columns=tuple(column for column, _ in makers),
        rows=rows,
        notes=tuple(notes.texts),
        remarks=_remarks(group, prices, grid),
        records=tuple(name_of(item.record) for item in group),
    )


def _usd(price: Price, number: int) -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        found = item.time
        return _cell(usd_of(found, price) if isinstance(found, Estimate) else found, item, notes)

    which = f", price {number}" if number else ""
    return Column(f"USD/100M{which}", "right", "speed"), make


def _of_energy(heading: str, read: Callable[[EnergyEstimate], Estimate] | None) -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        if not isinstance(item.energy, EnergyEstimate):
            return _cell(item.energy, item, notes)
        return _cell(read(item.energy) if read else _NO_GRID, item, notes)

    return Column(heading, "right", "speed"), make


def _cell(found: Estimate | Unavailable, item: Figures, notes: Notes) -> TableCell:
    return figure_cell(found, COUNTS[0], COUNTS, item, notes)


def _remarks(group: Sequence[Figures], prices: Sequence[Price], grid: Grid | None) -> tuple[str, ...]:
    """Print every factor, and what it multiplies."""
    scopes = dict.fromkeys(item.energy.scope for item in group if isinstance(item.energy, EnergyEstimate))
    lines = [_USD]
    several = len(prices) > 1
    lines += [
        f"Price{f' {number}' if several else ''}: {price.usd_per_hour:g} USD an hour ({price.source})."
        for number, price in enumerate(prices, 1)
    ]
    if scopes:
        lines.append(f"kWh = joules per request x 100 million / 3.6 million; scope: {', '.join(scopes)}.")
    if scopes and grid:
        lines.append(f"kg CO2e = kWh x {grid.grams_per_kwh:g} g/kWh / 1,000 ({grid.source}).")
    return (*lines, MODELLED) if "modelled" in grades_of(group) else tuple(lines)
