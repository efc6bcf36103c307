"""A capacity plan: for each variant the machines that a demand needs, their latency, energy and cost.

record --services_of--> service model --fewest_machines, on each machine type--> machines
                                      --latency_at--> latency at the peak
                                      --day_energy--> joules busy and idle
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.analysis.capacity.day import day_percentiles, whole_day_percentiles
from harness.analysis.capacity.demand import Demand
from harness.analysis.capacity.energy import DayEnergy, day_energy
from harness.analysis.capacity.machine_types import MachineType, always_busy_usd
from harness.analysis.capacity.queueing.batching import Batching
from harness.analysis.capacity.queueing.dispatch import Dispatch
from harness.analysis.capacity.queueing.steady_state import Servers
from harness.analysis.capacity.service_model import ServiceModel
from harness.analysis.capacity.service_times import LOW_LOAD, ServiceTimes
from harness.analysis.capacity.services import ReadSamples, check_comparable, services_of
from harness.analysis.capacity.sizing import (
    Latency,
    Objective,
    Sizing,
    fewest_machines,
    latency_at,
    most_machines,
)
from harness.analysis.statistics.estimates import MINIMUM_REQUESTS
from harness.records.estimate import Unavailable
from harness.records.record import Record

PERCENTILES = (50.0, 90.0, 99.0)

HOURS = 24

_ROUNDING = 1e-9

_MUCH_LESS = 0.6
"""A load below this share of the measured one has times of its own."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What is promised, on which machines, how requests are divided and collected, and what is added.

    `whole_day` simulates every request of the day for its p99.
    """

    objective: Objective
    machines: tuple[MachineType, ...]
    dispatch: Dispatch = "round-robin"
    spare: int = 0
    batchings: tuple[Batching, ...] = ()
    whole_day: bool = False


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One variant and placement on one machine type: `machines` include the spare ones, which serve as well.

    `measured` is the service of one measured machine, `service` that of one `machine`. `next_cheaper` names
    the dearest choice that costs less, for the same variant, and why it fails.
    """

    measured: ServiceModel
    service: ServiceModel
    machine: MachineType
    sizing: Sizing
    machines: int
    latency: Latency
    day_p99_s: float
    energy: DayEnergy | Unavailable
    next_cheaper: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def record(self) -> Record:
        """The record that the plan rests on."""
        return self.service.record

    @property
    def usd_per_day(self) -> float:
        """USD for all machines, which are paid for whether they answer or wait."""
        return self.machines * self.machine.usd_per_hour * HOURS

    @property
    def always_busy_usd(self) -> float:
        """USD for 100 million requests on machines that never wait, as the FastFormers paper counts."""
        return always_busy_usd(self.service.mean / self.service.instances, self.machine.usd_per_hour)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that no plan can rest on, or that keeps the SLO on no number of machines; and why.

    `always_busy_usd` is as in `PlanRow`, None where the times are unknown.
    """

    record: Record
    reason: str
    how: str = ""
    always_busy_usd: float | None = None


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """The rows by rising cost, what was refused, the demand and the options."""

    rows: tuple[PlanRow, ...]
    refusals: tuple[Refusal, ...]
    demand: Demand
    options: PlanOptions


def make_plan(
    records: Sequence[Record], samples: ReadSamples, demand: Demand, options: PlanOptions
) -> CapacityPlan:
    """Return the plan over these records; UsageError for those of unlike machines or several tasks."""
    check_comparable(records)
    rows: list[PlanRow] = []
    refusals: list[Refusal] = []
    for record, service in services_of(records, samples, options.batchings):
        if isinstance(service, Unavailable):
            refusals.append(Refusal(record, service.reason))
            continue
        results = [_row(service, machine, demand, options) for machine in options.machines]
        kept = [result for result in results if isinstance(result, PlanRow)]
        rows += [replace(row, next_cheaper=_next_cheaper(row, kept, options.spare)) for row in kept]
        refusals += [result for result in results if isinstance(result, Refusal)]
    by_cost = sorted(rows, key=lambda row: (row.usd_per_day, row.latency.percentiles[99.0].value))
    return CapacityPlan(tuple(by_cost), tuple(_distinct(refusals)), demand, options)


def _row(
    measured: ServiceModel, machine: MachineType, demand: Demand, options: PlanOptions
) -> PlanRow | Refusal:
    record = measured.record
    busy_usd = always_busy_usd(measured.mean / measured.instances, machine.usd_per_hour)
    copies = machine.copies(record)
    if isinstance(copies, Unavailable):
        return Refusal(record, copies.reason, measured.how)
    service = measured.on(copies)
    sizing = fewest_machines(service, demand.peak, options.objective, options.dispatch)
    if isinstance(sizing, Unavailable):
        return Refusal(record, sizing.reason, measured.how, busy_usd / copies)
    machines = sizing.machines + options.spare
    if machines > (most := most_machines(service, options.dispatch)):
        reason = (
            f"with spare machines it needs {machines:,}, and at most {most:,} are computed with dispatch "
            f"{options.dispatch}"
        )
        return Refusal(record, reason, measured.how, busy_usd / copies)
    servers = Servers(service.instances, machines, options.dispatch)
    latency = latency_at(service, demand.peak, servers, sorted({*PERCENTILES, options.objective.percent}))
    over_day = whole_day_percentiles if options.whole_day else day_percentiles
    return PlanRow(
        measured,
        service,
        machine,
        sizing,
        machines,
        latency,
        over_day(service, demand, servers, (99.0,))[99.0],
        day_energy(service, demand, servers, machine.power),
        warnings=tuple(_warnings(service, latency, options.objective)),
    )


def _next_cheaper(row: PlanRow, rows: Sequence[PlanRow], spare: int) -> str:
    """Return the dearest choice that costs less than this row, of the same variant, and why it fails."""
    choices = [(other, number) for other in rows if (number := _affordable(row, other)) > 0]
    if not choices:
        return "none"
    other, number = max(choices, key=lambda choice: choice[1] * choice[0].machine.usd_per_hour)
    unit = "machine" if number == 1 else "machines"
    name = f"{number:,} {unit}" if other is row else f"{number:,} x {other.machine.name}"
    return f"{name}: {_why_not(other, number, spare)}"


def _affordable(row: PlanRow, other: PlanRow) -> int:
    """Return how many machines of another row cost less than this row."""
    if other is row:
        return row.machines - 1
    hourly = row.machines * row.machine.usd_per_hour
    return min(other.machines, math.ceil(hourly / other.machine.usd_per_hour - _ROUNDING) - 1)


def _why_not(row: PlanRow, number: int, spare: int) -> str:
    if number >= row.machines:
        return "cheaper, and in this table"
    if number >= row.sizing.machines:
        return f"{number - row.sizing.machines:,} spare, not {spare:,}"
    if number <= spare:
        return "no more than the spare machines"
    return row.sizing.why_not(number - spare) if row.sizing.why_not else row.sizing.one_fewer


def _distinct(refusals: Sequence[Refusal]) -> Iterator[Refusal]:
    """Yield each reason of a record once, with the lowest cost."""
    by_reason: dict[tuple[str, str, str, str], Refusal] = {}
    for refusal in refusals:
        key = (refusal.record.run, refusal.record.cell.id, refusal.how, refusal.reason)
        cost = refusal.always_busy_usd
        known = by_reason.setdefault(key, refusal).always_busy_usd
        if cost is not None and known is not None and cost < known:
            by_reason[key] = refusal
    yield from by_reason.values()


def _warnings(service: ServiceModel, latency: Latency, objective: Objective) -> Iterator[str]:
    """Yield reasons to distrust the plan of a record."""
    distinct, needed = service.distinct, MINIMUM_REQUESTS[objective.percent]
    if distinct < needed:
        examples = service.record.data.examples
        more = "give more data" if examples < needed else f"measure more (--limit {needed})"
        yield (
            f"p{objective.percent:g} rests on the times of {distinct} distinct requests, and needs {needed}: "
            f"{more}"
        )
    high = latency.percentiles[objective.percent].high
    if high > objective.bound_s:
        longest = f"as long as {1e3 * high:.3g} ms" if math.isfinite(high) else "endless"
        yield f"within its interval p{objective.percent:g} may be {longest}: add a machine (--spare n+1)"
    utilisation, instances = service.utilisation, service.record.cell.instances
    if utilisation is not None and instances > 1 and utilisation < LOW_LOAD:
        yield (
            f"its {instances} instances were {100 * utilisation:.0f} % busy while this was "
            "measured, and each may be slower beside busy ones: measure it at a higher --rate"
        )
    if isinstance(service, ServiceTimes) and service.record.cell.scenario == "single-stream":
        remedy = "measure it with --scenario server --rate N"
        if service.without_server:
            remedy = f"its measurement in server does not show that, because {service.without_server}"
        yield (
            "its requests followed one another without a pause, and after one a short request may take "
            f"longer: {remedy}"
        )
    if utilisation is not None and latency.utilisation < _MUCH_LESS * utilisation:
        yield (
            f"its instances were {100 * utilisation:.0f} % busy while this was measured, and are "
            f"{100 * latency.utilisation:.0f} % here: after longer pauses a short request may take longer, "
            "so measure it at a lower --rate"
        )
    if service.record.load is not None and service.record.load.overloaded:
        yield "it was overloaded while this was measured"
