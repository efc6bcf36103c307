"""Figures of a capacity plan: cost, emissions, the Pareto front, and the sentences of its documents."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.capacity.energy import DayEnergy
from harness.analysis.capacity.machine_types import measured_vcpus
from harness.analysis.capacity.plan import CapacityPlan, PlanRow, Refusal
from harness.records.estimate import Estimate, Unavailable
from reports.layout.number_format import shown
from reports.values.prices import Grid

REQUESTS = 1e8
"""The paper's unit: costs of 100 million requests."""

DAYS_A_MONTH = 365.25 / 12
_J_PER_KWH = 3.6e6
_WHOLE = 10


@dataclass(frozen=True, slots=True)
class PlanCost:
    """USD of the machines of one row, and kilograms of CO2 equivalent of their energy."""

    usd_per_day: float
    usd_per_month: float
    usd_per_100m: float
    kg_per_day: float | Unavailable
    kg_per_month: float | Unavailable
    kg_per_100m: float | Unavailable


def cost_of(row: PlanRow, plan: CapacityPlan, grid: Grid | None) -> PlanCost:
    """Return the cost of a row: machines are paid for all day, whether they answer or wait."""
    usd, kg = row.usd_per_day, _kg_per_day(row.energy, grid)
    per_100m = REQUESTS / plan.demand.per_day
    return PlanCost(
        usd, usd * DAYS_A_MONTH, usd * per_100m, kg, _times(kg, DAYS_A_MONTH), _times(kg, per_100m)
    )


def _kg_per_day(energy: DayEnergy | Unavailable, grid: Grid | None) -> float | Unavailable:
    if isinstance(energy, Unavailable):
        return energy
    if grid is None:
        return Unavailable("no intensity of a grid was given; use --carbon")
    if isinstance(energy.idle_j, Unavailable):
        return Unavailable(f"the energy of waiting machines is unknown: {energy.idle_j.reason}")
    return (energy.busy_j + energy.idle_j) / _J_PER_KWH * grid.grams_per_kwh / 1e3


def _times(value: float | Unavailable, factor: float) -> float | Unavailable:
    return value if isinstance(value, Unavailable) else factor * value


def quality_of(row: PlanRow) -> Estimate | Unavailable:
    """Return the primary metric of a row's record."""
    quality = row.record.quality
    if quality is None or quality.unavailable or quality.primary not in quality.metrics:
        return Unavailable(quality.unavailable if quality and quality.unavailable else "no answer was scored")
    return quality.metrics[quality.primary]


def front_of(plan: CapacityPlan) -> list[PlanRow]:
    """Return the rows that no other beats in quality, cost and p99 at once."""
    return [row for row in plan.rows if not any(_dominates(other, row) for other in plan.rows)]


def _dominates(row: PlanRow, other: PlanRow) -> bool:
    own, others = _badness(row), _badness(other)
    return own != others and all(mine <= theirs for mine, theirs in zip(own, others, strict=True))


def _badness(row: PlanRow) -> tuple[float, ...]:
    quality = quality_of(row)
    lost = 0.0 if isinstance(quality, Unavailable) else -quality.value
    return (lost, row.usd_per_day, row.latency.percentiles[99.0].value)


def placement_of(row: PlanRow) -> str:
    """Return instances and threads on one machine, and how batches are collected."""
    threads = row.record.cell.threads
    placed = f"{row.service.instances} x {threads} thread{'s' if threads > 1 else ''}"
    return ", ".join(filter(None, (placed, row.service.how)))


def choice_of(row: PlanRow) -> str:
    """Return variant, how it serves, and machine type of a row, as a table names it."""
    on = f" on {row.machine.name}" if row.machine.name else ""
    return ", ".join(filter(None, (f"{row.record.cell.variant}{on}", row.service.how)))


def row_name(row: PlanRow) -> str:
    """Return variant, placement and machine type of a row, for sentences."""
    where = f", {row.machine.name}" if row.machine.name else ""
    return f"{row.record.cell.variant} ({placement_of(row)}{where})"


def promise_of(plan: CapacityPlan) -> str:
    """Return the objective in words."""
    objective = plan.options.objective
    return f"p{objective.percent:g} at most {1e3 * objective.bound_s:.4g} ms"


def dollars(usd: float) -> str:
    """Return an amount for a sentence: whole dollars from 10 on."""
    return f"{usd:,.0f}" if usd >= _WHOLE else shown(usd)


def machines_of(row: PlanRow) -> str:
    """Return the machines of a row in words: `1 machine`, `1,200 machines`."""
    return f"{row.machines:,} machine{'s' if row.machines > 1 else ''}"


def headline_of(plan: CapacityPlan) -> str:
    """Return the answer in a few words: the cheapest row that keeps the objective."""
    row = plan.rows[0]
    machines = machines_of(row)
    kind = f"{machines} of {row.machine.name}" if row.machine.name else machines
    return f"{row.record.cell.variant} on {kind}: {dollars(row.usd_per_day)} USD a day"


def sentences_of(plan: CapacityPlan) -> Iterator[str]:
    """Yield what the cheapest row keeps, why fewer machines do not, and what the others cost."""
    row = plan.rows[0]
    percent = plan.options.objective.percent
    latency = row.latency.percentiles[percent]
    yield (
        f"{row_name(row)} serves {plan.demand.description}, with {promise_of(plan)} on "
        f"{machines_of(row)}, {100 * row.latency.utilisation:.0f} % busy at the peak. "
        f"Computed there: p{percent:g} {ms(latency.value)}, {ms(latency.low)} to {ms(latency.high)}."
    )
    if row.next_cheaper != "none":
        yield f"The next cheaper choice fails: {row.next_cheaper}."
    yield from _against_the_dearest(plan)


def _against_the_dearest(plan: CapacityPlan) -> Iterator[str]:
    """Yield what the dearest kept choice costs, and what a machine that never waits costs, first and last."""
    row, last = plan.rows[0], plan.rows[-1]
    if last.record.cell.variant != row.record.cell.variant:
        factor = shown(last.usd_per_day / row.usd_per_day)
        yield (
            f"The dearest that keeps it, {row_name(last)}, needs {machines_of(last)} and "
            f"{dollars(last.usd_per_day)} USD a day, {factor} times as much."
        )
    costs = list(always_busy_costs(plan))
    (dearest, most), (cheapest, least) = max(costs, key=_cost), min(costs, key=_cost)
    if dearest != cheapest:
        yield (
            f"Counted as the FastFormers paper does, on machines that never wait, 100 million requests cost "
            f"{dollars(most)} USD with {dearest} and {dollars(least)} USD with {cheapest}."
        )


def always_busy_costs(plan: CapacityPlan) -> Iterator[tuple[str, float]]:
    """Yield each variant with USD for 100 million requests on machines that never wait, refused ones too."""
    items: list[PlanRow | Refusal] = [*plan.rows, *plan.refusals]
    for item in items:
        if item.always_busy_usd is not None:
            yield item.record.cell.variant, item.always_busy_usd


def _cost(named: tuple[str, float]) -> float:
    return named[1]


def assumption_of(rows: Sequence[PlanRow]) -> str:
    """Return what a plan assumes of machine types, or nothing where machines are like the measured one."""
    rented = {row.machine.name: row for row in rows if row.machine.name}
    if not rented:
        return ""
    record = rows[0].record
    cpus = measured_vcpus(record)
    model = record.host.facts.get("cpu_model") or record.host.facts.get("model") or "an unknown processor"
    types = listed(
        f"{name} has {row.machine.vcpus} vCPUs of {' or '.join(row.machine.processors)}"
        for name, row in rented.items()
    )
    return (
        f"Assumed, not measured: an instance type serves as much as the measured machine ({model}, "
        f"{cpus} CPUs) for each {cpus} of its vCPUs, each request as fast. {types}. Measure on the type "
        "before you rent many."
    )


def listed(parts: Iterable[str]) -> str:
    """Return distinct parts, separated by semicolons."""
    return "; ".join(dict.fromkeys(parts))


def ms(seconds: float) -> str:
    """Return a time in milliseconds; `endless` for one that never ends."""
    return f"{shown(1e3 * seconds)} ms" if seconds < float("inf") else "endless"
