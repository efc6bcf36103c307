"""What stands beside the measurements of a sweep: the machine before and after, and what the harness used.

begin ......................... all groups ......................... Begun.end
peaks, if they are asked for; fingerprint, moment, CPU times         the same again, peaks last
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.measurement.machine.conditions import busiest_process
from harness.measurement.machine.host import host_changes
from harness.measurement.machine.interference import ProcessUsage
from harness.records.record import ComputeLimit, ComputePeak, Conditions, Host, MachineSnapshot
from harness.runs.services import Machine


@dataclass(frozen=True, slots=True)
class RunConditions:
    """The machine as it was before, what changed, what moved, and what the harness used in nanoseconds.

    `limit` is None where nobody asked for it.
    """

    host: Host
    host_changes: tuple[str, ...]
    conditions: Conditions
    usage: ProcessUsage
    limit: ComputeLimit | None = None


@dataclass(frozen=True, slots=True)
class RunInProgress:
    """A sweep that goes on."""

    machine: Machine
    cpus: tuple[int, ...]
    host: Host
    moment: MachineSnapshot
    processes: Mapping[int, tuple[str, float]]
    usage: ProcessUsage
    limit: ComputeLimit | None

    def end(self) -> RunConditions:
        """Look again, now that the last worker has ended."""
        used = self.machine.usage().since(self.usage)
        return RunConditions(
            host=self.host,
            host_changes=host_changes(self.host, self.machine.host()),
            conditions=Conditions(
                before=self.moment,
                after=self.machine.moment(self.cpus),
                span_ns=used.wall_ns,
                busiest=busiest_process(self.processes, self.machine.processes(), used.wall_ns),
            ),
            usage=used,
            limit=again(self.limit, self.machine) if self.limit else None,
        )


def begin(machine: Machine, cpus: tuple[int, ...], *, roofline: bool = False) -> RunInProgress:
    """Look at the machine before the first worker starts; with `roofline` measure its peaks first."""
    limit = first(len(cpus), machine) if roofline else None
    host, moment, processes = machine.host(), machine.moment(cpus), machine.processes()
    return RunInProgress(machine, cpus, host, moment, processes, machine.usage(), limit)


def first(threads: int, machine: Machine) -> ComputeLimit:
    """Measure the peaks on so many threads; a limit that says why there are none where they cannot be."""
    found = machine.peaks(threads)
    if isinstance(found, str):
        return ComputeLimit(threads=threads, unavailable=found)
    peaks = {
        name: ComputePeak(instruction=each["instruction"], before=each["per_second"])
        for name, each in found.items()
    }
    return ComputeLimit(threads=threads, peaks=peaks)


def again(limit: ComputeLimit, machine: Machine) -> ComputeLimit:
    """Measure the same peaks once more."""
    found = machine.peaks(limit.threads)
    if isinstance(found, str):
        return limit
    peaks = {
        name: peak.model_copy(update={"after": found[name]["per_second"]}) if name in found else peak
        for name, peak in limit.peaks.items()
    }
    return limit.model_copy(update={"peaks": peaks})
