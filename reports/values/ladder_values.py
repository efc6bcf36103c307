"""Builds a ladder from the records of one run: each rung over the one it builds on, and over the first.

records, counts of answers, price --build_ladder--> LadderReport
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.quality_change import PairedAnswers, QualityChange, kept_gain, quality_change
from harness.analysis.statistics.ratios import Ratio, energy_reduction, speedup
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import ArtifactFacts, Record
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CUSTOM, custom_task, recorded_definition
from harness.workload.tasks.metrics import Counts
from reports.values.figures import Absent, Figures, failure_of, figures_of_group, not_a_model
from reports.values.ladder_model import (
    PERCENTILES,
    SCENARIOS,
    Gain,
    LadderDefinition,
    LadderReport,
    RungDefinition,
    RungFigures,
    is_rung,
    ladder_definition,
)
from reports.values.multiple_testing import corrected
from reports.values.preparation import (
    PreparationCost,
    energy_break_even,
    money_break_even,
    preparation_cost,
    unknown_cost,
)
from reports.values.prices import DEFAULT_PRICE, Price, usd_of

CountsOf = Callable[[Record], Counts | None]
"""Reads the counts behind a record's scores, float64 [clusters, counts], from its samples, or None."""

Compare = Callable[[Record, Record], Ratio | NotComparable]
Value = TypeVar("Value")


def build_ladder(
    records: Sequence[Record], *, price: Price = DEFAULT_PRICE, counts: CountsOf | None = None
) -> LadderReport | None:
    """Return the ladder that the records of one run belong to, or None if they belong to none.

    With `counts`, changes of quality are paired by example; without, their intervals are wider.
    """
    definition = ladder_definition(records[0]) if records else None
    if definition is None:
        return None
    offline, single_stream = (tuple(_figures(records, definition, scenario)) for scenario in SCENARIOS)
    builder = _LadderBuilder(
        definition, _by_name(offline), _by_name(single_stream), _metric(offline), price, counts or no_counts
    )
    builder = replace(builder, family=corrected(builder.judged_ratios()))
    rungs = tuple(map(builder.rung, definition.rungs))
    return LadderReport(definition.name, builder.metric, price, rungs, offline, single_stream)


def ladders_in(
    records: Sequence[Record], price: Price, counts: CountsOf | None = None
) -> tuple[list[LadderReport], list[Record]]:
    """Return the ladders of all runs, and the records that belong to no ladder."""
    runs: dict[str, list[Record]] = {}
    others: list[Record] = []
    for record in records:
        (runs.setdefault(record.run, []) if is_rung(record) else others).append(record)
    ladders = [build_ladder(group, price=price, counts=counts) for group in runs.values()]
    return [ladder for ladder in ladders if ladder], others


@dataclass(frozen=True, slots=True)
class _LadderBuilder:
    """Builds rungs from the figures of both scenarios, by variant."""

    definition: LadderDefinition
    offline: Mapping[str, Figures]
    single_stream: Mapping[str, Figures]
    metric: str
    price: Price
    counts: CountsOf
    family: Mapping[Ratio, Ratio] = field(default_factory=dict)
    """Each ratio with the same ratio corrected as a member of the family."""

    @property
    def first(self) -> str:
        return self.definition.rungs[0].name

    def rung(self, rung: RungDefinition) -> RungFigures:
        own, first = self._offline(rung.name), self._offline(self.first)
        time, energy = _read(own, lambda figures: figures.time), _read(own, lambda figures: figures.energy)
        first_time = _read(first, lambda figures: figures.time)
        first_energy = _read(first, lambda figures: figures.energy)
        gain, reduction = self._gain(rung, speedup, time), self._gain(rung, energy_reduction, energy)
        preparation = _preparation(own)
        return RungFigures(
            definition=rung,
            status=own.status if isinstance(own, Figures) else "missing",
            placement=_placement(own),
            batch=_read(own, _batch),
            time=time,
            speedup=gain,
            energy=energy,
            energy_reduction=reduction,
            quality=_read(own, self._quality),
            quality_change=self._compared_quality(rung.name, self._quality_change),
            kept_gain=self._compared_quality(rung.name, self._kept_gain),
            latency={percentile: self._latency(rung.name, percentile) for percentile in PERCENTILES},
            peak_bytes=_read(own, lambda figures: figures.peak_bytes),
            disk_bytes=_disk_bytes(own),
            usd=usd_of(time, self.price) if isinstance(time, Estimate) else time,
            preparation=preparation,
            break_even_energy=energy_break_even(preparation, energy, first_energy, reduction.cumulative),
            break_even_money=money_break_even(preparation, time, first_time, gain.cumulative),
        )

    def judged_ratios(self) -> list[Ratio]:
        """Return every ratio of the ladder that has a verdict."""
        pairs = [
            (rung.name, over)
            for rung in self.definition.rungs[1:]
            for over in (rung.over, self.first)
            if over
        ]
        ratios = [self._ratio(*pair, compare) for compare in (speedup, energy_reduction) for pair in pairs]
        return [ratio for ratio in ratios if isinstance(ratio, Ratio)]

    def _offline(self, name: str) -> Figures | Unavailable:
        return self.offline.get(name) or Unavailable(f"{name} was not measured offline in this run")

    def _gain(self, rung: RungDefinition, compare: Compare, own: object) -> Gain:
        """Return both ratios; where the rung's own figure is absent, both are absent for the same reason."""
        if isinstance(own, Unavailable):
            return Gain(own, own)
        cumulative = self._ratio(rung.name, self.first, compare)
        over = rung.over or self.first
        return Gain(cumulative if over == self.first else self._ratio(rung.name, over, compare), cumulative)

    def _ratio(self, name: str, over: str, compare: Compare) -> Ratio | Absent:
        ratio = _compared(_read(self._offline(name), _model), _read(self._offline(over), _model), compare)
        return self.family.get(ratio, ratio) if isinstance(ratio, Ratio) else ratio

    def _quality(self, figures: Figures) -> Estimate | Unavailable:
        return figures.quality.get(self.metric) or Unavailable("its answers were not scored")

    def _compared_quality(self, name: str, compare: Callable[[Record, Record], Value]) -> Value | Unavailable:
        """Compare the quality of a rung with that of the first rung."""
        own = self._offline(name)
        quality = _read(own, self._quality)
        if isinstance(quality, Unavailable):
            return quality
        return _compared(_read(own, _record), _read(self._offline(self.first), _record), compare)

    def _quality_change(self, own: Record, first: Record) -> QualityChange | NotComparable:
        answers = self._answers(own, first)
        return quality_change(own, first, answers=answers, task=task_of(own) if answers else None)

    def _kept_gain(self, own: Record, first: Record) -> Estimate | NotComparable:
        answers = self._answers(own, first)
        return kept_gain(own, first, answers=answers, task=task_of(own) if answers else None)

    def _answers(self, own: Record, first: Record) -> PairedAnswers | None:
        return paired_answers(own, first, self.counts)

    def _latency(self, name: str, percentile: str) -> Estimate | Unavailable:
        own = self.single_stream.get(name)
        if own is None:
            return Unavailable(f"{name} was not measured in single-stream in this run")
        return _read(own, lambda figures: figures.latency.get(percentile) or Unavailable("it was not timed"))


def _figures(records: Sequence[Record], definition: LadderDefinition, scenario: str) -> list[Figures]:
    order = [rung.name for rung in definition.rungs]
    rungs = [
        record for record in records if record.cell.scenario == scenario and record.cell.variant in order
    ]
    return figures_of_group(sorted(rungs, key=lambda record: order.index(record.cell.variant)))


def _by_name(group: Sequence[Figures]) -> dict[str, Figures]:
    return {figures.record.cell.variant: figures for figures in group}


def _metric(group: Sequence[Figures]) -> str:
    return next((figures.record.quality.primary for figures in group if figures.record.quality), "quality")


def _read(own: Figures | Unavailable, read: Callable[[Figures], Value]) -> Value | Unavailable:
    """Return a value of a rung, or why the rung has none."""
    if isinstance(own, Unavailable):
        return own
    return failure_of(own.record) or read(own)


def _compared(
    own: Record | Unavailable, other: Record | Unavailable, compare: Callable[[Record, Record], Value]
) -> Value | Unavailable:
    if isinstance(own, Unavailable):
        return own
    return other if isinstance(other, Unavailable) else compare(own, other)


def _record(figures: Figures) -> Record:
    return figures.record


def _model(figures: Figures) -> Record | Unavailable:
    return not_a_model(figures.record) or figures.record


def _placement(own: Figures | Unavailable) -> str | Unavailable:
    return own if isinstance(own, Unavailable) else f"{own.record.cell.instances} x {own.record.cell.threads}"


def _batch(figures: Figures) -> str | Unavailable:
    placement = figures.record.placement
    batch = placement.effective.get("batch") if placement else None
    return Unavailable("its system does not report it") if batch is None else str(batch)


def _artifact(own: Figures | Unavailable) -> ArtifactFacts | Unavailable:
    """Return the artifact, which a rung that failed after its preparation has too."""
    if isinstance(own, Unavailable):
        return own
    return own.record.artifact or failure_of(own.record) or Unavailable("nothing was prepared")


def _disk_bytes(own: Figures | Unavailable) -> int | Unavailable:
    artifact = _artifact(own)
    return artifact if isinstance(artifact, Unavailable) else artifact.size_bytes


def _preparation(own: Figures | Unavailable) -> PreparationCost:
    artifact = _artifact(own)
    if isinstance(artifact, Unavailable):
        return unknown_cost(artifact.reason)
    return preparation_cost(artifact.manifest)


def paired_answers(own: Record, reference: Record, counts: CountsOf) -> PairedAnswers | None:
    """Return the counts of both systems' answers to the same examples, or None where samples lack them."""
    own_counts, other_counts = counts(own), counts(reference)
    if own_counts is None or other_counts is None or own_counts.shape != other_counts.shape:
        return None
    return PairedAnswers(system=own_counts, reference=other_counts) if own_counts.size else None


def task_of(record: Record) -> Task:
    """Return the task of a record: a built-in one, or the user's own as the record describes it."""
    custom = record.configuration.get("custom")
    if record.cell.task != CUSTOM or not custom:
        return get_task(record.cell.task)
    return custom_task(recorded_definition(custom))


def no_counts(record: Record) -> None:
    """Return None: changes of quality are unpaired."""
    del record
