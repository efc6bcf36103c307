"""The table of one variant at several settings: a row for each number of threads, batch and maximum length.

Rows with different settings are not paired, so they have no ratio: each speed-up is within a row's own group,
over the baseline at the same settings.
"""

from collections.abc import Callable, Sequence

from harness.analysis.statistics.ratios import BASELINE
from harness.records.record import Record
from reports.layout.cell_factory import energy_model, estimate_column, grades_of, variant_column
from reports.layout.number_format import COUNTS, TIMES
from reports.layout.table_model import Column, ColumnMaker, Notes, Table, TableCell, build_table
from reports.tables.speed_columns import figures_energy_column, speedup_column
from reports.values.figures import Figures, name_of

Settings = tuple[int, int, int, int]

_HOW = (
    f"Speed-ups are over {BASELINE} at the same settings and in the same run. Rows with different settings "
    "are not paired, so they have no ratio."
)


def sweep_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return a table for each task, model, machine and scenario that was measured at several settings."""
    return [_table(sweep) for sweep in sweeps(groups)]


def sweeps(groups: Sequence[Sequence[Figures]]) -> list[list[Figures]]:
    """Return the figures of each sweep, by variant and then settings."""
    by_key: dict[tuple[object, ...], list[Figures]] = {}
    for item in (item for group in groups for item in group):
        by_key.setdefault(_sweep_key(item.record), []).append(item)
    return [
        sorted(items, key=lambda item: (_variants(items).index(item.record.cell.variant), settings(item)))
        for items in by_key.values()
        if _has_several_settings(items)
    ]


def settings(item: Figures) -> Settings:
    """Return threads, instances, batch and maximum length."""
    cell = item.record.cell
    return cell.threads, cell.instances, cell.batch, cell.max_length


def _sweep_key(record: Record) -> tuple[object, ...]:
    """Return what all rows of a sweep share."""
    cell = record.cell
    return (
        *(cell.task, cell.device, cell.scenario, cell.boundary, record.profile, record.host.fingerprint),
        *(record.data.fingerprint, record.data.split, record.model.fingerprint),
    )


def _has_several_settings(items: Sequence[Figures]) -> bool:
    return any(
        len({settings(item) for item in items if item.record.cell.variant == name}) > 1
        for name in _variants(items)
    )


def _variants(items: Sequence[Figures]) -> list[str]:
    return list(dict.fromkeys(item.record.cell.variant for item in items))


def _table(items: Sequence[Figures]) -> Table:
    cell = items[0].record.cell
    modelled = "modelled" in grades_of(item.energy for item in items)
    return build_table(
        f"Sweep: {cell.task} on {cell.device}, {cell.scenario}, {cell.boundary}",
        items,
        [
            variant_column(),
            (Column("threads", "right", "speed"), _threads_cell),
            _setting("batch", lambda item: item.record.cell.batch),
            _setting("max length", lambda item: item.record.cell.max_length),
            estimate_column("{}/request", lambda item: item.time, [item.time for item in items], TIMES),
            estimate_column("requests/s", lambda item: item.throughput, (), COUNTS),
            speedup_column(BASELINE),
            figures_energy_column(items),
        ],
        remarks=[_HOW, energy_model(item.energy for item in items)] if modelled else [_HOW],
        records=[name_of(item.record) for item in items],
    )


def _threads_cell(item: Figures, notes: Notes) -> TableCell:
    del notes
    cell = item.record.cell
    threads = f"{cell.instances} x {cell.threads}" if cell.instances > 1 else str(cell.threads)
    return TableCell(threads, value=cell.instances * cell.threads)


def _setting(heading: str, read: Callable[[Figures], int]) -> ColumnMaker[Figures]:
    def make_cell(item: Figures, notes: Notes) -> TableCell:
        del notes
        return TableCell(f"{read(item):,}", value=read(item))

    return Column(heading, "right", "speed"), make_cell
