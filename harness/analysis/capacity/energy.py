"""The joules of a day: of the requests, and of machines that wait.

meter of the record --joules per request, idle power--> busy and idle
power of a machine type --load of its CPUs over the day--> busy and idle, modelled
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.analysis.capacity.day import levels
from harness.analysis.capacity.demand import DAY_S, Demand
from harness.analysis.capacity.machine_types import PowerModel, measured_vcpus
from harness.analysis.capacity.queueing.steady_state import Servers
from harness.analysis.capacity.service_model import ServiceModel
from harness.analysis.energy.idle_power import idle_power, net_of_idle
from harness.analysis.statistics.estimates import energies_of, energy_windows
from harness.records.estimate import Unavailable


@dataclass(frozen=True, slots=True)
class DayEnergy:
    """Joules of all machines in a day while they answer, and while they wait; grade and source of both."""

    busy_j: float
    idle_j: float | Unavailable
    grade: str
    source: str


def day_energy(
    service: ServiceModel, demand: Demand, servers: Servers, power: PowerModel | None
) -> DayEnergy | Unavailable:
    """Return the joules of a day: by the record's meter and idle power, or by a machine's published power.

    A machine that answers draws what it drew when it was measured, however full its batches are.
    """
    seconds = _seconds_by_rate(service, demand, servers)
    if power is not None:
        return _published(service, demand, servers.machines, power, seconds)
    record = service.record
    windows = energy_windows(record.rounds)
    if isinstance(windows, Unavailable):
        return windows
    gross = energies_of([(windows, [item.launch for item in record.rounds], None)])[0]
    idle, net = idle_power(record.idle), net_of_idle(record, windows, gross)
    scale = DAY_S / demand.seconds
    busy_s = scale * sum(item.rate * item.seconds * seconds(item.rate) for item in demand.segments)
    measured = busy_s / service.mean  # requests that would keep the measured machine busy for as long
    if isinstance(idle, Unavailable) or isinstance(net, Unavailable):
        reason = idle if isinstance(idle, Unavailable) else Unavailable("idle power was not measured")
        if service.utilisation is not None:
            return Unavailable(
                f"its joules hold those of waiting, {100 * (1 - service.utilisation):.0f} % of the time in "
                f"{record.cell.scenario}: {reason.reason}"
            )
        joules = gross.microjoules.value / 1e6 * measured
        return DayEnergy(joules, reason, gross.grade, gross.source)
    busy_s /= service.instances
    joules = net.microjoules.value / 1e6 * measured + idle.watts * busy_s
    return DayEnergy(joules, idle.watts * (servers.machines * DAY_S - busy_s), gross.grade, gross.source)


def _seconds_by_rate(service: ServiceModel, demand: Demand, servers: Servers) -> Callable[[float], float]:
    """Return the function from a rate to the seconds that a request keeps an instance busy."""
    rates = sorted(rate for rate, _ in levels(demand.segments))
    seconds = [service.seconds_per_request(rate, servers) for rate in rates]
    return lambda rate: float(np.interp(rate, rates, seconds))


def _published(
    service: ServiceModel,
    demand: Demand,
    machines: int,
    power: PowerModel,
    seconds: Callable[[float], float],
) -> DayEnergy | Unavailable:
    """Return the joules by a power curve: what it shows at no load is idle, the rest busy.

    The load is the CPU time of the requests, as a share of the virtual CPUs of all machines.
    """
    cpus = _cpus_while_busy(service)
    if isinstance(cpus, Unavailable):
        return cpus
    scale = DAY_S / demand.seconds
    whole = sum(
        power.watts(segment.rate * seconds(segment.rate) * cpus / (machines * power.vcpus)) * segment.seconds
        for segment in demand.segments
    )
    idle = power.watts(0.0) * DAY_S * machines
    return DayEnergy(whole * machines * scale - idle, idle, "modelled", power.source)


def _cpus_while_busy(service: ServiceModel) -> float | Unavailable:
    """Return the CPUs that an instance uses while it serves, at most its share of the measured machine.

    The CPU time of `server` holds that of threads that poll while no request is there.
    """
    record = service.record
    requests = sum(item.requests for item in record.rounds)
    if not requests:
        return Unavailable("nothing was timed")
    cpu_s = sum(item.cpu_ns for item in record.rounds) / 1e9 / requests
    there = measured_vcpus(record)
    most = math.inf if there is None else there / record.cell.instances
    return min(cpu_s / service.mean, most)
