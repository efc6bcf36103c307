"""The table of what 100 million requests cost and emit: one per group, with its factors below."""

from collections.abc import Callable, Sequence

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import MODELLED, estimate_column, grades_of, variant_column
from reports.layout.number_format import COUNTS
from reports.layout.table_model import ColumnMaker, Table, build_table
from reports.provenance.measured import title_of
from reports.values.figures import Figures, name_of
from reports.values.prices import Grid, Price, kg_of, kwh_of, usd_of

PRICE_APPLIES = (
    "requests one after another on the whole machine; use the price of a machine like the one measured"
)
_NO_GRID = Unavailable("no intensity of a grid was given; use --carbon")


def cost_tables(
    groups: Sequence[Sequence[Figures]], prices: Sequence[Price], grid: Grid | None
) -> list[Table]:
    """Return a table for each group: USD at each price, kWh, and kilograms of CO2 equivalent."""
    return [_table(group, prices, grid) for group in groups]


def _table(group: Sequence[Figures], prices: Sequence[Price], grid: Grid | None) -> Table:
    modelled = "modelled " if "modelled" in grades_of(figures.energy for figures in group) else ""
    return build_table(
        f"Cost and carbon of 100 million requests: {title_of(group[0].record)}",
        group,
        [
            variant_column(),
            *(_usd(price, number if len(prices) > 1 else 0) for number, price in enumerate(prices, 1)),
            _energy(f"{modelled}kWh/100M", kwh_of),
            _energy(f"{modelled}kg CO2e/100M", (lambda energy: kg_of(energy, grid)) if grid else None),
        ],
        remarks=_remarks(group, prices, grid),
        records=[name_of(figures.record) for figures in group],
    )


def _usd(price: Price, number: int) -> ColumnMaker[Figures]:
    def read(figures: Figures) -> Estimate | Unavailable:
        return usd_of(figures.time, price) if isinstance(figures.time, Estimate) else figures.time

    suffix = f", price {number}" if number else ""
    return estimate_column(f"USD/100M{suffix}", read, (), COUNTS)


def _energy(heading: str, convert: Callable[[EnergyEstimate], Estimate] | None) -> ColumnMaker[Figures]:
    def read(figures: Figures) -> Estimate | Unavailable:
        if not isinstance(figures.energy, EnergyEstimate):
            return figures.energy
        return convert(figures.energy) if convert else _NO_GRID

    return estimate_column(heading, read, (), COUNTS)


def _remarks(group: Sequence[Figures], prices: Sequence[Price], grid: Grid | None) -> list[str]:
    """Return every factor and what it multiplies."""
    energies = [figures.energy for figures in group if isinstance(figures.energy, EnergyEstimate)]
    scopes = dict.fromkeys(energy.scope for energy in energies)
    lines = [f"USD = seconds per request x 100 million / 3,600 x USD an hour, for {PRICE_APPLIES}."]
    several = len(prices) > 1
    lines += [
        f"Price{f' {number}' if several else ''}: {price.usd_per_hour:g} USD an hour ({price.source})."
        for number, price in enumerate(prices, 1)
    ]
    if scopes:
        lines.append(f"kWh = joules per request x 100 million / 3.6 million; scope: {', '.join(scopes)}.")
    if scopes and grid:
        lines.append(f"kg CO2e = kWh x {grid.grams_per_kwh:g} g/kWh / 1,000 ({grid.source}).")
    return [*lines, MODELLED] if "modelled" in grades_of(energies) else lines
