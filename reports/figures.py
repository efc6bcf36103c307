"""The figures of a report: every record of a group with its estimates, and its ratios over the references.

Latencies are in nanoseconds, throughput in requests per second. What is absent keeps its reason; whoever
renders it decides how to show one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.compare import REFERENCES, Ratio, Refused, energy_reduction, speedup
from harness.doubts import Doubt, doubts, is_null
from harness.estimate import (
    CONFIDENCE,
    PERCENTILE_METHOD,
    Energy,
    Estimate,
    Unavailable,
    energy_per_request,
    throughput,
    time_per_request,
    whole_energy,
)
from harness.idle import net_energy
from harness.meters.base import whole
from harness.record import Record

Absent = Unavailable | Refused


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report says about one record; the keys of the ratios are the reference variants."""

    record: Record
    quality: dict[str, Estimate | Unavailable]
    latency: dict[str, Estimate | Unavailable]
    time: Estimate | Unavailable
    throughput: Estimate | Unavailable
    energy: Energy | Unavailable
    net: Energy | Unavailable
    whole: Energy | Unavailable | None
    """Of a board and the processor beside it; None where not both were read."""
    peak_bytes: int | Unavailable
    speedup: dict[str, Ratio | Absent]
    energy_reduction: dict[str, Ratio | Absent]
    whole_reduction: dict[str, Ratio | Absent]
    doubts: tuple[Doubt, ...]


def groups(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records by run and group, both in order of first appearance; each table shows one."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.run, record.cell.group), []).append(record)
    return list(found.values())


def all_figures(records: Sequence[Record]) -> list[list[Figures]]:
    """Return the figures of every record, group by group."""
    runs: dict[str, list[Record]] = {}
    for record in records:
        runs.setdefault(record.run, []).append(record)
    return [figures(group, runs[group[0].run]) for group in groups(records)]


def figures(group: Sequence[Record], others: Sequence[Record] = ()) -> list[Figures]:
    """Return the figures of every record of one group; `others` are those of the run, for their doubts."""
    metrics = metrics_of(group)
    percentiles = list(dict.fromkeys(name for record in group for name in record.latency))
    references = {record.cell.variant: record for record in group if record.cell.variant in REFERENCES}
    return [_of_record(record, group, metrics, percentiles, references, others) for record in group]


def metrics_of(group: Sequence[Record]) -> list[str]:
    """Return the names of the metrics that any record of the group has, or else the primary one's."""
    qualities = [record.quality for record in group if record.quality]
    named = [name for quality in qualities for name in quality.metrics]
    return list(dict.fromkeys(named or [quality.primary for quality in qualities]))


def fastest(group: Sequence[Figures]) -> Figures | None:
    """Return the model with the least time per request, or None if none was timed."""
    models = [item for item in group if not is_null(item.record)]
    timed = [(item.time.value, item) for item in models if isinstance(item.time, Estimate)]
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def _of_record(
    record: Record,
    group: Sequence[Record],
    metrics: Sequence[str],
    percentiles: Sequence[str],
    references: dict[str, Record],
    others: Sequence[Record],
) -> Figures:
    failure = failure_of(record)
    together = any(whole(item.readings) for one in group for item in one.rounds[:1])
    return Figures(
        record=record,
        quality={name: failure or _metric(record, name) for name in metrics},
        latency={name: failure or _percentile(record, name) for name in percentiles},
        time=failure or time_per_request(record.rounds),
        throughput=failure or throughput(record.rounds),
        energy=failure or energy_per_request(record.rounds),
        net=failure or net_energy(record),
        whole=failure or whole_energy(record.rounds) if together else None,
        peak_bytes=failure or _peak(record),
        speedup={name: failure or _over(name, references, record, speedup) for name in REFERENCES},
        energy_reduction={
            name: failure or _over(name, references, record, energy_reduction) for name in REFERENCES
        },
        whole_reduction=(
            {name: failure or _over(name, references, record, _whole_reduction) for name in REFERENCES}
            if together
            else {}
        ),
        doubts=doubts(record, group, others),
    )


def failure_of(record: Record) -> Unavailable | None:
    """Return why nothing of a failed record is known, or None if it did not fail."""
    if record.status != "failed":
        return None
    failure = record.failure
    message = f"{failure.message.rstrip('. ')}. {failure.remedy or ''}" if failure else "no reason was kept"
    return Unavailable(f"{record.cell.variant} failed: {message}")


def _metric(record: Record, name: str) -> Estimate | Unavailable:
    if record.quality is None:
        return Unavailable("its answers were not scored")
    found = record.quality.metrics.get(name)
    return found or Unavailable(record.quality.unavailable or "its answers were not scored")


def _percentile(record: Record, name: str) -> Estimate | Unavailable:
    found = record.latency.get(name)
    if found is None:
        return Unavailable("it was not measured per request")
    if found.value_ns is None or found.low_ns is None or found.high_ns is None:
        asked = "batches" if record.cell.scenario == "batch" else "requests"
        return Unavailable(f"{name} needs {found.needed:,} distinct {asked}, have {found.have:,}")
    return Estimate(
        found.value_ns, found.low_ns, found.high_ns, CONFIDENCE, PERCENTILE_METHOD, count=found.have
    )


def _whole_reduction(system: Record, reference: Record) -> Ratio | Refused:
    return energy_reduction(system, reference, added=whole)


def _peak(record: Record) -> int | Unavailable:
    return record.memory.peak_bytes if record.memory else Unavailable("its memory was not read")


def _over(
    name: str,
    references: dict[str, Record],
    record: Record,
    compare: Callable[[Record, Record], Ratio | Refused],
) -> Ratio | Absent:
    if is_null(record):
        return Unavailable(f"{record.cell.variant} does not read its input, so it is no faster model")
    if name not in references:
        return Unavailable(f"{name} was not measured in this run")
    return compare(record, references[name])
