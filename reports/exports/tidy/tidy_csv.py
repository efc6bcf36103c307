"""A report as tidy CSV: a row for each record and quantity, unrounded, in base units.

Every row has its unit; rows of joules, and of what is computed from them, have grade and source. An absent
value has its reason as the footnote. A text that a spreadsheet would read as a formula gets an apostrophe
before it.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from harness.analysis.compute_limit import share_of_limit, skipped_share
from harness.analysis.energy.modelled_range import modelled_range
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.exports.measures import interval_method, ratio_note
from reports.layout.cell_factory import model_remark
from reports.layout.escaping import safe
from reports.report import Report
from reports.tables.cost import embodied_of_figures, sci_of_figures, water_of_figures
from reports.values.figures import Absent, Figures, failure_of
from reports.values.footprint import CostFactors
from reports.values.ladder_model import LadderReport, RungFigures
from reports.values.preparation import BreakEven, Joules
from reports.values.prices import Grid, kg_of, kwh_of, usd_of

COLUMNS = (
    *("run", "cell", "status", "task", "variant", "device", "scenario", "boundary", "threads", "instances"),
    *("batch", "max_length", "profile", "host", "quantity", "over", "value", "low", "high", "unit", "grade"),
    *("source", "footnote"),
)


class TidyQuantity(NamedTuple):
    """One figure of a record: `over` is the reference of a ratio, the footnote how it was computed.

    `p` is that of a ratio which belongs to the family of its report (`row_family`).
    """

    name: str
    unit: str
    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    over: str = ""
    grade: str = ""
    source: str = ""
    footnote: str = ""
    p: float | None = None


def as_csv(report: Report) -> str:
    """Return every figure of a report, one per line, below a line of column names."""
    factors = report.factors
    records = (
        RowsOf(_record_columns(figures), _quantities(figures, factors)) for figures in report.all_figures
    )
    return csv_of(chain(records, rung_rows(report)))


class RowsOf(NamedTuple):
    """The columns that identify a record or a rung, and its quantities."""

    columns: tuple[Any, ...]
    quantities: Iterable[TidyQuantity]


def csv_of(every: Iterable[RowsOf]) -> str:
    """Return these rows as text, below a line of column names."""
    lines = [_encode(COLUMNS)]
    for columns, quantities in every:
        start = _encode(columns)  # once: all rows of a record begin with these columns
        lines += [f"{start},{_encode_quantity(quantity)}" for quantity in quantities]
    lines.append("")
    return "\n".join(lines)


def record_rows(figures: Figures, factors: CostFactors) -> RowsOf:
    """Return the rows of a record of a plain group, with the p-values of its ratios."""
    variant = figures.record.cell.variant
    ratios = {
        (name, over): ratio.p
        for name, row in (
            ("speed_up", figures.speedup),
            ("energy_reduction", figures.energy_reduction),
            ("whole_energy_reduction", figures.whole_reduction),
        )
        for over, ratio in row.items()
        if isinstance(ratio, Ratio) and over != variant
    }
    quantities = [
        quantity._replace(p=ratios.get((quantity.name, quantity.over)))
        for quantity in _quantities(figures, factors)
    ]
    return RowsOf(_record_columns(figures), quantities)


def ladder_rows(report: Report) -> Iterator[tuple[Figures, RowsOf]]:
    """Yield the rows of each record of a ladder; they belong to no family but that of their ladder."""
    for ladder in report.ladders:
        for figures in (*ladder.offline, *ladder.single_stream):
            yield figures, RowsOf(_record_columns(figures), _quantities(figures, report.factors))


def rung_rows(report: Report) -> Iterator[RowsOf]:
    """Yield the rows of every rung; the id of the cell is empty for one without a record."""
    for ladder in report.ladders:
        for rung in ladder.rungs:
            yield RowsOf(_rung_columns(rung, ladder), _rung_quantities(rung, ladder))


def _record_columns(figures: Figures) -> tuple[Any, ...]:
    record, cell = figures.record, figures.record.cell
    texts = (record.run, cell.id, record.status, cell.task, cell.variant, cell.device, cell.scenario)
    settings = (cell.boundary, cell.threads, cell.instances, cell.batch, cell.max_length)
    return safe_columns((*texts, *settings, record.profile, record.host.fingerprint))


def safe_columns(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the columns that identify a record, with its texts safe in a spreadsheet."""
    *others, host = columns
    return (*(safe(each) if isinstance(each, str) else each for each in others), host)


def _rung_columns(rung: RungFigures, ladder: LadderReport) -> tuple[Any, ...]:
    """Return the columns of a rung's offline record; a rung without a record has only its name."""
    for figures in (*ladder.offline, *ladder.single_stream):
        if figures.record.cell.variant == rung.definition.name:
            return _record_columns(figures)
    return ("", "", rung.status, "", safe(rung.definition.name), *[""] * 9)


def _encode_quantity(quantity: TidyQuantity) -> str:
    """Return the columns of a quantity as they stand in a line; thousands of records share the texts."""
    name, unit, value, low, high, over, grade, source, footnote, _ = quantity
    shown = _encode(("", safe(value)))[1:] if isinstance(value, str) else _digits(value)
    start, end = _encode_texts(name, over), _encode_texts(unit, grade, source, footnote)
    return f"{start},{shown},{_digits(low)},{_digits(high)},{end}"


@lru_cache(maxsize=4096)
def _encode_texts(*texts: str) -> str:
    return _encode(tuple(map(safe, texts)))


def _digits(number: float | None) -> str:
    return "" if number is None else str(number)


def _encode(columns: tuple[Any, ...]) -> str:
    """Return a row without the end of its line."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(columns)
    return row.getvalue()


def _quantities(figures: Figures, factors: CostFactors) -> Iterator[TidyQuantity]:
    for name, score in figures.quality.items():
        yield _estimate(name, "share", score)
    for name, latency in figures.latency.items():
        yield _estimate(f"latency_{name}", "ns", latency)
    yield _estimate("time_per_request", "ns", figures.time)
    yield _estimate("throughput", "requests/s", figures.throughput)
    yield _with_range(_energy("energy_per_request", "J", figures.energy), figures.record)
    if figures.whole is not None:
        yield _energy("whole_energy_per_request", "J", figures.whole)
    yield from _limit(figures.record)
    yield _number("peak_memory", "B", figures.peak_bytes)
    for over, ratio in figures.speedup.items():
        yield _ratio("speed_up", over, ratio, None)
    for over, ratio in figures.energy_reduction.items():
        yield _ratio("energy_reduction", over, ratio, figures.energy)
    for over, ratio in figures.whole_reduction.items():
        yield _ratio("whole_energy_reduction", over, ratio, figures.whole)
    yield from cost_quantities(figures.time, figures.energy, factors)
    yield from _footprint(figures, factors)


def _with_range(energy: TidyQuantity, record: Record) -> TidyQuantity:
    """Return joules with the range of their model in the footnote, where it has one."""
    limits = modelled_range(record)
    if limits is None:
        return energy
    within = f"The curve allows {limits.low:.2g} to {limits.high:.2g} times as many joules."
    return energy._replace(footnote=f"{energy.footnote} {within}")


def _limit(record: Record) -> Iterator[TidyQuantity]:
    if record.limit is None:
        return
    yield _estimate("share_of_int8_limit", "share", failure_of(record) or share_of_limit(record))
    skipped = failure_of(record) or skipped_share(record)
    yield _number("skipped_operations", "share", skipped)
    for precision, peak in record.limit.peaks.items():
        note = f"{peak.instruction}, {record.limit.threads} threads, the higher of before and after"
        yield TidyQuantity(f"limit_{precision}", "operations/s", peak.per_second, footnote=note)


def cost_quantities(
    time: Estimate | Absent, energy: EnergyEstimate | Unavailable, factors: CostFactors
) -> Iterator[TidyQuantity]:
    """Yield money, energy and carbon of 100 million requests, from time and energy per request."""
    for price in factors.prices:
        cost = usd_of(time, price) if isinstance(time, Estimate) else time
        source = f"{price.usd_per_hour:g} USD an hour: {price.source}"
        yield _estimate("cost_of_100m_requests", "USD", cost, source=source)
    yield _energy("energy_of_100m_requests", "kWh", energy)
    if factors.grid:
        yield _energy("carbon_of_100m_requests", "kg CO2e", energy, factors.grid)


def _footprint(figures: Figures, factors: CostFactors) -> Iterator[TidyQuantity]:
    """Yield embodied emissions, water and SCI with their factors; nothing where neither factor is given."""
    embodied, water = factors.embodied, factors.water
    if embodied is None and water is None:
        return
    grade = figures.energy.grade if isinstance(figures.energy, EnergyEstimate) else "unavailable"
    made = (
        f"{embodied.kg_co2e:g} kg x {embodied.share:g} over {embodied.lifetime_years:g} years: "
        + embodied.source
        if embodied
        else ""
    )
    used = f"{water.litres_per_kwh:g} l/kWh: {water.source}" if water else ""
    intensity = f"{factors.grid.grams_per_kwh:g} g/kWh: {factors.grid.source}" if factors.grid else ""
    for name, unit, estimate, own_grade, source in (
        (
            "embodied_carbon_of_100m_requests",
            "kg CO2e",
            embodied_of_figures(figures, embodied),
            "modelled",
            made,
        ),
        ("water_of_100m_requests", "l", water_of_figures(figures, water), grade, used),
        ("sci_per_request", "ug CO2e", sci_of_figures(figures, factors), "modelled", f"{intensity}; {made}"),
    ):
        available = isinstance(estimate, Estimate)
        row = _estimate(name, unit, estimate, source=source)
        yield row._replace(grade=own_grade if available else "unavailable")


def _rung_quantities(rung: RungFigures, ladder: LadderReport) -> Iterator[TidyQuantity]:
    over, first = rung.definition.over, ladder.rungs[0].definition.name
    yield _ratio("speed_up_step", over, rung.speedup.step, None)
    yield _ratio("speed_up_cumulative", first, rung.speedup.cumulative, None)
    yield _ratio("energy_reduction_step", over, rung.energy_reduction.step, rung.energy)
    yield _ratio("energy_reduction_cumulative", first, rung.energy_reduction.cumulative, rung.energy)
    change = rung.quality_change
    if isinstance(change, QualityChange):
        yield _estimate(f"{change.metric}_change", "points", change.points, over=first, note=change.note)
    else:
        yield _estimate(f"{ladder.metric}_change", "points", change, over=first)
    yield _estimate("kept_gain", "share", rung.kept_gain, over=first)
    yield _number("disk", "B", rung.disk_bytes)
    yield _number("preparation", "s", rung.preparation.seconds)
    yield _preparation_energy(rung.preparation.energy)
    yield _break_even("break_even_energy", first, rung.break_even_energy)
    yield _break_even("break_even_money", first, rung.break_even_money)


def _estimate(
    name: str, unit: str, estimate: Estimate | Absent, *, over: str = "", source: str = "", note: str = ""
) -> TidyQuantity:
    if not isinstance(estimate, Estimate):
        return TidyQuantity(name, unit, over=over, source=source, footnote=str(estimate))
    footnote = "; ".join(part for part in (interval_method(estimate), note) if part)
    return TidyQuantity(
        name, unit, estimate.value, estimate.low, estimate.high, over, source=source, footnote=footnote
    )


def _energy(
    name: str, unit: str, energy: EnergyEstimate | Unavailable, grid: Grid | None = None
) -> TidyQuantity:
    if not isinstance(energy, EnergyEstimate):
        return TidyQuantity(name, unit, grade="unavailable", footnote=str(energy))
    estimate, scale = energy.microjoules, 1e-6
    if unit != "J":
        estimate, scale = (kg_of(energy, grid) if grid else kwh_of(energy)), 1.0
    source = f"{energy.scope}, {energy.source}"
    if grid:
        source += f"; {grid.grams_per_kwh:g} g/kWh: {grid.source}"
    method = interval_method(estimate)
    note = f"{model_remark([energy.source])} {method}" if energy.grade == "modelled" else method
    value, low, high = (scale * number for number in (estimate.value, estimate.low, estimate.high))
    return TidyQuantity(name, unit, value, low, high, "", energy.grade, source, note)


def _ratio(
    name: str, over: str, ratio: Ratio | Absent, energy: EnergyEstimate | Absent | None
) -> TidyQuantity:
    """Return a ratio; one of energies has the grade and source of `energy`."""
    grade = source = model = ""
    if isinstance(energy, EnergyEstimate):
        grade, source, model = energy.grade, f"{energy.scope}, {energy.source}", energy.source
    if not isinstance(ratio, Ratio):
        return TidyQuantity(name, "ratio", over=over, grade=grade, source=source, footnote=str(ratio))
    note = ratio_note(ratio, grade, model)
    return TidyQuantity(name, "ratio", ratio.value, ratio.low, ratio.high, over, grade, source, note)


def _number(name: str, unit: str, number: float | Unavailable) -> TidyQuantity:
    if isinstance(number, Unavailable):
        return TidyQuantity(name, unit, footnote=str(number))
    return TidyQuantity(name, unit, number)


def _preparation_energy(energy: Joules | Unavailable) -> TidyQuantity:
    name, unit = "preparation_energy", "J"
    if isinstance(energy, Unavailable):
        return TidyQuantity(name, unit, grade="unavailable", footnote=str(energy))
    source = ", ".join(energy.kind[1:]) if energy.kind else ""
    note = model_remark([energy.kind[2]]) if energy.kind and energy.grade == "modelled" else ""
    return TidyQuantity(name, unit, energy.value, grade=energy.grade, source=source, footnote=note)


def _break_even(name: str, over: str, break_even: BreakEven | Absent) -> TidyQuantity:
    if not isinstance(break_even, BreakEven):
        return TidyQuantity(name, "requests", over=over, footnote=str(break_even))
    value = "never" if break_even.requests is None else break_even.requests
    return TidyQuantity(name, "requests", value, over=over)
