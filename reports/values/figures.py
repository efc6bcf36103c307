"""The figures of a report: every record of a group with its estimates, and its ratios over the references.

Latencies are in nanoseconds, throughput in requests per second. What is absent keeps its reason; whoever
renders it decides how to show one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from harness.analysis.diagnostics import ResultWarning, is_null, warnings_of
from harness.analysis.idle_power import net_of_idle
from harness.analysis.statistics.estimates import CONFIDENCE, PERCENTILE_METHOD, EnergyEstimate, whole_energy
from harness.analysis.statistics.pairing import ComparedPair, NotComparable
from harness.analysis.statistics.ratios import REFERENCES, Ratio, energy_reductions, speedups
from harness.analysis.statistics.round_series import RoundSeries, energies, throughputs, times_per_request
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import sum_with_processor
from harness.records.record import Record

Absent = Unavailable | NotComparable
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report says about one record; the keys of the ratios are the reference variants."""

    record: Record
    quality: dict[str, Estimate | Unavailable]
    latency: dict[str, Estimate | Unavailable]
    time: Estimate | Unavailable
    throughput: Estimate | Unavailable
    energy: EnergyEstimate | Unavailable
    net: EnergyEstimate | Unavailable
    whole: EnergyEstimate | Unavailable | None
    """Of a board and the processor beside it; None where not both were read."""
    peak_bytes: int | Unavailable
    speedup: dict[str, Ratio | Absent]
    energy_reduction: dict[str, Ratio | Absent]
    whole_reduction: dict[str, Ratio | Absent]
    warnings: tuple[ResultWarning, ...]


def groups(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records by run and group, both in order of first appearance; each table shows one."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.run, record.cell.group), []).append(record)
    return list(found.values())


def all_figures(records: Sequence[Record]) -> list[list[Figures]]:
    """Return the figures of every record, group by group; what rests on rounds is worked out side by side."""
    runs: dict[str, list[Record]] = {}
    for record in records:
        runs.setdefault(record.run, []).append(record)
    return _figures([(group, runs[group[0].run]) for group in groups(records)])


def figures(group: Sequence[Record], others: Sequence[Record] = ()) -> list[Figures]:
    """Return the figures of every record of one group; `others` are those of the run, for their warnings."""
    return _figures([(group, others)])[0]


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


@dataclass(frozen=True, slots=True)
class _Item:
    """A record among those of its group, and of its run."""

    visits: RoundSeries
    failure: Unavailable | None
    group: "_Group"
    others: Sequence[Record]

    @property
    def record(self) -> Record:
        return self.visits.record


@dataclass(frozen=True, slots=True)
class _Group:
    """What the records of a group are shown with: metrics, percentiles, the references that were measured."""

    records: Sequence[Record]
    metrics: Sequence[str]
    percentiles: Sequence[str]
    references: Mapping[str, RoundSeries]
    together: bool
    """Whether a board and the processor beside it were read."""


def _figures(found: Sequence[tuple[Sequence[Record], Sequence[Record]]]) -> list[list[Figures]]:
    """Return the figures of groups, each with the records of its run."""
    sides = [_items(group, others) for group, others in found]
    items = [item for side in sides for item in side]
    pairs = [{name: _pair(name, item) for name in REFERENCES} for item in items]
    together = [pair for pair, item in zip(pairs, items, strict=True) if item.group.together]
    both = iter(_over(together, partial(energy_reductions, added=sum_with_processor)))
    rows = zip(
        items,
        _each(items, times_per_request),
        _each(items, throughputs),
        _each(items, energies),
        _over(pairs, speedups),
        _over(pairs, energy_reductions),
        strict=True,
    )
    made = (
        _of_record(item, time, rate, energy, speedup, reduction, next(both) if item.group.together else {})
        for item, time, rate, energy, speedup, reduction in rows
    )
    return [list(islice(made, len(side))) for side in sides]


def _items(group: Sequence[Record], others: Sequence[Record]) -> list[_Item]:
    sides = [RoundSeries(record, record.rounds) for record in group]
    known = _Group(
        records=group,
        metrics=metrics_of(group),
        percentiles=list(dict.fromkeys(name for record in group for name in record.latency)),
        references={
            each.record.cell.variant: each for each in sides if each.record.cell.variant in REFERENCES
        },
        together=any(sum_with_processor(item.readings) for one in group for item in one.rounds[:1]),
    )
    return [_Item(each, failure_of(each.record), known, others) for each in sides]


def _of_record(
    item: _Item,
    time: Estimate | Unavailable,
    rate: Estimate | Unavailable,
    energy: EnergyEstimate | Unavailable,
    speedup: dict[str, Ratio | Absent],
    energy_reduction: dict[str, Ratio | Absent],
    whole_reduction: dict[str, Ratio | Absent],
) -> Figures:
    record, failure, group, windows = item.record, item.failure, item.group, item.visits.windows
    return Figures(
        record=record,
        quality={name: failure or _metric(record, name) for name in group.metrics},
        latency={name: failure or _percentile(record, name) for name in group.percentiles},
        time=time,
        throughput=rate,
        energy=energy,
        net=failure or net_of_idle(record, windows, energy),
        whole=failure or whole_energy(record.rounds) if group.together else None,
        peak_bytes=failure or _peak(record),
        speedup=speedup,
        energy_reduction=energy_reduction,
        whole_reduction=whole_reduction,
        warnings=warnings_of(record, group.records, item.others, windows),
    )


def _each(
    items: Sequence[_Item], estimates: Callable[[Sequence[RoundSeries]], Sequence[Found]]
) -> list[Found | Unavailable]:
    """Return the estimates of all records, with the failure of those that have none."""
    found = iter(estimates([item.visits for item in items if not item.failure]))
    return [item.failure or next(found) for item in items]


def _over(
    asked: Sequence[Mapping[str, ComparedPair | Unavailable]],
    ratios: Callable[[Sequence[ComparedPair]], Sequence[Ratio | NotComparable]],
) -> list[dict[str, Ratio | Absent]]:
    """Return the ratios over each reference, or why there is none."""
    found = iter(ratios([each for row in asked for each in row.values() if isinstance(each, ComparedPair)]))
    return [
        {name: next(found) if isinstance(each, ComparedPair) else each for name, each in row.items()}
        for row in asked
    ]


def _pair(name: str, item: _Item) -> ComparedPair | Unavailable:
    if item.failure:
        return item.failure
    if is_null(item.record):
        return Unavailable(f"{item.record.cell.variant} does not read its input, so it is no faster model")
    if name not in item.group.references:
        return Unavailable(f"{name} was not measured in this run")
    return ComparedPair(item.visits, item.group.references[name])


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


def _peak(record: Record) -> int | Unavailable:
    return record.memory.peak_bytes if record.memory else Unavailable("its memory was not read")


def name_of(record: Record) -> str:
    """Name a record as the store does: its run and its cell."""
    return f"{record.run}/{record.cell.id}"
