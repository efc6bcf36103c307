"""The tables of a capacity plan: machines and latency, energy and money, what was left out, validation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.analysis.capacity.energy import DayEnergy
from harness.analysis.capacity.plan import CapacityPlan, PlanRow
from harness.analysis.capacity.validation import TOLERANCE, ValidatedLoad
from harness.records.estimate import Estimate, Unavailable
from reports.documents.capacity_values import (
    assumption_of,
    choice_of,
    cost_of,
    front_of,
    listed,
    placement_of,
    promise_of,
    quality_of,
)
from reports.layout.cell_factory import absent_cell, estimate_cell, share_cell
from reports.layout.number_format import TIMES, Unit, shown, unit_for, with_interval
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.values.figures import name_of
from reports.values.prices import Grid

_VALIDATION = (
    "Predicted from the service times of the plan's run; measured in a new run with other arrivals. A window "
    "begins with an empty queue and ends soon, so near capacity it has fewer long waits than the steady "
    "state: it is compared with simulated windows of as many requests, 95 % of which lie in the interval. "
    "Expected within: as many of them as of the simulated windows, which vary by chance alone."
)
_ALWAYS_BUSY = "USD/100M, always busy: on machines that never wait, as the FastFormers paper counts."
_ENERGIES = (Unit("MJ", 1e6), Unit("kJ", 1e3), Unit("J", 1.0))


def plan_table(plan: CapacityPlan) -> Table:
    """Return machines, tail latency, quality and cost of every row; the notes state what is absent."""
    notes, front, unit = Notes(), front_of(plan), _unit(plan)
    percents = _tail(plan)
    rows = tuple(
        (
            _name_cell(row, notes),
            TableCell(f"{row.machines:,}", value=float(row.machines)),
            TableCell(f"{100 * row.latency.utilisation:.0f} %", value=row.latency.utilisation),
            *(latency_cell(row.latency.percentiles[percent], unit) for percent in percents),
            _quality_cell(row, notes),
            _number_cell(row.usd_per_day),
            TableCell("yes" if row in front else "no"),
            TableCell(row.next_cheaper),
        )
        for row in plan.rows
    )
    return Table(
        f"Machines for {plan.demand.description}, with {promise_of(plan)}",
        (
            *_columns("left", "name", "variant"),
            *_columns("right", "speed", "machines", "busy at peak"),
            *_columns("right", "speed", *(f"p{percent:g} {unit.name}" for percent in percents)),
            *_columns("right", "speed", "quality", "USD/day"),
            *_columns("left", "speed", "front"),
            Column("next cheaper choice", "left", "speed", folds=True),
        ),
        rows,
        notes=tuple(notes.texts),
        remarks=tuple(_remarks(plan)),
        records=tuple(name_of(row.record) for row in plan.rows),
    )


def latency_table(plan: CapacityPlan) -> Table:
    """Return every percentile at the peak, p99 over the day, and what the latencies rest on."""
    notes, unit = Notes(), _unit(plan)
    percents = list(plan.rows[0].latency.percentiles) if plan.rows else []
    rows = tuple(
        (
            _name_cell(row, notes),
            TableCell(placement_of(row)),
            *(latency_cell(row.latency.percentiles[percent], unit) for percent in percents),
            TableCell(shown(1e9 * row.day_p99_s / unit.size), value=row.day_p99_s),
            TableCell(f"{row.latency.batch:.1f}", value=row.latency.batch),
            TableCell(row.service.source),
        )
        for row in plan.rows
    )
    return Table(
        "Latency",
        (
            *_columns("left", "name", "variant"),
            *_columns("left", "speed", "on one machine"),
            *_columns("right", "speed", *(f"p{percent:g} {unit.name}" for percent in percents)),
            *_columns("right", "speed", f"p99 {unit.name}, whole day", "requests/call"),
            Column("service times", "left", "speed", folds=True),
        ),
        rows,
        notes=tuple(notes.texts),
        remarks=tuple(_latency_remarks(plan)),
        records=tuple(name_of(row.record) for row in plan.rows),
    )


def _unit(plan: CapacityPlan) -> Unit:
    return unit_for([1e9 * row.latency.percentiles[99.0].value for row in plan.rows], TIMES)


def _tail(plan: CapacityPlan) -> list[float]:
    """Return the percentile of the objective, and p99."""
    return sorted({plan.options.objective.percent, 99.0})


def cost_table(plan: CapacityPlan, grid: Grid | None) -> Table:
    """Return energy, money and emissions of every row, of a day, a month and 100 million requests."""
    notes = Notes()
    energies = [row.energy for row in plan.rows if isinstance(row.energy, DayEnergy)]
    unit = unit_for([energy.busy_j for energy in energies], _ENERGIES)
    unit_name = unit.name if energies else "energy"
    grades = {energy.grade for energy in energies}
    grade = f"{next(iter(grades))} " if len(grades) == 1 else ""
    rows = []
    for row in plan.rows:
        cost = cost_of(row, plan, grid)
        usd = (cost.usd_per_day, cost.usd_per_month, cost.usd_per_100m, row.always_busy_usd)
        kg = (cost.kg_per_day, cost.kg_per_month, cost.kg_per_100m)
        rows.append(
            (
                _name_cell(row, notes),
                *_energy_cells(row.energy, unit, notes, graded=bool(grade)),
                *map(_number_cell, usd),
                *(_maybe_cell(value, notes) for value in kg),
            )
        )
    return Table(
        "Energy, money and carbon",
        (
            *_columns("left", "name", "variant"),
            *_columns("right", "speed", *(f"{grade}{part} {unit_name}/day" for part in ("busy", "idle"))),
            *_columns("right", "cost", "USD/day", "USD/month", "USD/100M", "USD/100M, always busy"),
            *_columns("right", "cost", *(f"{grade}kg CO2e/{span}" for span in ("day", "month", "100M"))),
        ),
        tuple(rows),
        notes=tuple(notes.texts),
        remarks=tuple(_cost_remarks(plan, grid)),
        records=tuple(name_of(row.record) for row in plan.rows),
    )


def refusal_table(plan: CapacityPlan) -> Table | None:
    """Return the variants that keep the objective on no number of machines, or whose times are unknown."""
    if not plan.refusals:
        return None
    rows = tuple(
        (
            TableCell(refusal.record.cell.variant),
            TableCell(refusal.how or refusal.record.cell.scenario),
            TableCell("n/a") if refusal.always_busy_usd is None else _number_cell(refusal.always_busy_usd),
            TableCell(f"{refusal.reason.rstrip('.')}."),
        )
        for refusal in plan.refusals
    )
    return Table(
        "Left out",
        (
            *_columns("left", "name", "variant"),
            *_columns("left", "speed", "serves"),
            *_columns("right", "speed", "USD/100M, always busy"),
            Column("because", "left", "speed", folds=True),
        ),
        rows,
        remarks=(_ALWAYS_BUSY,),
        records=tuple(name_of(refusal.record) for refusal in plan.refusals),
    )


def validation_table(name: str, validated: Sequence[ValidatedLoad]) -> Table:
    """Return predicted beside measured latency of one machine, at each load."""
    notes, unit = Notes(), unit_for([1e9 * load.measured for load in validated], TIMES)
    percent = f"p{validated[0].percent:g} {unit.name}"
    rows = tuple(
        (
            TableCell(shown(load.rate), value=load.rate),
            TableCell(f"{100 * load.utilisation:.0f} %", value=load.utilisation),
            _busy_cell(load.busy, notes),
            latency_cell(load.predicted, unit),
            latency_cell(load.window, unit),
            TableCell(shown(1e9 * load.measured / unit.size), value=load.measured),
            TableCell(f"{load.agreeing} of {load.windows}", value=float(load.agreeing)),
            TableCell(
                f"{load.expected * load.windows:.0f} of {load.windows}", value=load.expected * load.windows
            ),
            TableCell(
                f"{load.covered} of {load.windows}, {100 * load.covered / load.windows:.0f} %",
                value=float(load.covered),
            ),
            TableCell(f"{load.requests:,}", value=float(load.requests)),
            TableCell(load.source),
        )
        for load in validated
    )
    headings = (
        *(
            "requests/s",
            "busy, predicted",
            "busy, measured",
            f"predicted {percent}, steady state",
            f"predicted {percent}, a window",
        ),
        *(
            f"measured {percent}",
            f"windows within {100 * TOLERANCE:.0f} %",
            "expected within",
            "windows in the interval",
        ),
        *("requests of a window", "service times of the prediction"),
    )
    return Table(
        f"Predicted and measured: {name} in run {validated[0].run}",
        (*_columns("right", "name", headings[0]), *_columns("right", "speed", *headings[1:])),
        rows,
        notes=tuple(notes.texts),
        remarks=(_VALIDATION, *_load_remarks(validated)),
    )


def _busy_cell(busy: float | Unavailable, notes: Notes) -> TableCell:
    if isinstance(busy, Unavailable):
        return absent_cell(busy, notes)
    return TableCell(f"{100 * busy:.0f} %", value=busy)


def _load_remarks(validated: Sequence[ValidatedLoad]) -> Iterator[str]:
    """Yield the loads at which requests took longer, or less long, than the prediction's service times."""
    for load in validated:
        if isinstance(load.busy, Unavailable) or abs(load.busy / load.utilisation - 1) <= TOLERANCE:
            continue
        rate, longer = shown(load.rate), load.busy / load.utilisation
        yield (
            f"At {rate} requests/s a request took {longer:.2f} times as long as in {load.source}: measure "
            f"--scenario server --rate {rate}, and plan by that run."
        )


def latency_cell(estimate: Estimate, unit: Unit) -> TableCell:
    """Return a latency in seconds as a cell; an interval may have no end."""
    value, low, high = (1e9 * number for number in (estimate.value, estimate.low, estimate.high))
    if math.isfinite(high):
        return estimate_cell(replace(estimate, value=value, low=low, high=high), unit, TIMES)
    text, _ = with_interval(value / unit.size, low / unit.size, value / unit.size)
    return TableCell(text, f"[{shown(low / unit.size)}, endless]", value=value)


def _name_cell(row: PlanRow, notes: Notes) -> TableCell:
    note = notes.number(f"{'; '.join(row.warnings)}.") if row.warnings else None
    return TableCell(choice_of(row), note=note)


def _quality_cell(row: PlanRow, notes: Notes) -> TableCell:
    quality = quality_of(row)
    return absent_cell(quality, notes) if isinstance(quality, Unavailable) else share_cell(quality)


def _energy_cells(
    energy: DayEnergy | Unavailable, unit: Unit, notes: Notes, *, graded: bool
) -> tuple[TableCell, TableCell]:
    """Return busy and idle joules; a note names the grade where the heading does not."""
    if isinstance(energy, Unavailable):
        return absent_cell(energy, notes), absent_cell(energy, notes)
    note = None if graded else notes.number(f"{energy.grade}.")
    busy = TableCell(shown(energy.busy_j / unit.size), note=note, value=energy.busy_j)
    if isinstance(energy.idle_j, Unavailable):
        return busy, absent_cell(energy.idle_j, notes)
    return busy, TableCell(shown(energy.idle_j / unit.size), value=energy.idle_j)


def _maybe_cell(value: float | Unavailable, notes: Notes) -> TableCell:
    return absent_cell(value, notes) if isinstance(value, Unavailable) else _number_cell(value)


def _number_cell(value: float) -> TableCell:
    return TableCell(shown(value), value=value)


def _columns(align: str, part: str, *headings: str) -> list[Column]:
    return [Column(heading, align, part) for heading in headings]  # type: ignore[arg-type]  # literals above


def _remarks(plan: CapacityPlan) -> Iterator[str]:
    options, rows = plan.options, plan.rows
    yield (
        f"Latencies are those at the peak, {plan.demand.peak:,.4g} requests a second. They are computed, not "
        "measured: a queue in steady state with the measured service times and random arrivals, "
        f"{options.dispatch} between machines."
    )
    yield f"Utilisation at the peak is at most {100 * options.objective.headroom:.0f} % (--headroom)."
    if options.spare:
        yield f"Spare machines, which serve as well: {options.spare} (--spare)."
    yield (
        "Front: no other choice is as good in quality, cost and p99, and better in one. Next cheaper: the "
        "dearest choice of the same variant that costs less, and why it fails."
    )
    if assumption := assumption_of(rows):
        yield assumption


def _latency_remarks(plan: CapacityPlan) -> Iterator[str]:
    whole = (
        "every request of it was simulated"
        if plan.options.whole_day
        else "a sample of each hour was simulated"
    )
    yield f"At the peak, {plan.demand.peak:,.4g} requests a second; over the whole day {whole}."
    yield (
        "Computed: service times and quality were measured, arrivals are random. Intervals are by resampled "
        "rounds."
    )


def _cost_remarks(plan: CapacityPlan, grid: Grid | None) -> Iterator[str]:
    rows = plan.rows
    by_source: dict[str, list[str]] = {}
    for row in rows:
        source = row.machine.price_source.removeprefix(f"{row.machine.name}; ")
        price = f"{row.machine.name or 'one like the measured'} {row.machine.usd_per_hour:g}"
        by_source.setdefault(source, []).append(price)
    prices = listed(f"{', '.join(dict.fromkeys(own))} ({source})" for source, own in by_source.items())
    yield f"Machines are paid for whether they answer or wait. USD an hour, not today's: {prices}."
    yield _ALWAYS_BUSY
    if sources := listed(row.energy.source for row in rows if isinstance(row.energy, DayEnergy)):
        yield f"Energy: {sources}."
    if grid:
        yield f"Carbon: {grid.grams_per_kwh:g} g CO2e per kWh ({grid.source})."
