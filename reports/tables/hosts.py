"""Machines side by side: the same cell on each, in columns.

Across machines no ratio is made: what differs between them is more than the system. Each column holds the
time per request there, and the speed-up over the baseline of the same machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.statistics.ratios import BASELINE
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.layout.cell_factory import (
    MODELLED,
    energy_cell,
    energy_heading,
    energy_unit,
    figure_cell,
    grades_of,
    over_cell,
)
from reports.layout.number_format import TIMES, Unit, unit_for
from reports.layout.table_model import Column, FactLine, Notes, Table, TableCell
from reports.provenance.measured import host_line, title_of
from reports.values.figures import Figures

Places = dict[str, dict[str, Figures]]
"""Figures by host fingerprint and variant."""


@dataclass(frozen=True, slots=True)
class _Units:
    """What all hosts' columns share."""

    time: Unit
    energy: Unit
    grades: list[str]


def host_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return a table for each cell that was measured on several machines: of each its last run."""
    found: dict[tuple[object, ...], Places] = {}
    for group in groups:
        for item in group:
            place = found.setdefault(_cell(item.record), {}).setdefault(item.record.host.fingerprint, {})
            known = place.get(item.record.cell.variant)
            if known is None or known.record.created <= item.record.created:
                place[item.record.cell.variant] = item
    return [_table(places) for places in found.values() if len(places) > 1]


def _cell(record: Record) -> tuple[object, ...]:
    """Return what has to be alike for machines to stand side by side."""
    cell, model = record.cell, record.model
    return (
        *(cell.task, cell.device, cell.scenario, cell.boundary, cell.threads, cell.instances, cell.batch),
        *(cell.max_length, record.data.fingerprint, record.data.split, model.fingerprint, record.profile),
    )


def _table(places: Places) -> Table:
    notes = Notes()
    hosts = list(places.values())
    every = [item for place in hosts for item in place.values()]
    units = _Units(
        unit_for([item.time.value for item in every if isinstance(item.time, Estimate)], TIMES),
        energy_unit(every),
        grades_of(every),
    )
    across = "No ratio is made across hosts: each speed-up is over the baseline on the same host."
    variants = dict.fromkeys(name for place in hosts for name in place)
    return Table(
        title=f"Hosts side by side: {title_of(every[0].record)}",
        columns=_columns(len(hosts), units),
        rows=tuple(_row(name, hosts, units, notes) for name in variants),
        notes=tuple(notes.texts),
        remarks=(across, MODELLED) if "modelled" in units.grades else (across,),
        facts=tuple(FactLine(f"host {number}", _about(place)) for number, place in enumerate(hosts, 1)),
    )


def _columns(hosts: int, units: _Units) -> tuple[Column, ...]:
    joules = energy_heading(units.energy, units.grades)
    of_each = [
        (
            Column(f"host {number}, {units.time.name}/request", "right", "speed"),
            Column(f"host {number}, speed-up over {BASELINE}", "right", "speed"),
            Column(f"host {number}, {joules}", "right", "energy"),
        )
        for number in range(1, hosts + 1)
    ]
    return (Column("variant", "left", "name"), *(column for columns in of_each for column in columns))


def _row(
    variant: str, hosts: Sequence[dict[str, Figures]], units: _Units, notes: Notes
) -> tuple[TableCell, ...]:
    cells = [TableCell(variant)]
    for place in hosts:
        item = place.get(variant)
        cells += _of(item, units, notes) if item else [_missing(notes)] * 3
    return tuple(cells)


def _of(item: Figures, units: _Units, notes: Notes) -> list[TableCell]:
    return [
        figure_cell(item.time, units.time, TIMES, item, notes),
        over_cell(item.speedup[BASELINE], BASELINE, item, notes),
        energy_cell(item, units.energy, units.grades, notes),
    ]


def _missing(notes: Notes) -> TableCell:
    return TableCell("n/a", note=notes.number("because it was not measured there."))


def _about(place: dict[str, Figures]) -> str:
    runs = ", ".join(dict.fromkeys(item.record.run for item in place.values()))
    return f"{host_line(next(iter(place.values())).record)}; run {runs}"
