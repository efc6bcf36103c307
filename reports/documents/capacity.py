"""The capacity plan as text, Markdown, a page and JSON.

CapacityPlan --capacity_values, capacity_tables, capacity_plot--> text | markdown | html --> people
             --as_json--> programs
"""

import math
from collections.abc import Sequence
from dataclasses import asdict

from harness.analysis.capacity.energy import DayEnergy
from harness.analysis.capacity.plan import CapacityPlan, PlanRow, Refusal
from harness.analysis.capacity.validation import ValidatedLoad
from harness.common.errors import unknown_name
from harness.common.json_types import JsonObject, JsonValue
from harness.records.estimate import Estimate, Unavailable
from reports.documents.capacity_page import as_page
from reports.documents.capacity_plot import front_plot
from reports.documents.capacity_tables import (
    cost_table,
    latency_table,
    plan_table,
    refusal_table,
    validation_table,
)
from reports.documents.capacity_values import (
    cost_of,
    front_of,
    promise_of,
    quality_of,
    row_name,
    sentences_of,
)
from reports.layout.style import WIDTH
from reports.layout.table_model import Table
from reports.layout.verdict_sentences import VerdictText
from reports.plots.drawing import Plot
from reports.render import markdown, terminal
from reports.render.json_values import as_value, encoded
from reports.values.prices import Grid

SCHEMA_VERSION = 1
FORMATS = ("text", "markdown", "html", "json")


def check_format(form: str) -> None:
    """Raise UsageError for an unknown format."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)


def render(
    plan: CapacityPlan,
    form: str,
    grid: Grid | None,
    validated: Sequence[ValidatedLoad] = (),
    *,
    width: int = WIDTH,
    color: bool = False,
) -> str:
    """Return the plan in a format; raises UsageError for an unknown format."""
    check_format(form)
    if form == "json":
        loads = [_load_fields(load) for load in validated]
        return encoded({**_fields(plan, grid), **({"validation": loads} if loads else {})})
    tables = tables_of(plan, grid, validated)
    if form == "html":
        return as_page(plan, tables)
    verdict = [VerdictText("", " ".join(sentences_of(plan)))] if plan.rows else []
    if form == "markdown":
        return "\n\n".join([markdown.render_verdicts(verdict), *map(markdown.render_table, tables)])
    texts = [terminal.render_table(table, width=width, color=color) for table in tables]
    return "\n\n".join([*texts, terminal.render_verdicts(verdict, width=width, color=color)])


def plots(plan: CapacityPlan) -> list[Plot]:
    """Return the plots of a plan."""
    plot = front_plot(plan)
    return [plot] if plot else []


def tables_of(plan: CapacityPlan, grid: Grid | None, validated: Sequence[ValidatedLoad] = ()) -> list[Table]:
    """Return the tables of a plan: machines, money, latency, what was left out, the validation."""
    tables = [plan_table(plan), cost_table(plan, grid), latency_table(plan)]
    if refused := refusal_table(plan):
        tables.append(refused)
    if validated:
        tables.append(validation_table(row_name(_validated_row(plan)), validated))
    return tables


def _validated_row(plan: CapacityPlan) -> PlanRow:
    """Return the row that is measured again: the first that serves requests one by one."""
    return next((row for row in plan.rows if not row.measured.how), plan.rows[0])


def _fields(plan: CapacityPlan, grid: Grid | None) -> JsonObject:
    front, options = front_of(plan), plan.options
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": " ".join(sentences_of(plan)) if plan.rows else "",
        "demand": {
            "description": plan.demand.description,
            "peak_per_s": plan.demand.peak,
            "requests_per_day": plan.demand.per_day,
            "segments": [asdict(segment) for segment in plan.demand.segments],
        },
        "slo": promise_of(plan),
        "headroom": options.objective.headroom,
        "dispatch": options.dispatch,
        "spare": options.spare,
        "whole_day": options.whole_day,
        "carbon": asdict(grid) if grid else None,
        "rows": [_row_fields(row, plan, grid, front) for row in plan.rows],
        "refused": [_refusal_fields(refusal) for refusal in plan.refusals],
    }


def _refusal_fields(refusal: Refusal) -> JsonObject:
    return {
        "run": refusal.record.run,
        "variant": refusal.record.cell.variant,
        "serves": refusal.how or None,
        "reason": refusal.reason,
        "usd_per_100m_requests_always_busy": refusal.always_busy_usd,
    }


def _row_fields(row: PlanRow, plan: CapacityPlan, grid: Grid | None, front: Sequence[PlanRow]) -> JsonObject:
    cost, machine = cost_of(row, plan, grid), row.machine
    return {
        "run": row.record.run,
        "variant": row.record.cell.variant,
        "instances": row.service.instances,
        "threads": row.record.cell.threads,
        "serves": row.service.how or None,
        "service_times": row.service.source,
        "machine": {
            "name": machine.name or None,
            "vcpus": machine.vcpus,
            "usd_per_hour": machine.usd_per_hour,
            "price_source": machine.price_source,
        },
        "quality": as_value(quality_of(row)),
        "machines": row.machines,
        "one_machine_fewer": row.sizing.one_fewer,
        "next_cheaper": row.next_cheaper,
        "utilisation": row.latency.utilisation,
        "requests_per_call": row.latency.batch,
        "latency_s": {
            f"p{percent:g}": _estimate_fields(value) for percent, value in row.latency.percentiles.items()
        },
        "day_p99_s": row.day_p99_s,
        "energy": _energy_fields(row.energy),
        "usd_per_day": cost.usd_per_day,
        "usd_per_month": cost.usd_per_month,
        "usd_per_100m_requests": cost.usd_per_100m,
        "usd_per_100m_requests_always_busy": row.always_busy_usd,
        "kg_co2e_per_day": _plain(cost.kg_per_day),
        "kg_co2e_per_month": _plain(cost.kg_per_month),
        "kg_co2e_per_100m_requests": _plain(cost.kg_per_100m),
        "on_front": row in front,
        "warnings": list(row.warnings),
    }


def _load_fields(load: ValidatedLoad) -> JsonObject:
    estimates = {name: _estimate_fields(getattr(load, name)) for name in ("predicted", "window")}
    return {**asdict(load), "busy": _plain(load.busy), **estimates}


def _estimate_fields(estimate: Estimate) -> JsonObject:
    """Return an estimate as a JSON object; an interval without an end has null there."""
    fields = asdict(estimate)
    return {**fields, "high": fields["high"] if math.isfinite(estimate.high) else None}


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
