"""What surrounds the measurements of a run: the machine before and after, and what the harness itself used.

begin ......................... all groups ......................... RunInProgress.end
peaks, if requested; fingerprint, snapshot, CPU times                the same again, peaks last
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.measurement.machine.conditions import RayUsage, busiest_process, ray_usage
from harness.measurement.machine.host import host_changes
from harness.measurement.machine.interference import ProcessUsage
from harness.records.record import ComputeLimit, Conditions, Host, MachineSnapshot
from harness.runs.services import Observer


@dataclass(frozen=True, slots=True)
class RunConditions:
    """The machine as it was before, what changed, what moved, and what the harness used in nanoseconds.

    `limit` is None where it was not requested, `conditions` and `usage` of a run that has not ended, `ray` of
    one that Ray has not started.
    """

    host: Host
    host_changes: tuple[str, ...]
    conditions: Conditions | None
    usage: ProcessUsage | None
    limit: ComputeLimit | None = None
    ray: RayUsage | None = None


@dataclass(frozen=True, slots=True)
class RunInProgress:
    """What was observed before a run that is in progress."""

    observer: Observer
    cpus: tuple[int, ...]
    host: Host
    snapshot: MachineSnapshot
    processes: Mapping[int, tuple[str, float]]
    usage: ProcessUsage
    limit: ComputeLimit | None
    ray: Mapping[int, tuple[str, float]]

    def end(self) -> RunConditions:
        """Observe again, now that the last worker has ended."""
        used = self.observer.process_usage().since(self.usage)
        return RunConditions(
            host=self.host,
            host_changes=host_changes(self.host, self.observer.host()),
            conditions=Conditions(
                before=self.snapshot,
                after=self.observer.snapshot(self.cpus),
                span_ns=used.wall_ns,
                busiest=busiest_process(self.processes, self.observer.cpu_time_by_process(), used.wall_ns),
            ),
            usage=used,
            limit=peaks_after(self.limit, self.observer) if self.limit else None,
            ray=ray_usage(self.ray, self.observer.ray_cpu_time()),
        )


def begin(observer: Observer, cpus: tuple[int, ...], *, roofline: bool = False) -> RunInProgress:
    """Observe the machine before the first worker starts; with `roofline` measure its peaks first."""
    limit = peaks_before(len(cpus), observer) if roofline else None
    host, snapshot, processes = observer.host(), observer.snapshot(cpus), observer.cpu_time_by_process()
    usage, ray = observer.process_usage(), observer.ray_cpu_time()
    return RunInProgress(observer, cpus, host, snapshot, processes, usage, limit, ray)


def peaks_before(threads: int, observer: Observer) -> ComputeLimit:
    """Measure the peaks on so many threads; where that fails, return why."""
    measured = observer.peaks(threads)
    if isinstance(measured, str):
        return ComputeLimit(threads=threads, unavailable=measured)
    return ComputeLimit(threads=threads, peaks=dict(measured))


def peaks_after(limit: ComputeLimit, observer: Observer) -> ComputeLimit:
    """Measure the same peaks once more; a peak that cannot be measured again stays as it is."""
    measured = observer.peaks(limit.threads)
    if isinstance(measured, str):
        return limit
    again = {
        precision: peak.model_copy(update={"after": measured[precision].before})
        for precision, peak in limit.peaks.items()
        if precision in measured
    }
    return limit.model_copy(update={"peaks": limit.peaks | again})
