"""The columns of the speed table: for each a heading, and how its cell is made from a record's figures."""

from collections.abc import Callable, Sequence

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.ratios import REFERENCES
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.layout.cell_factory import (
    absent_cell,
    energy_cell,
    energy_heading,
    energy_unit,
    figure_cell,
    grades_of,
    left_cell,
    over_cell,
    share_cell,
    variant_cell,
)
from reports.layout.number_format import COUNTS, ENERGIES, MEMORIES, TIMES, shown, unit_for
from reports.layout.table_model import Column, Notes, TableCell
from reports.tables.compute_limit import is_measured, limit_column
from reports.values.figures import Absent, Figures

SHOWN_PERCENTILES = ("p50", "p90")

MakeCell = Callable[[Figures, Notes], TableCell]
Maker = tuple[Column, MakeCell]

_METRICS = {"macro_f1": "macro-F1"}


def columns(group: Sequence[Figures]) -> list[Maker]:
    """Return every column of a group's table, from left to right."""
    return [
        (Column("variant", "left", "name"), variant_cell),
        *(_metric(name) for name in group[0].quality),
        *(_speedup(name) for name in REFERENCES if group[0].record.cell.scenario != "server"),
        *([limit_column()] if is_measured(group) else []),
        _energy(group),
        *([_net_energy(group)] if any(isinstance(item.net, EnergyEstimate) for item in group) else []),
        *(_energy_reduction(name, group) for name in REFERENCES),
        *_whole(group),
        *(_percentile(name, group) for name in _shown_percentiles(group) if name in group[0].latency),
        *([_highest_rate(group)] if any(_promise(item) for item in group) else []),
        _throughput(),
        *([_sequences()] if any(_per_request(item.record) > 1 for item in group) else []),
        _memory(group),
    ]


def metric_name(name: str) -> str:
    """Return a metric's name as people read it."""
    return _METRICS.get(name, name.replace("_", " "))


def _metric(name: str) -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        found = item.quality[name]
        if not isinstance(found, Estimate):
            return _absent(found, item, notes)
        return share_cell(found)

    return Column(metric_name(name), "right", "speed"), make


def _speedup(over: str) -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        return over_cell(item.speedup[over], over, item, notes)

    return Column(f"speed-up over {over}", "right", "speed"), make


def _energy_reduction(over: str, group: Sequence[Figures]) -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        return over_cell(item.energy_reduction[over], over, item, notes)

    kind = "modelled energy" if "modelled" in grades_of(group) else "energy"
    return Column(f"{kind} reduction over {over}", "right", "energy"), make


def _energy(group: Sequence[Figures]) -> Maker:
    unit, grades = energy_unit(group), grades_of(group)

    def make(item: Figures, notes: Notes) -> TableCell:
        return energy_cell(item, unit, grades, notes)

    return Column(energy_heading(unit, grades), "right", "energy"), make


def _net_energy(group: Sequence[Figures]) -> Maker:
    unit = energy_unit(group)

    def make(item: Figures, notes: Notes) -> TableCell:
        if isinstance(item.net, EnergyEstimate) and isinstance(item.energy, EnergyEstimate):
            return left_cell(item.net.microjoules, item.energy.microjoules, unit)
        found = item.net.microjoules if isinstance(item.net, EnergyEstimate) else item.net
        return figure_cell(found, unit, ENERGIES, item, notes)

    return Column(f"net of idle, {unit.name}/request", "right", "energy"), make


def _whole(group: Sequence[Figures]) -> list[Maker]:
    """Return the columns of a board and its processor together, where both were read."""
    known = [item.whole for item in group if isinstance(item.whole, EnergyEstimate)]
    if all(item.whole is None for item in group):
        return []
    unit = unit_for([energy.microjoules.value for energy in known], ENERGIES)
    scope = known[0].scope if known else "board and processor"

    def energy(item: Figures, notes: Notes) -> TableCell:
        found = item.whole.microjoules if isinstance(item.whole, EnergyEstimate) else item.whole
        return figure_cell(found or Unavailable("nothing was timed"), unit, ENERGIES, item, notes)

    def over(name: str) -> Maker:
        def make(item: Figures, notes: Notes) -> TableCell:
            return over_cell(item.whole_reduction[name], name, item, notes)

        return Column(f"{scope} energy reduction over {name}", "right", "energy"), make

    grade = f", {known[0].grade}" if known else ""
    heading = Column(f"{scope} {unit.name}/request{grade}", "right", "energy")
    return [(heading, energy), *map(over, REFERENCES)]


def _percentile(name: str, group: Sequence[Figures]) -> Maker:
    known = [found for item in group for found in item.latency.values()]
    unit = unit_for([found.value for found in known if isinstance(found, Estimate)], TIMES)

    def make(item: Figures, notes: Notes) -> TableCell:
        return figure_cell(item.latency[name], unit, TIMES, item, notes)

    of = " per batch" if group[0].record.cell.scenario == "batch" else ""
    return Column(f"{name} {unit.name}{of}", "right", "cost"), make


def _shown_percentiles(group: Sequence[Figures]) -> tuple[str, ...]:
    """Return the percentiles of the table; where requests queue, the tail is what is promised."""
    return (*SHOWN_PERCENTILES, "p99") if group[0].record.cell.scenario == "server" else SHOWN_PERCENTILES


def _promise(item: Figures) -> str:
    return item.record.load.promise if item.record.load else ""


def _highest_rate(group: Sequence[Figures]) -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        load = item.record.load
        if load is None or load.highest_rate is None:
            absent = Unavailable("no rate that was tried keeps the promise")
            return _absent(absent if load else Unavailable("nothing was offered"), item, notes)
        return TableCell(shown(load.highest_rate), value=load.highest_rate)

    return Column(f"highest rate for {next(filter(None, map(_promise, group)))}", "right", "cost"), make


def _throughput() -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        return figure_cell(item.throughput, COUNTS[0], COUNTS, item, notes)

    return Column("requests/s", "right", "cost"), make


def _sequences() -> Maker:
    def make(item: Figures, notes: Notes) -> TableCell:
        found = _per_request(item.record)
        absent = Unavailable("nothing was timed")
        return TableCell(shown(found), value=found) if found else _absent(absent, item, notes)

    return Column("sequences/request", "right", "cost"), make


def _per_request(record: Record) -> float:
    """Return how many sequences a request holds on average; 0 where nothing was timed."""
    requests = sum(item.requests for item in record.rounds)
    return sum(item.sequences for item in record.rounds) / requests if requests else 0.0


def _memory(group: Sequence[Figures]) -> Maker:
    unit = unit_for([item.peak_bytes for item in group if isinstance(item.peak_bytes, int)], MEMORIES[1:])

    def make(item: Figures, notes: Notes) -> TableCell:
        if not isinstance(item.peak_bytes, int):
            return _absent(item.peak_bytes, item, notes)
        return TableCell(shown(item.peak_bytes / unit.size), value=item.peak_bytes)

    return Column(f"peak {unit.name}", "right", "cost"), make


def _absent(found: Absent, item: Figures, notes: Notes) -> TableCell:
    return absent_cell(found, notes, failed=item.record.status == "failed")
