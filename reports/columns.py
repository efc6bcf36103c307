"""The columns of the speed table: for each a heading, and how its cell is made from a record's figures."""

from collections.abc import Callable, Sequence

from harness.compare import BASELINE, REFERENCES, Ratio
from harness.estimate import Energy, Estimate, Unavailable
from harness.record import Record
from reports.cells import Cell, Column, Notes
from reports.figures import Absent, Figures
from reports.making import absent_cell, estimate_cell, ratio_cell, share_cell
from reports.numbers import COUNTS, ENERGIES, MEMORIES, TIMES, Unit, shown, unit_for

SHOWN_PERCENTILES = ("p50", "p90")

MakeCell = Callable[[Figures, Notes], Cell]
Maker = tuple[Column, MakeCell]

_METRICS = {"macro_f1": "macro-F1"}


def columns(group: Sequence[Figures]) -> list[Maker]:
    """Return every column of a group's table, from left to right."""
    return [
        (Column("variant", "left", "name"), _name),
        *(_metric(name) for name in group[0].quality),
        *(_speedup(name) for name in REFERENCES),
        _energy(group),
        *(_energy_reduction(name, group) for name in REFERENCES),
        *(_percentile(name, group) for name in SHOWN_PERCENTILES if name in group[0].latency),
        _throughput(),
        *([_sequences()] if any(_per_request(item.record) > 1 for item in group) else []),
        _memory(group),
    ]


def _name(item: Figures, notes: Notes) -> Cell:
    del notes
    status = "" if item.record.status == "complete" else f" ({item.record.status})"
    return Cell(f"{item.record.cell.variant}{status}")


def metric_name(name: str) -> str:
    """Return a metric's name as people read it."""
    return _METRICS.get(name, name.replace("_", " "))


def _metric(name: str) -> Maker:
    def make(item: Figures, notes: Notes) -> Cell:
        found = item.quality[name]
        if not isinstance(found, Estimate):
            return _absent(found, item, notes)
        return share_cell(found)

    return Column(metric_name(name), "right", "speed"), make


def _speedup(over: str) -> Maker:
    def make(item: Figures, notes: Notes) -> Cell:
        return _ratio(item.speedup[over], over, item, notes)

    return Column(f"speed-up over {over}", "right", "speed"), make


def _energy_reduction(over: str, group: Sequence[Figures]) -> Maker:
    def make(item: Figures, notes: Notes) -> Cell:
        return _ratio(item.energy_reduction[over], over, item, notes)

    kind = "modelled energy" if "modelled" in _grades(group) else "energy"
    return Column(f"{kind} reduction over {over}", "right", "energy"), make


def _energy(group: Sequence[Figures]) -> Maker:
    known = [item.energy for item in group if isinstance(item.energy, Energy)]
    unit = unit_for([energy.microjoules.value for energy in known], ENERGIES)
    grades = _grades(group)

    def make(item: Figures, notes: Notes) -> Cell:
        if not isinstance(item.energy, Energy):
            return _absent(item.energy, item, notes)
        cell = estimate_cell(item.energy.microjoules, unit, ENERGIES)
        return cell if len(grades) == 1 else Cell(cell.text, cell.interval, notes.number(item.energy.grade))

    heading = f"{unit.name}/request, {grades[0]}" if len(grades) == 1 else f"{unit.name}/request"
    return Column(heading, "right", "energy"), make


def _percentile(name: str, group: Sequence[Figures]) -> Maker:
    known = [found for item in group for found in item.latency.values()]
    unit = unit_for([found.value for found in known if isinstance(found, Estimate)], TIMES)

    def make(item: Figures, notes: Notes) -> Cell:
        return _estimate_or_absent(item.latency[name], unit, TIMES, item, notes)

    return Column(f"{name} {unit.name}", "right", "cost"), make


def _throughput() -> Maker:
    def make(item: Figures, notes: Notes) -> Cell:
        return _estimate_or_absent(item.throughput, COUNTS[0], COUNTS, item, notes)

    return Column("requests/s", "right", "cost"), make


def _sequences() -> Maker:
    def make(item: Figures, notes: Notes) -> Cell:
        found = _per_request(item.record)
        absent = Unavailable("nothing was timed")
        return Cell(shown(found)) if found else _absent(absent, item, notes)

    return Column("sequences/request", "right", "cost"), make


def _per_request(record: Record) -> float:
    """Return how many sequences a request holds on average; 0 where nothing was timed."""
    requests = sum(item.requests for item in record.rounds)
    return sum(item.sequences for item in record.rounds) / requests if requests else 0.0


def _memory(group: Sequence[Figures]) -> Maker:
    unit = unit_for([item.peak_bytes for item in group if isinstance(item.peak_bytes, int)], MEMORIES[1:])

    def make(item: Figures, notes: Notes) -> Cell:
        if not isinstance(item.peak_bytes, int):
            return _absent(item.peak_bytes, item, notes)
        return Cell(shown(item.peak_bytes / unit.size))

    return Column(f"peak {unit.name}", "right", "cost"), make


def _ratio(found: Ratio | Absent, over: str, item: Figures, notes: Notes) -> Cell:
    if not isinstance(found, Ratio):
        return _absent(found, item, notes)
    if item.record.cell.variant == over:
        return Cell("1 (baseline)" if over == BASELINE else "1 (itself)")
    return ratio_cell(found, notes)


def _estimate_or_absent(
    found: Estimate | Unavailable, unit: Unit, units: Sequence[Unit], item: Figures, notes: Notes
) -> Cell:
    return estimate_cell(found, unit, units) if isinstance(found, Estimate) else _absent(found, item, notes)


def _grades(group: Sequence[Figures]) -> list[str]:
    return sorted({item.energy.grade for item in group if isinstance(item.energy, Energy)})


def _absent(found: Absent, item: Figures, notes: Notes) -> Cell:
    return absent_cell(found, notes, failed=item.record.status == "failed")
