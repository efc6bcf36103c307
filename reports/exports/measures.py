"""The measures that benchmark trackers receive: a number per name, with unit, interval and better direction.

    Report --named--> (name, figures) --measures_of--> measures

A tracker compares measures of the same name, run after run: so names hold the cell and nothing of the run,
and units do not change with the size of a number. Modelled joules have another name than measured ones: they
are CPU time in other units, and a history must not mix the two.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import Ratio, judge
from harness.records.estimate import Estimate
from harness.records.reading import model_of
from harness.records.record import Record
from reports.layout.cell_factory import model_remark
from reports.layout.escaping import printable
from reports.report import Report
from reports.values.figures import Figures
from reports.values.ladder_model import RungFigures

Better = Literal["smaller", "bigger"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One finite figure of a record; `note` gives the method of its interval, `grade` that of joules."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    better: Better
    note: str
    grade: str = ""
    source: str = ""

    @property
    def label(self) -> str:
        """The display name, which marks modelled joules."""
        return f"{self.name}, modelled: {model_of(self.source)}" if self.grade == "modelled" else self.name


def named(report: Report) -> list[tuple[str, Figures]]:
    """Return every record's figures with a unique name: its cell, and its run where cells repeat."""
    everything = [figures for group in groups_of(report) for figures in group]
    for name_of in (_cell_name, _run_name):
        counts = Counter(name_of(figures.record) for figures in everything)
        if all(count == 1 for count in counts.values()):
            return [(name_of(figures.record), figures) for figures in everything]
    return [
        (f"{_run_name(figures.record)}, cell {printable(figures.record.cell.id)}", figures)
        for figures in everything
    ]


def groups_of(report: Report) -> list[list[Figures]]:
    """Return all figures group by group; the ratios of a ladder's rungs are over other rungs."""
    groups = [list(group) for group in report.groups]
    for ladder in report.ladders:
        first = ladder.rungs[0].definition.name
        ratios = {rung.definition.name: _rung_ratios(rung, first) for rung in ladder.rungs}
        offline = [
            replace(figures, **ratios.get(figures.record.cell.variant, _NO_RATIOS))
            for figures in ladder.offline
        ]
        single_stream = [replace(figures, **_NO_RATIOS) for figures in ladder.single_stream]
        groups += [group for group in (offline, single_stream) if group]
    return groups


_NO_RATIOS: dict[str, Any] = {"speedup": {}, "energy_reduction": {}}


def _rung_ratios(rung: RungFigures, first: str) -> dict[str, Any]:
    """Return a rung's ratios as fields of `Figures`: over the rung it builds on, and over the first."""
    if rung.definition.name == first:
        return _NO_RATIOS
    gains = (("speedup", rung.speedup), ("energy_reduction", rung.energy_reduction))
    return {name: {rung.definition.over: gain.step, first: gain.cumulative} for name, gain in gains}


def measures_of(figures: Figures) -> Iterator[Measure]:
    """Yield the available measures of a record, in base units."""
    for measure in (*_estimates(figures), *_energy(figures), *_ratios(figures)):
        if all(map(math.isfinite, (measure.value, measure.low, measure.high))):
            yield measure


def _cell_name(record: Record) -> str:
    cell = record.cell
    parts = (
        cell.device,
        cell.scenario if record.load is None else f"{cell.scenario} at {record.load.rate:.6g} requests/s",
        cell.boundary,
        f"{cell.threads} threads",
        *((f"{cell.instances} instances",) if cell.instances > 1 else ()),
        f"batch {cell.batch}",
        f"{cell.max_length} tokens",
    )
    return printable(f"{cell.task}/{cell.variant} ({', '.join(parts)})")


def _run_name(record: Record) -> str:
    return f"{_cell_name(record)}, run {printable(record.run)}"


def _estimates(figures: Figures) -> Iterator[Measure]:
    times = {f"latency_{name}": latency for name, latency in figures.latency.items()}
    for name, time in {**times, "time_per_request": figures.time}.items():
        if isinstance(time, Estimate):
            yield _measure(name, "ns", time, "smaller")
    if isinstance(figures.throughput, Estimate):
        yield _measure("throughput", "requests/s", figures.throughput, "bigger")
    if isinstance(figures.peak_bytes, int):
        size = float(figures.peak_bytes)
        yield Measure("peak_memory", "B", size, size, size, "smaller", "peak of the worker's processes")
    for name, score in figures.quality.items():
        if isinstance(score, Estimate):
            yield _measure(name, "share", score, "bigger")


def _energy(figures: Figures) -> Iterator[Measure]:
    energy = figures.energy
    if isinstance(energy, EnergyEstimate):
        estimate = energy.microjoules
        value, low, high = (number / 1e6 for number in (estimate.value, estimate.low, estimate.high))
        kind = f"{energy.grade}, {energy.scope}, {energy.source}"
        note = f"{_modelled_prefix(energy.grade, energy.source)}{kind}; {interval_method(estimate)}"
        yield Measure(
            "energy_per_request", "J", value, low, high, "smaller", note, energy.grade, energy.source
        )


def _ratios(figures: Figures) -> Iterator[Measure]:
    energy = figures.energy if isinstance(figures.energy, EnergyEstimate) else None
    grade, source = (energy.grade, energy.source) if energy else ("", "")
    for name, ratios, own in (
        ("speed_up", figures.speedup, ("", "")),
        ("energy_reduction", figures.energy_reduction, (grade, source)),
    ):
        for over, ratio in ratios.items():
            if isinstance(ratio, Ratio) and over != figures.record.cell.variant:
                yield Measure(
                    printable(f"{name} over {over}"),
                    "x",
                    ratio.value,
                    ratio.low,
                    ratio.high,
                    "bigger",
                    ratio_note(ratio, *own),
                    *own,
                )


def _measure(name: str, unit: str, estimate: Estimate, better: Better) -> Measure:
    note = interval_method(estimate)
    return Measure(printable(name), unit, estimate.value, estimate.low, estimate.high, better, note)


def ratio_note(ratio: Ratio, grade: str, source: str = "") -> str:
    """Return the verdict of a ratio and the method of its interval.

    `grade` and `source` are those of its joules, if any.
    """
    return f"{_modelled_prefix(grade, source)}{judge(ratio).verdict}; {interval_method(ratio)}"


def interval_method(estimate: Estimate | Ratio) -> str:
    """Return how an interval was computed."""
    return _interval_method(estimate.confidence, estimate.method, estimate.count)


@lru_cache(maxsize=1024)
def _interval_method(confidence: float, method: str, count: int) -> str:
    return f"{100 * confidence:g} % interval, {method}, n = {count}"


def _modelled_prefix(grade: str, source: str) -> str:
    return f"{model_remark([source])} " if grade == "modelled" else ""
