"""Selects the plots of a report: for every group, ladder and sweep those that its figures allow."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.analysis.diagnostics import is_null
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate
from reports.layout.cell_factory import energy_model, grades_of, model_remark
from reports.layout.metric_names import metric_name
from reports.layout.number_format import ENERGIES, TIMES, Unit, unit_for
from reports.layout.style import SamplesOf
from reports.plots.components import ZoneEnergy, components
from reports.plots.curves import curves_plot
from reports.plots.distribution import distribution
from reports.plots.drawing import Interval, Plot
from reports.plots.scaling import ScalingPoint, scaling
from reports.plots.steps import LadderStep, steps_plot
from reports.plots.tradeoff import TradeoffPoint, tradeoff
from reports.provenance.measured import title_of
from reports.report import Report
from reports.tables.sweep import settings, sweeps
from reports.values.adaptive_curves import curves_of
from reports.values.figures import Figures, name_of
from reports.values.ladder_model import Gain, LadderReport, RungFigures

if TYPE_CHECKING:
    import numpy.typing as npt

_SETTINGS = ("threads", "instances", "batch", "maximum length")
_FEWEST_POINTS = 2


def plots_of(report: Report, samples: SamplesOf) -> Iterator[Plot]:
    """Yield the plots, each with a unique name; `samples` is called for the plots that need raw samples."""
    taken: set[str] = set()
    for plot in _plots(report, samples):
        name = next(name for name in _unique_names(plot.name) if name not in taken)
        taken.add(name)
        title = f"Unfinished: {plot.title}" if report.unfinished else plot.title
        yield replace(plot, name=name, title=title)


def _unique_names(name: str) -> Iterator[str]:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "plot"
    yield slug
    number = 2
    while True:
        yield f"{slug}-{number}"
        number += 1


def _plots(report: Report, samples: SamplesOf) -> Iterator[Plot]:
    for ladder in report.ladders:
        yield from _ladder_plots(ladder)
        yield from _group_plots(ladder.offline, samples)
        yield from _distribution(ladder.single_stream, samples)
    for group in report.groups:
        yield from _group_plots(group, samples)
    for sweep in sweeps(report.groups):
        yield from _sweep_plots(sweep)


def _group_plots(group: Sequence[Figures], samples: SamplesOf) -> Iterator[Plot]:
    yield from quality_time_plots(group)
    yield from _quality_energy(group)
    yield from _distribution(group, samples)
    yield from _components(group)


def quality_time_plots(group: Sequence[Figures]) -> Iterator[Plot]:
    """Plot over p50 where latency was measured per request, else over the time per request."""
    per_request = all("p50" in figures.latency for figures in group)
    quantity = "p50 latency" if per_request else "time per request"
    times = [(figures, figures.latency["p50"] if per_request else figures.time) for figures in group]
    costs = [(figures, time) for figures, time in times if isinstance(time, Estimate)]
    yield from _tradeoff(group, "quality-time", quantity, costs, TIMES)


def _quality_energy(group: Sequence[Figures]) -> Iterator[Plot]:
    """Plot each grade, scope and source of joules by itself: they are never compared with one another."""
    kinds: dict[tuple[str, str, str], list[tuple[Figures, Estimate]]] = {}
    for figures in group:
        energy = figures.energy
        if isinstance(energy, EnergyEstimate):
            kind = (energy.grade, energy.scope, energy.source)
            kinds.setdefault(kind, []).append((figures, energy.microjoules))
    for (grade, scope, source), costs in kinds.items():
        note = model_remark([source]) if grade == "modelled" else f"Scope: {scope}."
        yield from _tradeoff(group, "quality-energy", f"{grade} energy per request", costs, ENERGIES, note)


def _tradeoff(
    group: Sequence[Figures],
    kind: str,
    quantity: str,
    costs: Sequence[tuple[Figures, Estimate]],
    units: Sequence[Unit],
    note: str = "",
) -> Iterator[Plot]:
    unit = unit_for([cost.value for _, cost in costs], units)
    primary = next((figures.record.quality.primary for figures in group if figures.record.quality), "")
    points = []
    for figures, cost in costs:
        score = figures.quality.get(primary)
        if isinstance(score, Estimate) and not is_null(figures.record):
            name, record = figures.record.cell.variant, name_of(figures.record)
            points.append(TradeoffPoint(name, _interval(cost, unit.size), _interval(score, 0.01), record))
    if len(points) >= _FEWEST_POINTS:
        yield tradeoff(
            f"{kind} {_group_name(group)}",
            f"Quality against {quantity}: {title_of(group[0].record)}",
            points,
            cost=f"{quantity}, {unit.name}",
            quality=f"{metric_name(primary)}, %",
            note=note,
        )


def _distribution(group: Sequence[Figures], samples: SamplesOf) -> Iterator[Plot]:
    """Plot single requests; a call with several requests does not give the time of each."""
    import numpy as np

    latencies: dict[str, npt.NDArray[np.float64]] = {}
    for figures in group:
        cell = figures.record.cell
        if cell.scenario != "single-stream" or cell.batch != 1 or figures.status == "failed":
            continue
        arrays = samples(figures.record)
        if arrays is not None and len(arrays.get("call_ns", ())):
            latencies[cell.variant] = np.asarray(arrays["call_ns"], dtype=np.float64)
    if latencies:
        records = tuple(
            name_of(figures.record) for figures in group if figures.record.cell.variant in latencies
        )
        title = f"Time of single requests: {title_of(group[0].record)}"
        yield distribution(f"latency {_group_name(group)}", title, latencies, records=records)


def _components(group: Sequence[Figures]) -> Iterator[Plot]:
    """Plot the zones that are summed; a zone inside another adds no energy."""
    parts = [
        ZoneEnergy(
            figures.record.cell.variant,
            number,
            reading.zone,
            reading.microjoules / turn.requests / 1e6,
            reading.grade,
            name_of(figures.record),
        )
        for figures in group
        if isinstance(figures.energy, EnergyEstimate) and not is_null(figures.record)
        for number, turn in enumerate(figures.record.rounds, 1)
        for reading in turn.readings
        if reading.microjoules is not None and turn.requests
    ]
    if parts:
        modelled = any(part.grade == "modelled" for part in parts)
        note = energy_model(figures.energy for figures in group) if modelled else ""
        title = f"Energy by round: {title_of(group[0].record)}"
        yield components(f"energy {_group_name(group)}", title, parts, note=note)


def _ladder_plots(ladder: LadderReport) -> Iterator[Plot]:
    measured = [*ladder.offline, *ladder.single_stream]
    if not measured:
        return
    first = measured[0].record
    name, title = (
        f"{ladder.name} {first.run}",
        f"ladder {ladder.name}, {first.cell.task} on {first.cell.device}",
    )
    curves = curves_of(ladder)
    if curves:
        yield curves_plot(f"ladder-curves {name}", f"Quality against cost of adaptive rungs: {title}", curves)
    records = {figures.record.cell.variant: name_of(figures.record) for figures in reversed(measured)}
    speed = _steps(ladder, lambda rung: rung.speedup, records)
    if len(speed) >= _FEWEST_POINTS:
        heading = f"Speed-up by rung: {title}, offline"
        yield steps_plot(f"ladder-speed {name}", heading, speed, quantity="speed-up")
    energy = _steps(ladder, lambda rung: rung.energy_reduction, records)
    if len(energy) >= _FEWEST_POINTS:
        modelled = "modelled" in grades_of(rung.energy for rung in ladder.rungs)
        quantity = f"{'modelled ' if modelled else ''}energy reduction"
        heading = f"{quantity.capitalize()} by rung: {title}, offline"
        note = energy_model(rung.energy for rung in ladder.rungs) if modelled else ""
        yield steps_plot(f"ladder-energy {name}", heading, energy, quantity=quantity, note=note)


def _steps(
    ladder: LadderReport, read: Callable[[RungFigures], Gain], records: dict[str, str]
) -> list[LadderStep]:
    steps = []
    for rung in ladder.rungs:
        gain, name = read(rung), rung.definition.name
        if isinstance(gain.cumulative, Ratio):
            over = rung.definition.over or ladder.rungs[0].definition.name
            own = gain.step.value if isinstance(gain.step, Ratio) and over != name else None
            steps.append(LadderStep(name, over, _interval(gain.cumulative), own, records.get(name, "")))
    return steps


def _sweep_plots(items: Sequence[Figures]) -> Iterator[Plot]:
    """Plot throughput over each setting that varies; the other settings are constant along a line."""
    for index, setting in enumerate(_SETTINGS):
        if len({settings(item)[index] for item in items}) < _FEWEST_POINTS:
            continue
        points = [
            ScalingPoint(
                _line_name(item, items, index),
                settings(item)[index],
                _interval(item.throughput),
                name_of(item.record),
            )
            for item in items
            if isinstance(item.throughput, Estimate)
        ]
        names = [point.name for point in points]
        on_lines = [point for point in points if names.count(point.name) >= _FEWEST_POINTS]
        if on_lines:
            cell = items[0].record.cell
            title = f"{cell.task} on {cell.device}, {cell.scenario}, {cell.boundary}"
            heading = f"Throughput over {setting}: {title}"
            yield scaling(f"scaling {setting} {title}", heading, on_lines, over=setting)


def _line_name(item: Figures, items: Sequence[Figures], varying: int) -> str:
    """Return the variant of a line, with the other settings that differ between lines."""
    own = settings(item)
    others = [
        f"{setting} {own[index]}"
        for index, setting in enumerate(_SETTINGS)
        if index != varying and len({settings(other)[index] for other in items}) > 1
    ]
    return ", ".join((item.record.cell.variant, *others))


def _group_name(group: Sequence[Figures]) -> str:
    record = group[0].record
    return f"{record.cell.task} {record.cell.scenario} {record.run}"


def _interval(estimate: Estimate | Ratio, unit: float = 1.0) -> Interval:
    return estimate.value / unit, estimate.low / unit, estimate.high / unit
