"""A capacity plan: for each measured variant the machines that a demand needs, their latency and energy.

record --service_times--> times --fewest_machines--> machines --latency_at--> latency at the peak
                                                              --day_energy--> joules busy and idle
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.capacity.day import day_percentiles
from harness.analysis.capacity.demand import DAY_S, Demand
from harness.analysis.capacity.queueing.dispatch import Dispatch
from harness.analysis.capacity.queueing.steady_state import Servers
from harness.analysis.capacity.service_times import LOW_LOAD, ServiceTimes, service_times
from harness.analysis.capacity.sizing import Latency, Objective, Sizing, fewest_machines, latency_at
from harness.analysis.idle_power import idle_power, net_of_idle
from harness.analysis.statistics.estimates import MINIMUM_REQUESTS, energies_of, energy_windows
from harness.records.estimate import Unavailable
from harness.records.record import Record

PERCENTILES = (50.0, 90.0, 99.0)

Watts = Callable[[float], float]
"""The power of a machine in watts at a utilisation from 0 to 1."""


@dataclass(frozen=True, slots=True)
class PowerModel:
    """The published power of a machine: `source` says whose figures it holds."""

    watts: Watts
    source: str


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What is promised, how requests are divided, how many machines are added, and the power of a machine."""

    objective: Objective
    dispatch: Dispatch = "round-robin"
    spare: int = 0
    power: PowerModel | None = None


@dataclass(frozen=True, slots=True)
class DayEnergy:
    """Joules of all machines in a day while they answer, and while they wait; grade and source of both."""

    busy_j: float
    idle_j: float | Unavailable
    grade: str
    source: str


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One variant and placement: `machines` include the spare ones, which serve as well."""

    times: ServiceTimes
    sizing: Sizing
    machines: int
    latency: Latency
    day_p99_s: float
    energy: DayEnergy | Unavailable
    warnings: tuple[str, ...] = ()

    @property
    def record(self) -> Record:
        """The record that the plan rests on."""
        return self.times.record


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that no plan can rest on, or that keeps the SLO on no number of machines; and why."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """The rows by rising number of machines, what was refused, the demand and the options."""

    rows: tuple[PlanRow, ...]
    refusals: tuple[Refusal, ...]
    demand: Demand
    options: PlanOptions


def make_plan(
    records: Sequence[Record],
    samples: Callable[[Record], Mapping[str, Any] | None],
    demand: Demand,
    options: PlanOptions,
) -> CapacityPlan:
    """Return the plan over these records."""
    rows, refusals = [], []
    for record in records:
        row = _row(record, samples(record), demand, options)
        if isinstance(row, Unavailable):
            refusals.append(Refusal(record, row.reason))
        else:
            rows.append(row)
    by_machines = sorted(rows, key=lambda row: (row.machines, row.latency.percentiles[99.0].value))
    return CapacityPlan(tuple(by_machines), tuple(refusals), demand, options)


def _row(
    record: Record, samples: Mapping[str, Any] | None, demand: Demand, options: PlanOptions
) -> PlanRow | Unavailable:
    times = service_times(record, samples)
    if isinstance(times, Unavailable):
        return times
    sizing = fewest_machines(times, demand.peak, options.objective, options.dispatch)
    if isinstance(sizing, Unavailable):
        return sizing
    machines = sizing.machines + options.spare
    servers = Servers(times.instances, machines, options.dispatch)
    return PlanRow(
        times,
        sizing,
        machines,
        latency_at(times, demand.peak, servers, sorted({*PERCENTILES, options.objective.percent})),
        day_percentiles(times, demand, servers, (99.0,))[99.0],
        day_energy(times, demand, machines, options.power),
        tuple(_warnings(times, options.objective.percent)),
    )


def day_energy(
    times: ServiceTimes, demand: Demand, machines: int, power: PowerModel | None
) -> DayEnergy | Unavailable:
    """Return the joules of a day: by the record's meter and idle power, or by a machine's published power."""
    if power is not None:
        return _published(times, demand, machines, power)
    record = times.record
    windows = energy_windows(record.rounds)
    if isinstance(windows, Unavailable):
        return windows
    gross = energies_of([(windows, [item.launch for item in record.rounds], None)])[0]
    idle, net = idle_power(record.idle), net_of_idle(record, windows, gross)
    if isinstance(idle, Unavailable) or isinstance(net, Unavailable):
        reason = idle if isinstance(idle, Unavailable) else Unavailable("idle power was not measured")
        joules = gross.microjoules.value / 1e6 * demand.per_day
        return DayEnergy(joules, reason, gross.grade, gross.source)
    busy_s = demand.per_day * float(times.all.mean()) / times.instances
    joules = net.microjoules.value / 1e6 * demand.per_day + idle.watts * busy_s
    return DayEnergy(joules, idle.watts * (machines * DAY_S - busy_s), gross.grade, gross.source)


def _published(times: ServiceTimes, demand: Demand, machines: int, power: PowerModel) -> DayEnergy:
    """Return the joules by a power curve: what it shows at no load is idle, the rest busy."""
    service_s, scale = float(times.all.mean()), DAY_S / demand.seconds
    whole = sum(
        power.watts(segment.rate * service_s / times.instances / machines) * segment.seconds
        for segment in demand.segments
    )
    idle = power.watts(0.0) * DAY_S * machines
    return DayEnergy(whole * machines * scale - idle, idle, "modelled", power.source)


def _warnings(times: ServiceTimes, percent: float) -> Iterator[str]:
    """Yield reasons to distrust the plan of a record."""
    distinct, needed = times.distinct, MINIMUM_REQUESTS[percent]
    if distinct < needed:
        yield (
            f"p{percent:g} rests on the times of {distinct} distinct requests, and needs {needed}: measure "
            f"more (--limit {needed})"
        )
    if times.utilisation is not None and times.instances > 1 and times.utilisation < LOW_LOAD:
        yield (
            f"its {times.instances} instances were {100 * times.utilisation:.0f} % busy while this was "
            "measured, and each may be slower beside busy ones: measure it at a higher --rate"
        )
    if times.record.load is not None and times.record.load.overloaded:
        yield "it was overloaded while this was measured"
