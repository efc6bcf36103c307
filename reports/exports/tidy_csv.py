"""A report as tidy CSV: a row for each record and quantity, unrounded, in base units.

Every row says its unit, and for joules and what is made of them grade and source. What is absent has no
value, and its reason as the footnote. A spreadsheet takes a text that begins like a formula for one: such a
text gets an apostrophe before it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.analysis.compute_limit import share_of_limit
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio, judge
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.layout.cell_factory import MODELLED
from reports.layout.escaping import safe
from reports.report import CostFactors, Report
from reports.values.figures import Absent, Figures, failure_of
from reports.values.ladder_model import LadderReport, RungFigures
from reports.values.preparation import BreakEven, Joules
from reports.values.prices import Grid, kg_of, kwh_of, usd_of

COLUMNS = (
    *("run", "cell", "status", "task", "variant", "device", "scenario", "boundary", "threads", "instances"),
    *("batch", "max_length", "profile", "host", "quantity", "over", "value", "low", "high", "unit", "grade"),
    *("source", "footnote"),
)


@dataclass(frozen=True, slots=True)
class TidyQuantity:
    """One figure of a record: `over` names the reference of a ratio; a footnote says how it came about."""

    name: str
    unit: str
    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    over: str = ""
    grade: str = ""
    source: str = ""
    footnote: str = ""


def as_csv(book: Report) -> str:
    """Return every figure of a report, one a line, under a line of names."""
    parts: list[str] = []
    lines = csv.writer(_Parts(parts), lineterminator="\n")
    lines.writerow(COLUMNS)
    for about, quantities in _rows(book):
        lines.writerow(about)  # is a third of every row, and is the same in all rows of a record
        start = parts.pop().rstrip("\n")
        for found in quantities:
            parts.append(f"{start},")
            lines.writerow(_line(found))
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What `csv.writer` takes for a file: each row becomes a part."""

    parts: list[str]

    def write(self, row: str) -> None:
        self.parts.append(row)


def _rows(book: Report) -> Iterator[tuple[tuple[Any, ...], Iterator[TidyQuantity]]]:
    """Return what names each record or rung, and its quantities."""
    for item in (item for group in book.every for item in group):
        yield _about(item), _quantities(item, book.factors)
    for ladder in book.ladders:
        for rung in ladder.rungs:
            yield _about_rung(rung, ladder), _of_rung(rung, ladder)


def _about(item: Figures) -> tuple[Any, ...]:
    record, cell = item.record, item.record.cell
    words = (record.run, cell.id, record.status, cell.task, cell.variant, cell.device, cell.scenario)
    settings = (cell.boundary, cell.threads, cell.instances, cell.batch, cell.max_length)
    return (*map(safe, words), *settings, safe(record.profile), record.host.fingerprint)


def _about_rung(rung: RungFigures, ladder: LadderReport) -> tuple[Any, ...]:
    """Name a rung as its offline record is; one that was not measured has but its own name."""
    for item in (*ladder.offline, *ladder.single):
        if item.record.cell.variant == rung.words.name:
            return _about(item)
    return ("", "", rung.status, "", safe(rung.words.name), *[""] * 9)


def _line(found: TidyQuantity) -> tuple[Any, ...]:
    value = safe(found.value) if isinstance(found.value, str) else found.value
    words = (found.unit, found.grade, found.source, found.footnote)
    return (found.name, safe(found.over), value, found.low, found.high, *map(safe, words))


def _quantities(item: Figures, factors: CostFactors) -> Iterator[TidyQuantity]:
    for name, found in item.quality.items():
        yield _figure(name, "share", found)
    for name, found in item.latency.items():
        yield _figure(f"latency_{name}", "ns", found)
    yield _figure("time_per_request", "ns", item.time)
    yield _figure("throughput", "requests/s", item.throughput)
    yield _energy("energy_per_request", "J", item.energy)
    if item.whole is not None:
        yield _energy("whole_energy_per_request", "J", item.whole)
    if item.record.limit:
        yield _figure("share_of_int8_limit", "share", failure_of(item.record) or share_of_limit(item.record))
        yield from _limit(item.record)
    yield _number("peak_memory", "B", item.peak_bytes)
    for over, ratio in item.speedup.items():
        yield _ratio("speed_up", over, ratio, None)
    for over, ratio in item.energy_reduction.items():
        yield _ratio("energy_reduction", over, ratio, item.energy)
    for over, ratio in item.whole_reduction.items():
        yield _ratio("whole_energy_reduction", over, ratio, item.whole)
    yield from _cost(item, factors)


def _limit(record: Record) -> Iterator[TidyQuantity]:
    if record.limit is None:
        return
    for precision, peak in record.limit.peaks.items():
        note = f"{peak.instruction}, {record.limit.threads} threads, the higher of before and after"
        yield TidyQuantity(f"limit_{precision}", "operations/s", peak.per_second, footnote=note)


def _cost(item: Figures, factors: CostFactors) -> Iterator[TidyQuantity]:
    for price in factors.prices:
        found = usd_of(item.time, price) if isinstance(item.time, Estimate) else item.time
        source = f"{price.usd_per_hour:g} USD an hour: {price.source}"
        yield _figure("cost_of_100m_requests", "USD", found, source=source)
    yield _energy("energy_of_100m_requests", "kWh", item.energy)
    if factors.grid:
        yield _energy("carbon_of_100m_requests", "kg CO2e", item.energy, factors.grid)


def _of_rung(rung: RungFigures, ladder: LadderReport) -> Iterator[TidyQuantity]:
    over, first = rung.words.over, ladder.rungs[0].words.name
    yield _ratio("speed_up_step", over, rung.speedup.step, None)
    yield _ratio("speed_up_cumulative", first, rung.speedup.cumulative, None)
    yield _ratio("energy_reduction_step", over, rung.energy_reduction.step, rung.energy)
    yield _ratio("energy_reduction_cumulative", first, rung.energy_reduction.cumulative, rung.energy)
    change = rung.quality_change
    if isinstance(change, QualityChange):
        yield _figure(f"{change.metric}_change", "points", change.points, over=first, more=change.note)
    else:
        yield _figure(f"{ladder.metric}_change", "points", change, over=first)
    yield _figure("kept_gain", "share", rung.kept_gain, over=first)
    yield _number("disk", "B", rung.disk_bytes)
    yield _number("preparation", "s", rung.spent.seconds)
    yield _spent(rung.spent.energy)
    yield _pays("break_even_energy", first, rung.pays_energy)
    yield _pays("break_even_money", first, rung.pays_money)


def _figure(
    name: str, unit: str, found: Estimate | Absent, *, over: str = "", source: str = "", more: str = ""
) -> TidyQuantity:
    if not isinstance(found, Estimate):
        return TidyQuantity(name, unit, over=over, source=source, footnote=str(found))
    note = "; ".join(part for part in (_how(found), more) if part)
    return TidyQuantity(name, unit, found.value, found.low, found.high, over, "", source, note)


def _energy(
    name: str, unit: str, energy: EnergyEstimate | Unavailable, grid: Grid | None = None
) -> TidyQuantity:
    if not isinstance(energy, EnergyEstimate):
        return TidyQuantity(name, unit, grade="unavailable", footnote=str(energy))
    found = energy.microjoules
    scale = 1e-6
    if unit != "J":
        found, scale = (kg_of(energy, grid) if grid else kwh_of(energy)), 1.0
    source = f"{energy.scope}, {energy.source}"
    if grid:
        source += f"; {grid.grams_per_kwh:g} g/kWh: {grid.source}"
    note = _how(found) if energy.grade != "modelled" else f"{MODELLED} {_how(found)}"
    value, low, high = (scale * number for number in (found.value, found.low, found.high))
    return TidyQuantity(name, unit, value, low, high, "", energy.grade, source, note)


def _ratio(
    name: str, over: str, found: Ratio | Absent, energy: EnergyEstimate | Absent | None
) -> TidyQuantity:
    """`energy` is what a ratio of energies is of: it has the grade and source of the joules."""
    grade = source = ""
    if isinstance(energy, EnergyEstimate):
        grade, source = energy.grade, f"{energy.scope}, {energy.source}"
    if not isinstance(found, Ratio):
        return TidyQuantity(name, "ratio", over=over, grade=grade, source=source, footnote=str(found))
    said = MODELLED + " " if grade == "modelled" else ""
    note = f"{said}{judge(found).verdict}; {_how(found)}"
    return TidyQuantity(name, "ratio", found.value, found.low, found.high, over, grade, source, note)


def _how(found: Estimate | Ratio) -> str:
    return f"{100 * found.confidence:g} % interval, {found.method}, n = {found.count}"


def _number(name: str, unit: str, found: float | Unavailable) -> TidyQuantity:
    if isinstance(found, Unavailable):
        return TidyQuantity(name, unit, footnote=str(found))
    return TidyQuantity(name, unit, found)


def _spent(found: Joules | Unavailable) -> TidyQuantity:
    if isinstance(found, Unavailable):
        return TidyQuantity("preparation_energy", "J", grade="unavailable", footnote=str(found))
    scope, source = found.kind[1:] if found.kind else ("", "")
    note = MODELLED if found.grade == "modelled" else ""
    named = f"{scope}, {source}" if found.kind else ""
    return TidyQuantity(
        "preparation_energy", "J", found.value, grade=found.grade, source=named, footnote=note
    )


def _pays(name: str, over: str, found: BreakEven | Absent) -> TidyQuantity:
    if not isinstance(found, BreakEven):
        return TidyQuantity(name, "requests", over=over, footnote=str(found))
    value = "never" if found.requests is None else found.requests
    return TidyQuantity(name, "requests", value, over=over)
