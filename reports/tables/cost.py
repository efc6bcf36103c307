"""The table of what 100 million requests cost and emit: one per group, with its factors below."""

from collections.abc import Callable, Sequence
from functools import partial

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import estimate_column, grades_of, model_remarks, variant_column
from reports.layout.number_format import COUNTS, Unit
from reports.layout.table_model import ColumnMaker, Table, build_table
from reports.provenance.measured import title_of
from reports.values.figures import Absent, Figures, name_of
from reports.values.footprint import CostFactors, Embodied, Water, embodied_kg_of, litres_of, sci_of
from reports.values.prices import Grid, Price, kg_of, kwh_of, usd_of

PRICE_APPLIES = (
    "requests one after another on the whole machine; use the price of a machine like the one measured"
)
EMISSIONS = (Unit("g", 1e6), Unit("mg", 1e3), Unit("ug", 1.0))
"""Base unit: micrograms."""

NO_GRID = Unavailable("no intensity of a grid was given; use --carbon")
NO_EMBODIED = Unavailable("no factor was given; use --embodied")
NO_WATER = Unavailable("no factor was given; use --water")


def cost_tables(groups: Sequence[Sequence[Figures]], factors: CostFactors) -> list[Table]:
    """Return a table for each group: USD at each price, kWh, emissions of energy and server, water, SCI."""
    return [_table(group, factors) for group in groups]


def sci_of_figures(figures: Figures, factors: CostFactors) -> Estimate | Absent:
    """Return the Software Carbon Intensity of one request, or why it is unavailable."""
    if factors.grid is None:
        return NO_GRID
    if factors.embodied is None:
        return NO_EMBODIED
    if not isinstance(figures.energy, EnergyEstimate):
        return figures.energy
    if not isinstance(figures.time, Estimate):
        return figures.time
    return sci_of(figures.energy, figures.time, factors.grid, factors.embodied)


def embodied_of_figures(figures: Figures, embodied: Embodied | None) -> Estimate | Absent:
    """Return the embodied emissions of 100 million requests, or why they are unavailable."""
    if embodied is None:
        return NO_EMBODIED
    return embodied_kg_of(figures.time, embodied) if isinstance(figures.time, Estimate) else figures.time


def water_of_figures(figures: Figures, water: Water | None) -> Estimate | Absent:
    """Return the litres of water of 100 million requests, or why they are unavailable."""
    if water is None:
        return NO_WATER
    return litres_of(figures.energy, water) if isinstance(figures.energy, EnergyEstimate) else figures.energy


def _table(group: Sequence[Figures], factors: CostFactors) -> Table:
    prices, grid = factors.prices, factors.grid
    modelled = "modelled " if "modelled" in grades_of(figures.energy for figures in group) else ""
    return build_table(
        f"Cost and carbon of 100 million requests: {title_of(group[0].record)}",
        group,
        [
            variant_column(),
            *(_usd(price, number if len(prices) > 1 else 0) for number, price in enumerate(prices, 1)),
            _energy(f"{modelled}kWh/100M", kwh_of),
            _energy(f"{modelled}kg CO2e/100M", partial(kg_of, grid=grid) if grid else None),
            *_footprint_columns(group, factors, modelled),
        ],
        remarks=_remarks(group, factors),
        records=[name_of(figures.record) for figures in group],
    )


def _footprint_columns(
    group: Sequence[Figures], factors: CostFactors, modelled: str
) -> list[ColumnMaker[Figures]]:
    """Return the columns whose factors were given; a remark names the others."""

    def embodied(figures: Figures) -> Estimate | Absent:
        return embodied_of_figures(figures, factors.embodied)

    def litres(figures: Figures) -> Estimate | Absent:
        return water_of_figures(figures, factors.water)

    def sci(figures: Figures) -> Estimate | Absent:
        return sci_of_figures(figures, factors)

    columns = []
    if factors.embodied:
        columns.append(estimate_column("modelled embodied kg CO2e/100M", embodied, (), COUNTS))
        heading = "modelled SCI, {} CO2e/request"
        columns.append(estimate_column(heading, sci, [sci(figures) for figures in group], EMISSIONS))
    if factors.water:
        columns.append(estimate_column(f"{modelled}litres/100M", litres, (), COUNTS))
    return columns


def _usd(price: Price, number: int) -> ColumnMaker[Figures]:
    def read(figures: Figures) -> Estimate | Unavailable:
        return usd_of(figures.time, price) if isinstance(figures.time, Estimate) else figures.time

    suffix = f", price {number}" if number else ""
    return estimate_column(f"USD/100M{suffix}", read, (), COUNTS)


def _energy(heading: str, convert: Callable[[EnergyEstimate], Estimate] | None) -> ColumnMaker[Figures]:
    def read(figures: Figures) -> Estimate | Unavailable:
        if not isinstance(figures.energy, EnergyEstimate):
            return figures.energy
        return convert(figures.energy) if convert else NO_GRID

    return estimate_column(heading, read, (), COUNTS)


def _remarks(group: Sequence[Figures], factors: CostFactors) -> list[str]:
    """Return every factor and what it multiplies."""
    energies = [figures.energy for figures in group if isinstance(figures.energy, EnergyEstimate)]
    scopes = dict.fromkeys(energy.scope for energy in energies)
    lines = [f"USD = seconds per request x 100 million / 3,600 x USD an hour, for {PRICE_APPLIES}."]
    several = len(factors.prices) > 1
    lines += [
        f"Price{f' {number}' if several else ''}: {price.usd_per_hour:g} USD an hour ({price.source})."
        for number, price in enumerate(factors.prices, 1)
    ]
    if scopes:
        lines.append(f"kWh = joules per request x 100 million / 3.6 million; scope: {', '.join(scopes)}.")
        lines += _energy_factors(factors.grid, factors.water)
    if factors.embodied:
        lines += _embodied_factors(factors.embodied, with_sci=bool(scopes and factors.grid))
    lines += _without_factor(factors)
    return [*lines, *model_remarks(group)]


def _without_factor(factors: CostFactors) -> list[str]:
    """Return what is unavailable for want of a factor."""
    lines = []
    if factors.embodied is None:
        lines.append(f"Embodied emissions and SCI: {NO_EMBODIED}.")
    if factors.water is None:
        lines.append(f"Water: {NO_WATER}.")
    return lines


def _energy_factors(grid: Grid | None, water: Water | None) -> list[str]:
    lines = []
    if grid:
        lines.append(f"kg CO2e = kWh x {grid.grams_per_kwh:g} g/kWh / 1,000 ({grid.source}).")
    if water:
        lines.append(f"Litres of water = kWh x {water.litres_per_kwh:g} l/kWh ({water.source}).")
    return lines


def _embodied_factors(embodied: Embodied, *, with_sci: bool) -> list[str]:
    server = f"{embodied.kg_co2e:g} kg of the server x {embodied.share:.3g} of it"
    life = f"{embodied.lifetime_years:g} years of 365 days"
    lines = [f"Embodied kg CO2e = {server} x seconds / {life} ({embodied.source})."]
    if with_sci:
        lines.append(
            "SCI = (E x I + M) per request (ISO/IEC 21031): joules x the grid's intensity, plus embodied "
            "emissions. It is modelled, whatever the grade of the joules. E is what the meter covers: no PUE."
        )
    return lines
