"""The figures of a report: the estimates of every record, and its ratios over the references of its group.

Latencies are in nanoseconds, throughput in requests per second. An absent value keeps its reason; the
renderer decides how to show it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import TypeVar

from harness.analysis.diagnostics import ResultWarning, is_null, warnings_of
from harness.analysis.energy.idle_power import net_of_idle
from harness.analysis.statistics.estimates import EnergyEstimate, EnergyWindows, whole_energy
from harness.analysis.statistics.latency_percentiles import (
    SpeedReach,
    percentile_estimate,
    speed_reaches,
)
from harness.analysis.statistics.pairing import ComparedPair, NotComparable
from harness.analysis.statistics.ratios import REFERENCES, Ratio, energy_reductions, speedups
from harness.analysis.statistics.round_series import RoundSeries, energies, throughputs, times_per_request
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import sum_with_processor
from harness.records.record import Record

Absent = Unavailable | NotComparable
Value = TypeVar("Value")


@dataclass(frozen=True)
class Figures:
    """The figures of one record; the keys of the ratios are the reference variants.

    What few formats show is computed where it is read: energy net of idle, and warnings.
    """

    record: Record
    quality: dict[str, Estimate | Unavailable]
    latency: dict[str, Estimate | Unavailable]
    time: Estimate | Unavailable
    throughput: Estimate | Unavailable
    energy: EnergyEstimate | Unavailable
    whole: EnergyEstimate | Unavailable | None
    """Of a GPU board and the processor together; None unless both were read."""
    peak_bytes: int | Unavailable
    speedup: dict[str, Ratio | Absent]
    energy_reduction: dict[str, Ratio | Absent]
    whole_reduction: dict[str, Ratio | Absent]
    windows: EnergyWindows | Unavailable = field(repr=False, compare=False)
    """The energy of each round."""
    peers: Sequence[Record] = field(repr=False)
    """The records of its group."""
    run: Sequence[Record] = field(repr=False)
    """The records of its run."""

    @property
    def status(self) -> str:
        """The status of the record."""
        return self.record.status

    @cached_property
    def net(self) -> EnergyEstimate | Unavailable:
        """Energy per request beyond idle power."""
        return failure_of(self.record) or net_of_idle(self.record, self.windows, self.energy)

    @cached_property
    def warnings(self) -> tuple[ResultWarning, ...]:
        """Reasons to distrust the record."""
        return warnings_of(self.record, self.peers, self.run, self.windows)


def groups(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records by run and group, both in order of first appearance; a table shows one group."""
    by_group: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_group.setdefault((record.run, record.cell.group), []).append(record)
    return list(by_group.values())


def all_figures(records: Sequence[Record]) -> list[list[Figures]]:
    """Return the figures of every record, group by group; all bootstraps are computed together."""
    runs: dict[str, list[Record]] = {}
    for record in records:
        runs.setdefault(record.run, []).append(record)
    return _figures([(group, runs[group[0].run]) for group in groups(records)])


def figures_of_group(group: Sequence[Record], run: Sequence[Record] = ()) -> list[Figures]:
    """Return the figures of every record of one group; `run` is all records of the run, for warnings."""
    return _figures([(group, run)])[0]


def metrics_of(group: Sequence[Record]) -> list[str]:
    """Return the names of the metrics that any record of the group has, else that of the primary metric."""
    qualities = [record.quality for record in group if record.quality]
    names = [name for quality in qualities for name in quality.metrics]
    return list(dict.fromkeys(names or [quality.primary for quality in qualities]))


def fastest(group: Sequence[Figures]) -> Figures | None:
    """Return the model with the least time per request, or None if none was timed."""
    models = [figures for figures in group if not is_null(figures.record)]
    timed = [(figures.time.value, figures) for figures in models if isinstance(figures.time, Estimate)]
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def first_timed(group: Sequence[Figures]) -> Record:
    """Return the first record of a group that was timed, else its first record."""
    return next((figures.record for figures in group if figures.record.rounds), group[0].record)


def failure_of(record: Record) -> Unavailable | None:
    """Return why a failed record has no figures, or None for a record that did not fail."""
    if record.status != "failed":
        return None
    failure = record.failure
    message = (
        f"{failure.message.rstrip('. ')}. {failure.remedy or ''}" if failure else "no reason was recorded"
    )
    return Unavailable(f"{record.cell.variant} failed: {message}")


def not_a_model(record: Record) -> Unavailable | None:
    """Return why a system that does not read its input has no ratios, or None for a model."""
    if not is_null(record):
        return None
    return Unavailable(f"{record.cell.variant} does not read its input, so it is not a faster model")


def name_of(record: Record) -> str:
    """Return the name of a record in the store: its run and its cell."""
    return f"{record.run}/{record.cell.id}"


@dataclass(frozen=True, slots=True)
class _Group:
    """What all records of a group share: metrics, percentiles, the references that were measured."""

    records: Sequence[Record]
    metrics: Sequence[str]
    percentiles: Sequence[str]
    references: Mapping[str, RoundSeries]
    has_whole: bool
    """Whether a GPU board and the processor were both read."""


@dataclass(frozen=True, slots=True)
class _GroupRecord:
    """A record with its group and its run."""

    series: RoundSeries
    failure: Unavailable | None
    group: _Group
    run: Sequence[Record]

    @property
    def record(self) -> Record:
        return self.series.record


def _figures(grouped: Sequence[tuple[Sequence[Record], Sequence[Record]]]) -> list[list[Figures]]:
    """Return the figures of groups, each given with the records of its run."""
    by_group = [_group_records(group, run) for group, run in grouped]
    records = [record for group in by_group for record in group]
    pairs = [{name: _pair(name, record) for name in REFERENCES} for record in records]
    whole_pairs = [pair for pair, record in zip(pairs, records, strict=True) if record.group.has_whole]
    whole_reductions = iter(_ratios(whole_pairs, partial(energy_reductions, added=sum_with_processor)))
    columns = zip(
        records,
        _estimates(records, times_per_request),
        _estimates(records, throughputs),
        _estimates(records, energies),
        speed_reaches([record.series for record in records]),
        _ratios(pairs, speedups),
        _ratios(pairs, energy_reductions),
        [next(whole_reductions) if record.group.has_whole else {} for record in records],
        strict=True,
    )
    every = (_record_figures(*column) for column in columns)
    return [list(islice(every, len(group))) for group in by_group]


def _group_records(records: Sequence[Record], run: Sequence[Record]) -> list[_GroupRecord]:
    series = [RoundSeries(record, record.rounds) for record in records]
    group = _Group(
        records=records,
        metrics=metrics_of(records),
        percentiles=list(dict.fromkeys(name for record in records for name in record.latency)),
        references={own.record.cell.variant: own for own in series if own.record.cell.variant in REFERENCES},
        has_whole=any(sum_with_processor(turn.readings) for record in records for turn in record.rounds[:1]),
    )
    return [_GroupRecord(own, failure_of(own.record), group, run) for own in series]


def _record_figures(
    member: _GroupRecord,
    time: Estimate | Unavailable,
    rate: Estimate | Unavailable,
    energy: EnergyEstimate | Unavailable,
    reach: SpeedReach,
    speedup: dict[str, Ratio | Absent],
    energy_reduction: dict[str, Ratio | Absent],
    whole_reduction: dict[str, Ratio | Absent],
) -> Figures:
    record, failure, group = member.record, member.failure, member.group
    return Figures(
        record=record,
        quality={name: failure or _metric(record, name) for name in group.metrics},
        latency={name: failure or percentile_estimate(record, name, reach) for name in group.percentiles},
        time=time,
        throughput=rate,
        energy=energy,
        whole=failure or whole_energy(record.rounds) if group.has_whole else None,
        peak_bytes=failure or _peak_bytes(record),
        speedup=speedup,
        energy_reduction=energy_reduction,
        whole_reduction=whole_reduction,
        windows=member.series.windows,
        peers=group.records,
        run=member.run,
    )


def _estimates(
    records: Sequence[_GroupRecord], estimate: Callable[[Sequence[RoundSeries]], Sequence[Value]]
) -> list[Value | Unavailable]:
    """Return the estimates of all records; a failed record has its failure instead."""
    values = iter(estimate([record.series for record in records if not record.failure]))
    return [record.failure or next(values) for record in records]


def _ratios(
    pairs: Sequence[Mapping[str, ComparedPair | Unavailable]],
    compute: Callable[[Sequence[ComparedPair]], Sequence[Ratio | NotComparable]],
) -> list[dict[str, Ratio | Absent]]:
    """Return the ratios of each record over each reference, or why there is none."""
    ratios = iter(compute([pair for row in pairs for pair in row.values() if isinstance(pair, ComparedPair)]))
    return [
        {name: next(ratios) if isinstance(pair, ComparedPair) else pair for name, pair in row.items()}
        for row in pairs
    ]


def _pair(reference: str, member: _GroupRecord) -> ComparedPair | Unavailable:
    if absent := member.failure or not_a_model(member.record):
        return absent
    if reference not in member.group.references:
        return Unavailable(f"{reference} was not measured in this run")
    return ComparedPair(member.series, member.group.references[reference])


def _metric(record: Record, name: str) -> Estimate | Unavailable:
    if record.quality is None:
        return Unavailable("its answers were not scored")
    score = record.quality.metrics.get(name)
    return score or Unavailable(record.quality.unavailable or "its answers were not scored")


def _peak_bytes(record: Record) -> int | Unavailable:
    return record.memory.peak_bytes if record.memory else Unavailable("its memory was not read")
