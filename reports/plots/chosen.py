"""Which plots a report has: of every group, ladder and sweep those that its figures allow."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.analysis.diagnostics import is_null
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate, Unavailable
from reports.layout.cell_factory import MODELLED
from reports.layout.number_format import ENERGIES, TIMES, Unit, unit_for
from reports.layout.style import SamplesOf
from reports.plots.components import Part, components
from reports.plots.curves import curves
from reports.plots.distribution import distribution
from reports.plots.drawing import Plot
from reports.plots.scaling import ScalingPoint, scaling
from reports.plots.steps import LadderStep, steps
from reports.plots.tradeoff import Interval, TradeoffPoint, tradeoff
from reports.provenance.measured import title_of
from reports.report import Report
from reports.tables.speed_columns import metric_name
from reports.tables.sweep import settings, sweeps
from reports.values.adaptive_curves import curves_of
from reports.values.figures import Figures, name_of
from reports.values.ladder_model import Gain, LadderReport, RungFigures

if TYPE_CHECKING:
    import numpy.typing as npt

_SINGLE = "single-stream"
_AXES = ("threads", "instances", "batch", "maximum length")
_ENOUGH = 2
"""One point is no plot."""


def plots_of(book: Report, samples: SamplesOf) -> Iterator[Plot]:
    """Make the plots one by one, each with a name of its own; `samples` is asked where one needs them."""
    taken: set[str] = set()
    for plot in _every(book, samples):
        name = next(each for each in _names(plot.name) if each not in taken)
        taken.add(name)
        yield replace(plot, name=name)


def _names(name: str) -> Iterator[str]:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "plot"
    yield slug
    number = 2
    while True:
        yield f"{slug}-{number}"
        number += 1


def _every(book: Report, samples: SamplesOf) -> Iterator[Plot]:
    for ladder in book.ladders:
        yield from _of_ladder(ladder)
        yield from _of_group(ladder.offline, samples)
        yield from _distribution(ladder.single, samples)
    for group in book.groups:
        yield from _of_group(group, samples)
    for sweep in sweeps(book.groups):
        yield from _of_sweep(sweep)


def _of_group(group: Sequence[Figures], samples: SamplesOf) -> Iterator[Plot]:
    yield from _quality_time(group)
    yield from _quality_energy(group)
    yield from _distribution(group, samples)
    yield from _components(group)


def _quality_time(group: Sequence[Figures]) -> Iterator[Plot]:
    """Plot over p50 where requests came one by one, or else over the time per request."""
    singly = all("p50" in item.latency for item in group)
    what = "p50 latency" if singly else "time per request"
    found = [(item, _estimate(item.latency["p50"] if singly else item.time)) for item in group]
    yield from _tradeoff(group, "quality-time", what, [(item, cost) for item, cost in found if cost], TIMES)


def _quality_energy(group: Sequence[Figures]) -> Iterator[Plot]:
    """Plot each grade, scope and source of joules by itself: they are not set against one another."""
    kinds = dict.fromkeys(
        (item.energy.grade, item.energy.scope, item.energy.source)
        for item in group
        if isinstance(item.energy, EnergyEstimate)
    )
    for kind in kinds:
        found = [
            (item, item.energy.microjoules)
            for item in group
            if isinstance(item.energy, EnergyEstimate)
            and (item.energy.grade, item.energy.scope, item.energy.source) == kind
        ]
        note = MODELLED if kind[0] == "modelled" else f"Scope: {kind[1]}."
        what = f"{kind[0]} energy per request"
        yield from _tradeoff(group, "quality-energy", what, found, ENERGIES, note)


def _tradeoff(
    group: Sequence[Figures],
    kind: str,
    what: str,
    costs: Sequence[tuple[Figures, Estimate]],
    units: Sequence[Unit],
    note: str = "",
) -> Iterator[Plot]:
    unit = unit_for([cost.value for _, cost in costs], units)
    primary = next((item.record.quality.primary for item in group if item.record.quality), "")
    points = [
        TradeoffPoint(
            item.record.cell.variant, _ends(cost, unit.size), _ends(found, 0.01), name_of(item.record)
        )
        for item, cost in costs
        if not is_null(item.record) and (found := _estimate(item.quality.get(primary)))
    ]
    if len(points) >= _ENOUGH:
        yield tradeoff(
            f"{kind} {_place(group)}",
            f"Quality against {what}: {title_of(group[0].record)}",
            points,
            cost=f"{what}, {unit.name}",
            quality=f"{metric_name(primary)}, %",
            note=note,
        )


def _distribution(group: Sequence[Figures], samples: SamplesOf) -> Iterator[Plot]:
    """Plot single requests; a call that held several says nothing of each."""
    import numpy as np

    found: dict[str, npt.NDArray[np.float64]] = {}
    for item in group:
        cell = item.record.cell
        if cell.scenario != _SINGLE or cell.batch != 1 or item.record.status == "failed":
            continue
        arrays = samples(item.record)
        if arrays is not None and len(arrays.get("call_ns", ())):
            found[cell.variant] = np.asarray(arrays["call_ns"], dtype=np.float64)
    if found:
        records = tuple(name_of(item.record) for item in group if item.record.cell.variant in found)
        title = f"Time of single requests: {title_of(group[0].record)}"
        yield distribution(f"latency {_place(group)}", title, found, records=records)


def _components(group: Sequence[Figures]) -> Iterator[Plot]:
    """Plot zones that are summed; a zone within another is no further energy."""
    parts = [
        Part(
            item.record.cell.variant,
            number,
            reading.zone,
            reading.microjoules / one.requests / 1e6,
            reading.grade,
            name_of(item.record),
        )
        for item in group
        if isinstance(item.energy, EnergyEstimate) and not is_null(item.record)
        for number, one in enumerate(item.record.rounds, 1)
        for reading in one.readings
        if reading.microjoules is not None and one.requests
    ]
    if parts:
        modelled = any(part.grade == "modelled" for part in parts)
        note = MODELLED if modelled else ""
        title = f"Energy by round: {title_of(group[0].record)}"
        yield components(f"energy {_place(group)}", title, parts, note=note)


def _of_ladder(ladder: LadderReport) -> Iterator[Plot]:
    known = [*ladder.offline, *ladder.single]
    if not known:
        return
    records = {item.record.cell.variant: name_of(item.record) for item in reversed(known)}
    place = f"{ladder.name} {known[0].record.run}"
    title = f"ladder {ladder.name}, {known[0].record.cell.task} on {known[0].record.cell.device}, offline"
    adaptive = curves_of(ladder)
    if adaptive:
        about = f"Quality against cost of adaptive rungs: {title.removesuffix(', offline')}"
        yield curves(f"ladder-curves {place}", about, adaptive)
    speed = _steps(ladder, lambda rung: rung.speedup, records)
    if len(speed) >= _ENOUGH:
        yield steps(f"ladder-speed {place}", f"Speed-up by rung: {title}", speed, quantity="speed-up")
    grades = {rung.energy.grade for rung in ladder.rungs if isinstance(rung.energy, EnergyEstimate)}
    energy = _steps(ladder, lambda rung: rung.energy_reduction, records)
    if len(energy) >= _ENOUGH:
        modelled = "modelled" in grades
        quantity = f"{'modelled ' if modelled else ''}energy reduction"
        note = MODELLED if modelled else ""
        heading = f"{quantity.capitalize()} by rung: {title}"
        yield steps(f"ladder-energy {place}", heading, energy, quantity=quantity, note=note)


def _steps(
    ladder: LadderReport, read: Callable[[RungFigures], Gain], records: dict[str, str]
) -> list[LadderStep]:
    found = []
    for rung in ladder.rungs:
        gain, name = read(rung), rung.words.name
        if isinstance(gain.cumulative, Ratio):
            over = rung.words.over or ladder.rungs[0].words.name
            own = gain.step.value if isinstance(gain.step, Ratio) and over != name else None
            ends = (gain.cumulative.value, gain.cumulative.low, gain.cumulative.high)
            found.append(LadderStep(name, over, ends, own, records.get(name, "")))
    return found


def _of_sweep(items: Sequence[Figures]) -> Iterator[Plot]:
    """Plot throughput over each setting that varies; a line holds the other settings still."""
    for at, what in enumerate(_AXES):
        if len({settings(item)[at] for item in items}) < _ENOUGH:
            continue
        found = [
            ScalingPoint(
                _line(item, items, at), settings(item)[at], _ends(item.throughput), name_of(item.record)
            )
            for item in items
            if isinstance(item.throughput, Estimate)
        ]
        names = [one.name for one in found]
        kept = [one for one in found if names.count(one.name) >= _ENOUGH]
        if kept:
            cell = items[0].record.cell
            title = f"{cell.task} on {cell.device}, {cell.scenario}, {cell.boundary}"
            yield scaling(f"scaling {what} {title}", f"Throughput over {what}: {title}", kept, over=what)


def _line(item: Figures, items: Sequence[Figures], varies: int) -> str:
    """Name a line by its variant, and by the other settings that differ between lines."""
    own = settings(item)
    others = [
        f"{what} {own[at]}"
        for at, what in enumerate(_AXES)
        if at != varies and len({settings(each)[at] for each in items}) > 1
    ]
    return ", ".join((item.record.cell.variant, *others))


def _place(group: Sequence[Figures]) -> str:
    record = group[0].record
    return f"{record.cell.task} {record.cell.scenario} {record.run}"


def _estimate(found: Estimate | Unavailable | None) -> Estimate | None:
    return found if isinstance(found, Estimate) else None


def _ends(found: Estimate, unit: float = 1.0) -> Interval:
    return found.value / unit, found.low / unit, found.high / unit
