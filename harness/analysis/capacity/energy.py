"""The joules of a day: of the requests, and of machines that wait.

meter of the record --joules per request, idle power--> busy and idle
power of a machine type --load of its CPUs over the day--> busy and idle, modelled
"""

from dataclasses import dataclass

from harness.analysis.capacity.demand import DAY_S, Demand
from harness.analysis.capacity.machine_types import PowerModel
from harness.analysis.capacity.service_model import ServiceModel
from harness.analysis.energy.idle_power import idle_power, net_of_idle
from harness.analysis.statistics.estimates import energies_of, energy_windows
from harness.records.estimate import Unavailable
from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class DayEnergy:
    """Joules of all machines in a day while they answer, and while they wait; grade and source of both."""

    busy_j: float
    idle_j: float | Unavailable
    grade: str
    source: str


def day_energy(
    service: ServiceModel, demand: Demand, machines: int, power: PowerModel | None
) -> DayEnergy | Unavailable:
    """Return the joules of a day: by the record's meter and idle power, or by a machine's published power."""
    if power is not None:
        return _published(service.record, demand, machines, power)
    record = service.record
    windows = energy_windows(record.rounds)
    if isinstance(windows, Unavailable):
        return windows
    gross = energies_of([(windows, [item.launch for item in record.rounds], None)])[0]
    idle, net = idle_power(record.idle), net_of_idle(record, windows, gross)
    if isinstance(idle, Unavailable) or isinstance(net, Unavailable):
        reason = idle if isinstance(idle, Unavailable) else Unavailable("idle power was not measured")
        joules = gross.microjoules.value / 1e6 * demand.per_day
        return DayEnergy(joules, reason, gross.grade, gross.source)
    busy_s = demand.per_day * service.mean / service.instances
    joules = net.microjoules.value / 1e6 * demand.per_day + idle.watts * busy_s
    return DayEnergy(joules, idle.watts * (machines * DAY_S - busy_s), gross.grade, gross.source)


def _published(record: Record, demand: Demand, machines: int, power: PowerModel) -> DayEnergy | Unavailable:
    """Return the joules by a power curve: what it shows at no load is idle, the rest busy.

    The load is the CPU time of the requests, as a share of the virtual CPUs of all machines.
    """
    requests = sum(item.requests for item in record.rounds)
    if not requests:
        return Unavailable("nothing was timed")
    cpu_s = sum(item.cpu_ns for item in record.rounds) / 1e9 / requests
    scale = DAY_S / demand.seconds
    whole = sum(
        power.watts(segment.rate * cpu_s / (machines * power.vcpus)) * segment.seconds
        for segment in demand.segments
    )
    idle = power.watts(0.0) * DAY_S * machines
    return DayEnergy(whole * machines * scale - idle, idle, "modelled", power.source)
