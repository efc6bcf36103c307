"""The columns of the speed table, each with the function that makes its cells."""

from collections.abc import Sequence

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import REFERENCES
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record, SteadyState
from reports.layout.cell_factory import (
    column,
    difference_cell,
    energy_column,
    estimate_cell,
    estimate_column,
    grades_of,
    memory_column,
    reference_column,
    share_column,
    variant_column,
)
from reports.layout.metric_names import metric_name
from reports.layout.number_format import COUNTS, ENERGIES, TIMES, shown, unit_for
from reports.layout.table_model import ColumnMaker, Notes, TableCell
from reports.tables.compute_limit import limit_columns
from reports.values.figures import Figures

SHOWN_PERCENTILES = ("p50", "p90")


def columns(group: Sequence[Figures]) -> list[ColumnMaker[Figures]]:
    """Return every column of a group's table, from left to right."""
    served = group[0].record.cell.scenario == "server"
    percentiles = (*SHOWN_PERCENTILES, "p99") if served else SHOWN_PERCENTILES  # the SLO is on the tail
    return [
        variant_column(),
        *map(_quality, group[0].quality),
        *([] if served else map(speedup_column, REFERENCES)),
        *limit_columns(group),
        figures_energy_column(group),
        *([_net_energy(group)] if any(isinstance(item.net, EnergyEstimate) for item in group) else []),
        *(_energy_reduction(name, group) for name in REFERENCES),
        *_whole_energy(group),
        *(_percentile(name, group) for name in percentiles if name in group[0].latency),
        *([_steady_state(group)] if any(map(_steady, group)) else []),
        *([_highest_rate(group)] if any(map(_objective, group)) else []),
        estimate_column("requests/s", lambda item: item.throughput, (), COUNTS, "cost"),
        *([_sequences()] if any(_sequences_per_request(item.record) > 1 for item in group) else []),
        memory_column("peak {}", lambda item: item.peak_bytes, group, "cost"),
    ]


def speedup_column(over: str) -> ColumnMaker[Figures]:
    """Return the column of speed-ups over a reference variant."""
    return reference_column(f"speed-up over {over}", lambda item: item.speedup[over], over)


def figures_energy_column(group: Sequence[Figures]) -> ColumnMaker[Figures]:
    """Return the column of energy per request."""
    return energy_column(
        "{}/request", lambda item: item.energy, [item.energy for item in group], part="energy"
    )


def _quality(name: str) -> ColumnMaker[Figures]:
    return share_column(metric_name(name), lambda item: item.quality[name])


def _energy_reduction(over: str, group: Sequence[Figures]) -> ColumnMaker[Figures]:
    modelled = "modelled " if "modelled" in grades_of(item.energy for item in group) else ""
    heading = f"{modelled}energy reduction over {over}"
    return reference_column(heading, lambda item: item.energy_reduction[over], over, "energy")


def _net_energy(group: Sequence[Figures]) -> ColumnMaker[Figures]:
    energies = [item.energy for item in group if isinstance(item.energy, EnergyEstimate)]
    unit = unit_for([energy.microjoules.value for energy in energies], ENERGIES)

    def show(net: EnergyEstimate, item: Figures, notes: Notes) -> TableCell:
        del notes
        if not isinstance(item.energy, EnergyEstimate):
            return estimate_cell(net.microjoules, unit, ENERGIES)
        return difference_cell(net.microjoules, item.energy.microjoules, unit)

    return column(f"net of idle, {unit.name}/request", lambda item: item.net, show, part="energy")


def _whole_energy(group: Sequence[Figures]) -> list[ColumnMaker[Figures]]:
    """Return the columns of a GPU board and the processor together, where both were read."""
    if all(item.whole is None for item in group):
        return []
    energies = [item.whole for item in group if isinstance(item.whole, EnergyEstimate)]
    scope = energies[0].scope if energies else "board and processor"
    grade = f", {energies[0].grade}" if energies else ""

    def read(item: Figures) -> Estimate | Unavailable:
        if isinstance(item.whole, EnergyEstimate):
            return item.whole.microjoules
        return item.whole or Unavailable("nothing was timed")

    def reduction(over: str) -> ColumnMaker[Figures]:
        heading = f"{scope} energy reduction over {over}"
        return reference_column(heading, lambda item: item.whole_reduction[over], over, "energy")

    heading = f"{scope} {{}}/request{grade}"
    return [
        estimate_column(heading, read, map(read, group), ENERGIES, "energy"),
        *map(reduction, REFERENCES),
    ]


def _percentile(name: str, group: Sequence[Figures]) -> ColumnMaker[Figures]:
    """Return the column of one percentile; all percentiles have one unit."""
    latencies = [latency for item in group for latency in item.latency.values()]
    per_batch = " per batch" if group[0].record.cell.scenario == "batch" else ""
    heading = f"{name} {{}}{per_batch}"
    return estimate_column(heading, lambda item: item.latency[name], latencies, TIMES, "cost")


def _steady(item: Figures) -> SteadyState | None:
    return item.record.load.steady if item.record.load else None


def _steady_state(group: Sequence[Figures]) -> ColumnMaker[Figures]:
    """Return the column of the percentile in steady state, in the unit of the percentiles."""
    latencies = [latency for item in group for latency in item.latency.values()]
    unit = unit_for([latency.value for latency in latencies if isinstance(latency, Estimate)], TIMES)

    def read(item: Figures) -> float | Unavailable:
        steady = _steady(item)
        if steady is None:
            return Unavailable("an earlier version measured it")
        if steady.value_ns is None:
            return Unavailable(steady.unavailable or "its service times are unknown")
        return float(steady.value_ns)

    def show(value_ns: float, item: Figures, notes: Notes) -> TableCell:
        del item, notes
        return TableCell(shown(value_ns / unit.size), value=value_ns)

    percentile = next(steady.percentile for steady in map(_steady, group) if steady is not None)
    return column(f"p{percentile:g} {unit.name} in steady state, computed", read, show, part="cost")


def _objective(item: Figures) -> str:
    return item.record.load.promise if item.record.load else ""


def _highest_rate(group: Sequence[Figures]) -> ColumnMaker[Figures]:
    def read(item: Figures) -> float | Unavailable:
        load = item.record.load
        if load is None:
            return Unavailable("no requests were sent at a rate")
        if load.highest_rate is None:
            return Unavailable("none of the rates tried meets the objective")
        return load.highest_rate

    heading = f"highest rate for {next(filter(None, map(_objective, group)))}"
    return column(heading, read, _number_cell, part="cost")


def _sequences() -> ColumnMaker[Figures]:
    def read(item: Figures) -> float | Unavailable:
        return _sequences_per_request(item.record) or Unavailable("nothing was timed")

    return column("sequences/request", read, _number_cell, part="cost")


def _number_cell(number: float, item: Figures, notes: Notes) -> TableCell:
    del item, notes
    return TableCell(shown(number), value=number)


def _sequences_per_request(record: Record) -> float:
    """Return the mean number of sequences in a request; 0 where nothing was timed."""
    requests = sum(turn.requests for turn in record.rounds)
    return sum(turn.sequences for turn in record.rounds) / requests if requests else 0.0
