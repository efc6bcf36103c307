"""What a tracker of figures is given: one number a name, with its unit, its interval and which way is better.

    Book --named--> (name, figures) --measures_of--> measures

A tracker compares what has the same name, run after run: so names hold the cell and nothing of the run, and
units never change with the size of a number. Modelled joules have another name than measured ones: they are
CPU time in other units, and no history is to mix the two.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import Ratio, judge
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.layout.cell_factory import MODELLED
from reports.layout.escaping import printable
from reports.report import Report
from reports.values.figures import Figures
from reports.values.ladder_model import RungFigures

Better = Literal["smaller", "bigger"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a record, finite; `note` says how it came about, `grade` what joules these are."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    better: Better
    note: str
    grade: str = ""

    @property
    def label(self) -> str:
        """The name as people read it: modelled joules are said to be none."""
        return f"{self.name}, modelled: CPU time in other units" if self.grade == "modelled" else self.name


def named(book: Report) -> list[tuple[str, Figures]]:
    """Return every record's figures by a name of its own: its cell, and its run where cells repeat."""
    items = [item for group in groups_of(book) for item in group]
    for name_of in (_cell_name, _run_name):
        count = Counter(name_of(item.record) for item in items)
        if all(each == 1 for each in count.values()):
            return [(name_of(item.record), item) for item in items]
    return [(f"{_run_name(item.record)}, cell {printable(item.record.cell.id)}", item) for item in items]


def groups_of(book: Report) -> list[list[Figures]]:
    """Return all figures group by group; the ratios of a ladder's rungs are over its rungs."""
    made = [list(group) for group in book.groups]
    for ladder in book.ladders:
        first = ladder.rungs[0].words.name
        rungs = {rung.words.name: _ratios_of(rung, first) for rung in ladder.rungs}
        offline = [replace(item, **rungs.get(item.record.cell.variant, _NONE)) for item in ladder.offline]
        single = [replace(item, **_NONE) for item in ladder.single]
        made += [part for part in (offline, single) if part]
    return made


_NONE: dict[str, Any] = {"speedup": {}, "energy_reduction": {}}


def _ratios_of(rung: RungFigures, first: str) -> dict[str, Any]:
    """Return a rung's ratios as figures hold them: over the rung it builds on, and over the first."""
    if rung.words.name == first:
        return _NONE
    pairs = (("speedup", rung.speedup), ("energy_reduction", rung.energy_reduction))
    return {name: {rung.words.over: gain.step, first: gain.cumulative} for name, gain in pairs}


def measures_of(item: Figures) -> Iterator[Measure]:
    """Yield what is known of a record, in base units; what is absent is not there."""
    found = [*_figures(item), *_energy(item), *_ratios(item)]
    yield from (each for each in found if all(map(math.isfinite, (each.value, each.low, each.high))))


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


def _figures(item: Figures) -> Iterator[Measure]:
    timed = {f"latency_{name}": found for name, found in item.latency.items()}
    for name, found in {**timed, "time_per_request": item.time}.items():
        if isinstance(found, Estimate):
            yield _measure(name, "ns", found, "smaller")
    if isinstance(item.throughput, Estimate):
        yield _measure("throughput", "requests/s", item.throughput, "bigger")
    if isinstance(item.peak_bytes, int):
        size = float(item.peak_bytes)
        yield Measure("peak_memory", "B", size, size, size, "smaller", "peak of the worker's processes")
    for name, found in item.quality.items():
        if isinstance(found, Estimate):
            yield _measure(name, "share", found, "bigger")


def _energy(item: Figures) -> Iterator[Measure]:
    if isinstance(item.energy, EnergyEstimate):
        found = item.energy.microjoules
        value, low, high = (number / 1e6 for number in (found.value, found.low, found.high))
        note = f"{item.energy.grade}, {item.energy.scope}, {item.energy.source}; {how(found)}"
        note = f"{MODELLED} {note}" if item.energy.grade == "modelled" else note
        yield Measure("energy_per_request", "J", value, low, high, "smaller", note, item.energy.grade)


def _ratios(item: Figures) -> Iterator[Measure]:
    grade = item.energy.grade if isinstance(item.energy, EnergyEstimate) else ""
    for name, ratios, kind in (
        ("speed_up", item.speedup, ""),
        ("energy_reduction", item.energy_reduction, grade),
    ):
        for over, found in ratios.items():
            if isinstance(found, Ratio) and over != item.record.cell.variant:
                said = f"{MODELLED} " if kind == "modelled" else ""
                note = f"{said}{judge(found).verdict}; {how(found)}"
                full = printable(f"{name} over {over}")
                yield Measure(full, "x", found.value, found.low, found.high, "bigger", note, kind)


def _measure(name: str, unit: str, found: Estimate, better: Better) -> Measure:
    return Measure(printable(name), unit, found.value, found.low, found.high, better, how(found))


def how(found: Estimate | Ratio) -> str:
    """Say how an interval came about."""
    return f"{100 * found.confidence:g} % interval, {found.method}, n = {found.count}"
