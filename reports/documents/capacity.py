"""The capacity plan: a row for each variant and placement, with what was refused and every factor below."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from harness.analysis.capacity.plan import CapacityPlan, DayEnergy, PlanRow
from harness.analysis.capacity.validation import ValidatedLoad
from harness.common.errors import unknown_name
from harness.common.json_types import JsonObject, JsonValue
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import absent_cell, estimate_cell, share_cell
from reports.layout.number_format import TIMES, Unit, shown, unit_for
from reports.layout.style import WIDTH
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.render import markdown, terminal
from reports.render.json_values import as_value, encoded
from reports.values.prices import Grid, Price

SCHEMA_VERSION = 1
FORMATS = ("text", "markdown", "json")

_HOURS, _DAYS_A_MONTH = 24, 365.25 / 12
_REQUESTS = 1e8
_J_PER_KWH = 3.6e6
_VALIDATION = (
    "Predicted from the service times of the plan's run; measured in a new run with other arrivals. A window "
    "begins with an empty queue, so near capacity it has fewer long waits than the steady state."
)
_ENERGIES = (Unit("MJ", 1e6), Unit("kJ", 1e3), Unit("J", 1.0))


@dataclass(frozen=True, slots=True)
class PlanCost:
    """What the machines of one row cost in USD, and what their energy emits."""

    usd_per_day: float
    usd_per_month: float
    usd_per_100m: float
    kg_per_day: float | Unavailable


def cost_of(row: PlanRow, plan: CapacityPlan, price: Price, grid: Grid | None) -> PlanCost:
    """Return the cost of a row: machines are paid for all day, whether they answer or wait."""
    usd = row.machines * price.usd_per_hour * _HOURS
    return PlanCost(usd, usd * _DAYS_A_MONTH, usd / plan.demand.per_day * _REQUESTS, _kg(row.energy, grid))


def render(
    plan: CapacityPlan,
    form: str,
    price: Price,
    grid: Grid | None,
    validated: Sequence[ValidatedLoad] = (),
    *,
    width: int = WIDTH,
    color: bool = False,
) -> str:
    """Return the plan in a format; raises UsageError for an unknown format."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if form == "json":
        loads = [asdict(load) for load in validated]
        return encoded({**_fields(plan, price, grid), **({"validation": loads} if loads else {})})
    tables = [plan_table(plan, price, grid)]
    if validated:
        tables.append(validation_table(plan, validated))
    if form == "markdown":
        return "\n\n".join(markdown.render_table(table) for table in tables)
    return "\n\n".join(terminal.render_table(table, width=width, color=color) for table in tables)


def validation_table(plan: CapacityPlan, validated: Sequence[ValidatedLoad]) -> Table:
    """Return predicted beside measured latency of one machine, at each load."""
    unit = unit_for([1e9 * load.measured for load in validated], TIMES)
    percent = validated[0].percent
    headings = (
        "requests/s",
        "busy",
        f"predicted p{percent:g} {unit.name}",
        f"measured p{percent:g} {unit.name}",
    )
    rows = tuple(
        (
            TableCell(shown(load.rate), value=load.rate),
            TableCell(f"{100 * load.utilisation:.0f} %", value=load.utilisation),
            estimate_cell(_ns(load.predicted), unit, TIMES),
            TableCell(shown(1e9 * load.measured / unit.size), value=load.measured),
            TableCell(f"{load.agreeing} of {load.windows}"),
        )
        for load in validated
    )
    return Table(
        f"Predicted and measured: {_name(plan.rows[0])} on this machine",
        tuple(_columns("right", "speed", *headings)),
        rows,
        remarks=(_VALIDATION,),
    )


def plan_table(plan: CapacityPlan, price: Price, grid: Grid | None) -> Table:
    """Return the table of the plan; its notes state what is absent."""
    notes, front, units = Notes(), _front(plan), _units_of(plan)
    rows = tuple(
        (
            *_name_cells(row, notes),
            *_latency_cells(row, units.time),
            *_energy_cells(row.energy, units.energy, notes),
            *_cost_cells(cost_of(row, plan, price, grid), notes),
            TableCell("yes" if row in front else "no"),
        )
        for row in plan.rows
    )
    return Table(
        f"Machines for {plan.demand.description}, with {_promise(plan)}",
        _headings(plan, units),
        rows,
        notes=tuple(notes.texts),
        remarks=tuple(_remarks(plan, price, grid)),
    )


@dataclass(frozen=True, slots=True)
class _Units:
    """The units of latency and energy, and the grade that all energies share, with a blank behind it."""

    time: Unit
    energy: Unit
    grade: str


def _units_of(plan: CapacityPlan) -> _Units:
    energies = [row.energy for row in plan.rows if isinstance(row.energy, DayEnergy)]
    grades = {energy.grade for energy in energies}
    return _Units(
        unit_for([1e9 * row.latency.percentiles[99.0].value for row in plan.rows], TIMES),
        unit_for([energy.busy_j for energy in energies], _ENERGIES),
        f"{next(iter(grades))} " if len(grades) == 1 else "",
    )


def _headings(plan: CapacityPlan, units: _Units) -> tuple[Column, ...]:
    percents = plan.rows[0].latency.percentiles if plan.rows else {}
    energies = [f"{units.grade}{part} {units.energy.name}/day" for part in ("busy", "idle")]
    return (
        *_columns("left", "name", "variant", "placement"),
        *_columns("right", "speed", "quality", "machines", "busy at peak"),
        *_columns("right", "speed", *(f"p{percent:g} {units.time.name}" for percent in percents)),
        Column("one machine fewer", "left", "speed", folds=True),
        *_columns("right", "energy", *energies),
        *_columns("right", "cost", f"{units.grade}kg CO2e/day", "USD/day", "USD/month", "USD/100M"),
        *_columns("left", "cost", "front"),
    )


def _name_cells(row: PlanRow, notes: Notes) -> tuple[TableCell, ...]:
    return (
        TableCell(
            row.record.cell.variant, note=notes.number(_sentence(row.warnings)) if row.warnings else None
        ),
        TableCell(_placement(row)),
        _quality_cell(row, notes),
        TableCell(f"{row.machines:,}", value=float(row.machines)),
        TableCell(f"{100 * row.latency.utilisation:.0f} %", value=row.latency.utilisation),
    )


def _latency_cells(row: PlanRow, unit: Unit) -> tuple[TableCell, ...]:
    latencies = [estimate_cell(_ns(estimate), unit, TIMES) for estimate in row.latency.percentiles.values()]
    return (*latencies, TableCell(row.sizing.one_fewer))


def _cost_cells(cost: PlanCost, notes: Notes) -> tuple[TableCell, ...]:
    prices = (cost.usd_per_day, cost.usd_per_month, cost.usd_per_100m)
    return (_number_cell(cost.kg_per_day, notes), *(TableCell(shown(usd), value=usd) for usd in prices))


def _columns(align: str, part: str, *headings: str) -> list[Column]:
    return [Column(heading, align, part) for heading in headings]  # type: ignore[arg-type]  # literals above


def _placement(row: PlanRow) -> str:
    cell = row.record.cell
    return f"{row.times.instances} x {cell.threads} thread{'s' if cell.threads > 1 else ''}"


def _quality(row: PlanRow) -> Estimate | Unavailable:
    quality = row.record.quality
    if quality is None or quality.unavailable or quality.primary not in quality.metrics:
        return Unavailable(quality.unavailable if quality and quality.unavailable else "no answer was scored")
    return quality.metrics[quality.primary]


def _quality_cell(row: PlanRow, notes: Notes) -> TableCell:
    quality = _quality(row)
    return absent_cell(quality, notes) if isinstance(quality, Unavailable) else share_cell(quality)


def _energy_cells(energy: DayEnergy | Unavailable, unit: Unit, notes: Notes) -> tuple[TableCell, TableCell]:
    if isinstance(energy, Unavailable):
        return absent_cell(energy, notes), absent_cell(energy, notes)
    busy = TableCell(shown(energy.busy_j / unit.size), value=energy.busy_j)
    if isinstance(energy.idle_j, Unavailable):
        return busy, absent_cell(energy.idle_j, notes)
    return busy, TableCell(shown(energy.idle_j / unit.size), value=energy.idle_j)


def _number_cell(value: float | Unavailable, notes: Notes) -> TableCell:
    return (
        absent_cell(value, notes) if isinstance(value, Unavailable) else TableCell(shown(value), value=value)
    )


def _kg(energy: DayEnergy | Unavailable, grid: Grid | None) -> float | Unavailable:
    if isinstance(energy, Unavailable):
        return energy
    if grid is None:
        return Unavailable("no intensity of a grid was given; use --carbon")
    if isinstance(energy.idle_j, Unavailable):
        return Unavailable(f"the energy of waiting machines is unknown: {energy.idle_j.reason}")
    return (energy.busy_j + energy.idle_j) / _J_PER_KWH * grid.grams_per_kwh / 1e3


def _front(plan: CapacityPlan) -> list[PlanRow]:
    """Return the rows that no other beats in quality, machines and p99 at once."""
    return [row for row in plan.rows if not any(_dominates(other, row) for other in plan.rows)]


def _dominates(row: PlanRow, other: PlanRow) -> bool:
    better = [_badness(row), _badness(other)]
    return all(a <= b for a, b in zip(*better, strict=True)) and better[0] != better[1]


def _badness(row: PlanRow) -> tuple[float, ...]:
    quality = _quality(row)
    lost = 0.0 if isinstance(quality, Unavailable) else -quality.value
    return (lost, float(row.machines), row.latency.percentiles[99.0].value)


def _promise(plan: CapacityPlan) -> str:
    objective = plan.options.objective
    return f"p{objective.percent:g} at most {1e3 * objective.bound_s:.4g} ms"


def _remarks(plan: CapacityPlan, price: Price, grid: Grid | None) -> Iterator[str]:
    options, rows = plan.options, plan.rows
    yield (
        f"Latencies are those at the peak, {plan.demand.peak:,.4g} requests a second. They are computed, not "
        "measured: a queue in steady state with the measured service times and random arrivals, "
        f"{options.dispatch} between machines."
    )
    yield f"Utilisation at the peak is at most {100 * options.objective.headroom:.0f} % (--headroom)."
    if options.spare:
        yield f"Spare machines, which serve as well: {options.spare} (--spare)."
    yield f"Over the whole day p99 is {_listed(f'{_name(row)} {_ms(row.day_p99_s)}' for row in rows)}."
    yield f"Service times: {_listed(f'{_name(row)} in {row.times.source}' for row in rows)}."
    yield (
        "A machine is one like the measured one, paid for whether it answers or waits. "
        f"Price: {price.usd_per_hour:g} USD an hour ({price.source})."
    )
    sources = dict.fromkeys(row.energy.source for row in rows if isinstance(row.energy, DayEnergy))
    if sources:
        yield f"Energy: {_listed(sources)}."
    if grid:
        yield f"Carbon: {grid.grams_per_kwh:g} g CO2e per kWh ({grid.source})."
    for refusal in plan.refusals:
        yield f"Left out: {refusal.record.cell.variant}, because {refusal.reason.rstrip('.')}."


def _name(row: PlanRow) -> str:
    return f"{row.record.cell.variant} ({_placement(row)})"


def _sentence(warnings: Sequence[str]) -> str:
    return f"{'; '.join(warnings)}."


def _listed(parts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(parts))


def _ms(seconds: float) -> str:
    return f"{shown(1e3 * seconds)} ms"


def _ns(estimate: Estimate) -> Estimate:
    value, low, high = (1e9 * number for number in (estimate.value, estimate.low, estimate.high))
    return replace(estimate, value=value, low=low, high=high)


def _fields(plan: CapacityPlan, price: Price, grid: Grid | None) -> JsonObject:
    front = _front(plan)
    return {
        "schema_version": SCHEMA_VERSION,
        "demand": {
            "description": plan.demand.description,
            "peak_per_s": plan.demand.peak,
            "requests_per_day": plan.demand.per_day,
            "segments": [asdict(segment) for segment in plan.demand.segments],
        },
        "slo": _promise(plan),
        "headroom": plan.options.objective.headroom,
        "dispatch": plan.options.dispatch,
        "spare": plan.options.spare,
        "price": asdict(price),
        "carbon": asdict(grid) if grid else None,
        "rows": [_row_fields(row, plan, price, grid, front) for row in plan.rows],
        "refused": [
            {"run": refusal.record.run, "variant": refusal.record.cell.variant, "reason": refusal.reason}
            for refusal in plan.refusals
        ],
    }


def _row_fields(
    row: PlanRow, plan: CapacityPlan, price: Price, grid: Grid | None, front: Sequence[PlanRow]
) -> JsonObject:
    cost = cost_of(row, plan, price, grid)
    return {
        "run": row.record.run,
        "variant": row.record.cell.variant,
        "instances": row.times.instances,
        "threads": row.record.cell.threads,
        "service_times": row.times.source,
        "quality": as_value(_quality(row)),
        "machines": row.machines,
        "one_machine_fewer": row.sizing.one_fewer,
        "utilisation": row.latency.utilisation,
        "latency_s": {f"p{percent:g}": as_value(value) for percent, value in row.latency.percentiles.items()},
        "day_p99_s": row.day_p99_s,
        "energy": _energy_fields(row.energy),
        "usd_per_day": cost.usd_per_day,
        "usd_per_month": cost.usd_per_month,
        "usd_per_100m_requests": cost.usd_per_100m,
        "kg_co2e_per_day": _plain(cost.kg_per_day),
        "on_front": row in front,
        "warnings": list(row.warnings),
    }


def _energy_fields(energy: DayEnergy | Unavailable) -> JsonValue:
    if isinstance(energy, Unavailable):
        return str(energy)
    return {
        "busy_j_per_day": energy.busy_j,
        "idle_j_per_day": _plain(energy.idle_j),
        "grade": energy.grade,
        "source": energy.source,
    }


def _plain(value: float | Unavailable) -> JsonValue:
    return str(value) if isinstance(value, Unavailable) else value
