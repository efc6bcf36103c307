"""One variant at several settings: threads, batch and maximum length, a row for each.

Rows of different settings are no pairs, so no ratio is made of them: speed-ups are those within each row's
own group, over the baseline at the same settings.
"""

from collections.abc import Callable, Sequence

from harness.analysis.statistics.ratios import BASELINE
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.layout.cell_factory import (
    MODELLED,
    energy_cell,
    energy_heading,
    energy_unit,
    figure_cell,
    grades_of,
    over_cell,
    variant_cell,
)
from reports.layout.number_format import COUNTS, TIMES, Unit, unit_for
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.values.figures import Figures, name_of

MakeCell = Callable[[Figures, Notes], TableCell]
Maker = tuple[Column, MakeCell]
Settings = tuple[int, int, int, int]


def sweep_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return a table for each task, model, machine and scenario that was measured at several settings."""
    return [_table(found) for found in sweeps(groups)]


def sweeps(groups: Sequence[Sequence[Figures]]) -> list[list[Figures]]:
    """Return the figures of each sweep, by variant and then settings."""
    found: dict[tuple[object, ...], list[Figures]] = {}
    for item in (item for group in groups for item in group):
        found.setdefault(_of(item.record), []).append(item)
    return [
        sorted(items, key=lambda item: (_variants(items).index(item.record.cell.variant), settings(item)))
        for items in found.values()
        if _several(items)
    ]


def settings(item: Figures) -> Settings:
    """Return threads, instances, batch and maximum length."""
    cell = item.record.cell
    return cell.threads, cell.instances, cell.batch, cell.max_length


def _of(record: Record) -> tuple[object, ...]:
    """Return what all rows of a sweep share."""
    cell = record.cell
    return (
        *(cell.task, cell.device, cell.scenario, cell.boundary, record.profile, record.host.fingerprint),
        *(record.data.fingerprint, record.data.split, record.model.fingerprint),
    )


def _several(items: Sequence[Figures]) -> bool:
    return any(
        len({settings(item) for item in items if item.record.cell.variant == name}) > 1
        for name in _variants(items)
    )


def _variants(items: Sequence[Figures]) -> list[str]:
    return list(dict.fromkeys(item.record.cell.variant for item in items))


def _table(items: Sequence[Figures]) -> Table:
    notes = Notes()
    makers = _makers(items)
    cell = items[0].record.cell
    how = (
        f"Speed-ups are over {BASELINE} at the same settings and in the same run; rows of different settings "
        "are no pairs, so no ratio is made of them."
    )
    return Table(
        title=f"Sweep: {cell.task} on {cell.device}, {cell.scenario}, {cell.boundary}",
        columns=tuple(column for column, _ in makers),
        rows=tuple(tuple(make(item, notes) for _, make in makers) for item in items),
        notes=tuple(notes.texts),
        remarks=(how, MODELLED) if "modelled" in grades_of(items) else (how,),
        records=tuple(name_of(item.record) for item in items),
    )


def _makers(items: Sequence[Figures]) -> list[Maker]:
    return [
        (Column("variant", "left", "name"), variant_cell),
        (Column("threads", "right", "speed"), _threads),
        (Column("batch", "right", "speed"), _number(lambda item: item.record.cell.batch)),
        (Column("max length", "right", "speed"), _number(lambda item: item.record.cell.max_length)),
        _figure("{}/request", lambda item: item.time, items, TIMES),
        _figure("requests/s", lambda item: item.throughput, items, COUNTS),
        (
            Column(f"speed-up over {BASELINE}", "right", "speed"),
            lambda item, notes: over_cell(item.speedup[BASELINE], BASELINE, item, notes),
        ),
        _energy(items),
    ]


def _figure(
    heading: str,
    read: Callable[[Figures], Estimate | Unavailable],
    items: Sequence[Figures],
    units: Sequence[Unit],
) -> Maker:
    unit = unit_for([found.value for item in items if isinstance(found := read(item), Estimate)], units)
    return (
        Column(heading.format(unit.name), "right", "speed"),
        lambda item, notes: figure_cell(read(item), unit, units, item, notes),
    )


def _energy(items: Sequence[Figures]) -> Maker:
    unit, grades = energy_unit(items), grades_of(items)
    return (
        Column(energy_heading(unit, grades), "right", "energy"),
        lambda item, notes: energy_cell(item, unit, grades, notes),
    )


def _threads(item: Figures, notes: Notes) -> TableCell:
    del notes
    cell = item.record.cell
    shown = f"{cell.instances} x {cell.threads}" if cell.instances > 1 else str(cell.threads)
    return TableCell(shown, value=cell.instances * cell.threads)


def _number(read: Callable[[Figures], int]) -> MakeCell:
    return lambda item, _: TableCell(f"{read(item):,}", value=read(item))
