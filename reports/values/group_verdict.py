"""The verdict on each group of a report, from its figures, its ladders and the samples of its answers.

Report --verdicts_of--> GroupVerdict of each group --layout.verdict_sentences--> sentences
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice

from harness.analysis.diagnostics import is_null
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import pair_of
from harness.analysis.statistics.quality_change import QualityChange, quality_change
from harness.analysis.statistics.ratios import BASELINE, UNPADDED, Ratio, speedups
from harness.analysis.verdict import (
    DEFAULT_QUALITY_LOSS,
    Candidate,
    ExportPaths,
    Group,
    GroupVerdict,
    Outcome,
    Reference,
    ServedRate,
    choose,
    export_command,
    references_of,
)
from harness.records.estimate import Unavailable
from harness.records.record import Record
from reports.values.figures import Absent, Figures
from reports.values.ladder_model import LadderReport
from reports.values.ladder_values import CountsOf, no_counts, paired_answers, task_of

_PERCENTILES = ("p99", "p90", "p50")
"""Of a server without an objective the highest percentile that was measured counts."""


@dataclass(frozen=True, slots=True)
class VerdictOptions:
    """What a verdict needs beside figures: the permitted loss of quality in points, counts, paths of runs.

    Without `permitted` each run's own option counts, or the default. `paths` are by run.
    """

    permitted: float | None = None
    counts: CountsOf = no_counts
    paths: Mapping[str, ExportPaths] = field(default_factory=dict)

    def permitted_of(self, record: Record) -> float:
        """Return the permitted loss that applies to a record's run."""
        recorded = record.configuration.get("max_quality_loss")
        own = recorded if isinstance(recorded, int | float) else DEFAULT_QUALITY_LOSS
        return float(own if self.permitted is None else self.permitted)


def verdicts_of(
    ladders: Sequence[LadderReport],
    groups: Sequence[Sequence[Figures]],
    options: VerdictOptions,
    limit: int | None = None,
) -> tuple[GroupVerdict, ...]:
    """Return the verdict on each scenario of each ladder, and on each group, in the order of the report.

    With `limit`, only so many of them are computed.
    """
    of_ladders = (
        (group, _family(ladder))
        for ladder in ladders
        for group in (ladder.offline, ladder.single_stream)
        if group
    )
    every = chain(of_ladders, ((group, None) for group in groups))
    return tuple(_verdict(group, family, options) for group, family in islice(every, limit))


def _family(ladder: LadderReport) -> int:
    """Return the number of comparisons that the verdicts of a ladder are corrected for."""
    gains = [gain for rung in ladder.rungs for gain in (rung.speedup.step, rung.speedup.cumulative)]
    return max((gain.family for gain in gains if isinstance(gain, Ratio)), default=1)


def _verdict(group: Sequence[Figures], family: int | None, options: VerdictOptions) -> GroupVerdict:
    """Return the verdict on one group; `family` is that of its ladder, None outside ladders."""
    records = [figures.record for figures in group]
    permitted = options.permitted_of(records[0])
    if records[0].configuration.get("null_test"):
        return GroupVerdict("null test", records[0], permitted)
    references = references_of(records)
    failed = tuple(record.cell.variant for record in records if record.status == "failed")
    if records[0].cell.scenario == "server":
        return _served(group, references, permitted, failed)
    names = {reference.name for reference in references if reference.kind != "compiled"}
    names |= {reference.name for reference in references[:1]}
    models = [figures for figures in group if _is_candidate(figures.record, names)]
    candidates = tuple(_candidates(models, references, family, options.counts))
    verdict = choose(Group(records[0], references, candidates, failed), permitted)
    return _with_handover(verdict, group, options)


def _is_candidate(record: Record, references: set[str]) -> bool:
    return record.status != "failed" and record.cell.variant not in references and not is_null(record)


def _candidates(
    models: Sequence[Figures], references: Sequence[Reference], family: int | None, counts: CountsOf
) -> Iterator[Candidate]:
    for figures in models:
        others = [reference for reference in references if reference.record is not figures.record]
        factors = tuple(_factor(figures, reference, family) for reference in others)
        change = partial(_change, figures.record, references[0].record, counts) if references else _no_change
        yield Candidate(figures.record, factors, change)


def _factor(figures: Figures, reference: Reference, family: int | None) -> Ratio | Absent:
    """Return the ratio of the table, or of a ladder one that is corrected for its whole family."""
    if family is None and reference.name in (UNPADDED, BASELINE):
        return figures.speedup[reference.name]
    (ratio,) = speedups([pair_of(figures.record, reference.record)])
    if isinstance(ratio, Ratio) and ratio.p is not None:
        size = family or 1
        return replace(ratio, p=min(1.0, ratio.p * size), family=size)
    return ratio


def _change(own: Record, reference: Record, counts: CountsOf) -> QualityChange | Absent:
    answers = paired_answers(own, reference, counts)
    return quality_change(own, reference, answers=answers, task=task_of(own) if answers else None)


def _no_change() -> Absent:
    return Unavailable("no reference was measured")


def _with_handover(verdict: GroupVerdict, group: Sequence[Figures], options: VerdictOptions) -> GroupVerdict:
    if verdict.chosen is None:
        return verdict
    chosen = next(figures for figures in group if figures.record is verdict.chosen)
    energy = chosen.energy if isinstance(chosen.energy, EnergyEstimate) else None
    command = export_command(verdict.chosen, options.paths.get(verdict.chosen.run, ExportPaths()))
    return replace(verdict, energy_of=energy, command=command)


def _served(
    group: Sequence[Figures], references: tuple[Reference, ...], permitted: float, failed: tuple[str, ...]
) -> GroupVerdict:
    """Return what each variant does at the offered rates: there is no time per request to compare."""
    measured = [figures for figures in group if figures.status != "failed" and not is_null(figures.record)]
    rates = tuple(map(_rate, measured))
    outcome: Outcome = "offered rate" if rates else "nothing measured"
    return GroupVerdict(outcome, group[0].record, permitted, references, failed=failed, rates=rates)


def _rate(figures: Figures) -> ServedRate:
    name = next((name for name in _PERCENTILES if name in figures.latency), "p50")
    latency = figures.latency.get(name) or Unavailable("it was not timed")
    load = figures.record.load
    return ServedRate(figures.record.cell.variant, load.highest_rate if load else None, name, latency)
