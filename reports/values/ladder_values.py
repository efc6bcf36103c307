"""From the records of one run to the figures of its ladder: each rung over another, and over the first.

records, counts of answers, price --ladder_of--> Ladder
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from harness.analysis.diagnostics import is_null
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.quality_change import PairedAnswers, QualityChange, kept_gain, quality_change
from harness.analysis.statistics.ratios import Ratio, energy_reduction, speedup
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import ArtifactFacts, Record
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.custom import CUSTOM, custom_task, parse_definition
from harness.workload.tasks.metrics import Counts
from reports.values.figures import Absent, Figures, failure_of, figures
from reports.values.ladder_model import (
    PERCENTILES,
    SCENARIOS,
    Gain,
    LadderDefinition,
    LadderReport,
    RungDefinition,
    RungFigures,
    is_rung,
    words_of,
)
from reports.values.multiple_testing import corrected
from reports.values.preparation import PreparationCost, energy_pays, money_pays, not_spent, spent_of
from reports.values.prices import DEFAULT_PRICE, Price, usd_of

CountsOf = Callable[[Record], Counts | None]
"""Finds what a record's scores are made of, float64 [clusters, counts]: it lies in the samples. Or None."""

Compare = Callable[[Record, Record], Ratio | NotComparable]
Known = TypeVar("Known")


def ladder_of(
    records: Sequence[Record], *, price: Price = DEFAULT_PRICE, counts: CountsOf | None = None
) -> LadderReport | None:
    """Return the ladder that the records of one run are of, or None if they are of none.

    With `counts` changes of quality are paired by example; without, their intervals are wider.
    """
    words = words_of(records[0]) if records else None
    if words is None:
        return None
    offline, single = (tuple(_figures(records, words, scenario)) for scenario in SCENARIOS)
    climb = _Climb(words, _by_name(offline), _by_name(single), _metric(offline), price, counts or _no_counts)
    climb = replace(climb, family=corrected(climb.verdicts()))
    return LadderReport(words.name, climb.metric, price, tuple(map(climb.rung, words.rungs)), offline, single)


@dataclass(frozen=True, slots=True)
class _Climb:
    """What rungs are made of: the figures of both scenarios by rung."""

    words: LadderDefinition
    offline: Mapping[str, Figures]
    single: Mapping[str, Figures]
    metric: str
    price: Price
    counts: CountsOf
    family: Mapping[Ratio, Ratio] = field(default_factory=dict)
    """Each ratio as it is when all are judged as one family."""

    @property
    def first(self) -> str:
        return self.words.rungs[0].name

    def rung(self, step: RungDefinition) -> RungFigures:
        """Return the figures of one rung."""
        own, base = self._own(step.name), self._own(self.first)
        time, energy = _of(own, lambda item: item.time), _of(own, lambda item: item.energy)
        speed, less = self._gain(step, speedup, time), self._gain(step, energy_reduction, energy)
        spent = _spent(own)
        base_time, base_energy = _of(base, lambda item: item.time), _of(base, lambda item: item.energy)
        return RungFigures(
            words=step,
            status=own.record.status if isinstance(own, Figures) else "missing",
            placement=_placement(own),
            batch=_of(own, _batch),
            time=time,
            speedup=speed,
            energy=energy,
            energy_reduction=less,
            quality=_of(own, self._quality),
            quality_change=self._change(step.name),
            kept_gain=self._compared(step.name, self._kept),
            latency={name: self._latency(step.name, name) for name in PERCENTILES},
            peak_bytes=_of(own, lambda item: item.peak_bytes),
            disk_bytes=_disk(own),
            usd=usd_of(time, self.price) if isinstance(time, Estimate) else time,
            spent=spent,
            pays_energy=energy_pays(spent, energy, base_energy, less.cumulative),
            pays_money=money_pays(spent, time, base_time, speed.cumulative),
        )

    def verdicts(self) -> list[Ratio]:
        """Return every ratio of the ladder that is judged."""
        steps = self.words.rungs[1:]
        pairs = [(step.name, over) for step in steps for over in (step.over, self.first) if over]
        every = [self._ratio(*pair, compare) for compare in (speedup, energy_reduction) for pair in pairs]
        return [ratio for ratio in every if isinstance(ratio, Ratio)]

    def _own(self, name: str) -> Figures | Unavailable:
        return self.offline.get(name) or Unavailable(f"{name} was not measured offline in this run")

    def _gain(self, step: RungDefinition, compare: Compare, own: object) -> Gain:
        """Return both ratios; where the rung's own figure is absent, for the same reason."""
        if isinstance(own, Unavailable):
            return Gain(own, own)
        cumulative = self._ratio(step.name, self.first, compare)
        over = step.over or self.first
        return Gain(cumulative if over == self.first else self._ratio(step.name, over, compare), cumulative)

    def _ratio(self, name: str, over: str, compare: Compare) -> Ratio | Absent:
        found = _of_both(_of(self._own(name), _model), _of(self._own(over), _model), compare)
        return self.family.get(found, found) if isinstance(found, Ratio) else found

    def _quality(self, item: Figures) -> Estimate | Unavailable:
        return item.quality.get(self.metric) or Unavailable("its answers were not scored")

    def _change(self, name: str) -> QualityChange | Absent:
        return self._compared(name, self._changed)

    def _compared(self, name: str, compare: Callable[[Record, Record], Known]) -> Known | Unavailable:
        """Compare the quality of a rung with the first one's, unless it has none."""
        found = _of(self._own(name), self._quality)
        if isinstance(found, Unavailable):
            return found
        return _of_both(_of(self._own(name), _record), _of(self._own(self.first), _record), compare)

    def _changed(self, own: Record, first: Record) -> QualityChange | NotComparable:
        answers = _answers(self.counts(own), self.counts(first))
        return quality_change(own, first, answers=answers, task=_task(own) if answers else None)

    def _kept(self, own: Record, first: Record) -> Estimate | NotComparable:
        answers = _answers(self.counts(own), self.counts(first))
        return kept_gain(own, first, answers=answers, task=_task(own) if answers else None)

    def _latency(self, name: str, percentile: str) -> Estimate | Unavailable:
        own = self.single.get(name)
        if own is None:
            return Unavailable(f"{name} was not measured in single-stream in this run")
        return _of(own, lambda item: item.latency.get(percentile) or Unavailable("it was not timed"))


def _figures(records: Sequence[Record], words: LadderDefinition, scenario: str) -> list[Figures]:
    order = [step.name for step in words.rungs]
    found = [each for each in records if each.cell.scenario == scenario and each.cell.variant in order]
    return figures(sorted(found, key=lambda each: order.index(each.cell.variant)))


def _by_name(found: Sequence[Figures]) -> dict[str, Figures]:
    return {item.record.cell.variant: item for item in found}


def _metric(found: Sequence[Figures]) -> str:
    return next((item.record.quality.primary for item in found if item.record.quality), "quality")


def _of(own: Figures | Unavailable, read: Callable[[Figures], Known]) -> Known | Unavailable:
    """Read something of a rung, or say why there is nothing to read."""
    if isinstance(own, Unavailable):
        return own
    return failure_of(own.record) or read(own)


def _of_both(
    own: Record | Unavailable, other: Record | Unavailable, read: Callable[[Record, Record], Known]
) -> Known | Unavailable:
    if isinstance(own, Unavailable):
        return own
    return other if isinstance(other, Unavailable) else read(own, other)


def _record(item: Figures) -> Record:
    return item.record


def _model(item: Figures) -> Record | Unavailable:
    if is_null(item.record):
        return Unavailable(f"{item.record.cell.variant} does not read its input, so it is no faster model")
    return item.record


def _placement(own: Figures | Unavailable) -> str | Unavailable:
    return own if isinstance(own, Unavailable) else f"{own.record.cell.instances} x {own.record.cell.threads}"


def _batch(item: Figures) -> str | Unavailable:
    found = item.record.placement.effective.get("batch") if item.record.placement else None
    return Unavailable("its system does not say") if found is None else str(found)


def _artifact(own: Figures | Unavailable) -> ArtifactFacts | Unavailable:
    """Return what was prepared, which a rung that failed afterwards has too."""
    if isinstance(own, Unavailable):
        return own
    return own.record.artifact or failure_of(own.record) or Unavailable("nothing was prepared")


def _disk(own: Figures | Unavailable) -> int | Unavailable:
    found = _artifact(own)
    return found if isinstance(found, Unavailable) else found.size_bytes


def _spent(own: Figures | Unavailable) -> PreparationCost:
    found = _artifact(own)
    return not_spent(found.reason) if isinstance(found, Unavailable) else spent_of(found.manifest)


def _answers(own: Counts | None, first: Counts | None) -> PairedAnswers | None:
    if own is None or first is None or own.shape != first.shape or not own.size:
        return None
    return PairedAnswers(system=own, reference=first)


def _task(record: Record) -> Task:
    custom = record.configuration.get("custom")
    if record.cell.task != CUSTOM or not custom:
        return get_task(record.cell.task)
    return custom_task(parse_definition({each: custom[each] for each in ("labels", "metric")}))


def _no_counts(record: Record) -> None:
    del record


def ladders_in(
    records: Sequence[Record], price: Price, counts: CountsOf | None = None
) -> tuple[list[LadderReport], list[Record]]:
    """Return the ladders of all runs, and the records that are no rung of any."""
    runs: dict[str, list[Record]] = {}
    for record in filter(is_rung, records):
        runs.setdefault(record.run, []).append(record)
    found = [ladder_of(group, price=price, counts=counts) for group in runs.values()]
    return [ladder for ladder in found if ladder], [record for record in records if not is_rung(record)]
