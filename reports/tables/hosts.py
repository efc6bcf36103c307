"""The table of machines side by side: the same cell on each machine, in columns.

Ratios are never computed across machines, which differ in more than the system. Each machine has the time per
request, and the speed-up over the baseline on the same machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.analysis.statistics.ratios import BASELINE
from harness.records.estimate import Unavailable
from harness.records.record import Record
from reports.layout.cell_factory import (
    absent_cell,
    energy_column,
    energy_model,
    estimate_column,
    grades_of,
    reference_column,
)
from reports.layout.host_names import host_names
from reports.layout.number_format import TIMES
from reports.layout.table_model import Column, ColumnMaker, FactLine, Notes, Table, TableCell, build_table
from reports.provenance.measured import host_line, title_of
from reports.values.figures import Figures

ByVariant = dict[str, Figures]


def host_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return a table for each cell that was measured on several machines, from the last run on each."""
    names = host_names(figures.record for group in groups for figures in group)
    cells: dict[tuple[object, ...], dict[str, ByVariant]] = {}
    for figures in (figures for group in groups for figures in group):
        record = figures.record
        on_host = cells.setdefault(_cell_key(record), {}).setdefault(record.host.fingerprint, {})
        earlier = on_host.get(record.cell.variant)
        if earlier is None or earlier.record.created <= record.created:
            on_host[record.cell.variant] = figures
    return [
        _table({names[fingerprint]: host for fingerprint, host in hosts.items()})
        for hosts in cells.values()
        if len(hosts) > 1
    ]


def _cell_key(record: Record) -> tuple[object, ...]:
    """Return what must be equal for machines to share a table."""
    cell, model = record.cell, record.model
    return (
        *(cell.task, cell.device, cell.scenario, cell.boundary, cell.threads, cell.instances, cell.batch),
        *(cell.max_length, record.data.fingerprint, record.data.split, model.fingerprint, record.profile),
    )


def _table(hosts: Mapping[str, ByVariant]) -> Table:
    """Return the table of one cell, given what each host measured by the host's name."""
    everything = [figures for host in hosts.values() for figures in host.values()]
    remarks = ["Ratios are never computed across hosts: each speed-up is over the baseline on the same host."]
    if "modelled" in grades_of(figures.energy for figures in everything):
        remarks.append(energy_model(figures.energy for figures in everything))
    table = build_table(
        f"Hosts side by side: {title_of(everything[0].record)}{_instances(everything[0].record)}",
        list(dict.fromkeys(variant for host in hosts.values() for variant in host)),
        [
            (Column("variant", "left", "name"), lambda variant, _: TableCell(variant)),
            *(
                _on_host(host, column)
                for name, host in hosts.items()
                for column in _columns(name, everything)
            ),
        ],
        remarks=remarks,
    )
    return replace(table, facts=tuple(FactLine(name, _about(host)) for name, host in hosts.items()))


def _instances(record: Record) -> str:
    return f", {record.cell.instances} instances" if record.cell.instances > 1 else ""


def _columns(name: str, everything: Sequence[Figures]) -> list[ColumnMaker[Figures]]:
    """Return the columns of one host, in units that suit all hosts."""
    times, energies = [figures.time for figures in everything], [figures.energy for figures in everything]
    over = f"{name}, speed-up over {BASELINE}"
    return [
        estimate_column(f"{name}, {{}}/request", lambda figures: figures.time, times, TIMES),
        reference_column(over, lambda figures: figures.speedup[BASELINE], BASELINE),
        energy_column(f"{name}, {{}}/request", lambda figures: figures.energy, energies, "energy"),
    ]


def _on_host(host: ByVariant, column: ColumnMaker[Figures]) -> ColumnMaker[str]:
    heading, make_cell = column

    def make_host_cell(variant: str, notes: Notes) -> TableCell:
        if variant not in host:
            return absent_cell(Unavailable("it was not measured there"), notes)
        return make_cell(host[variant], notes)

    return heading, make_host_cell


def _about(host: ByVariant) -> str:
    runs = ", ".join(dict.fromkeys(figures.record.run for figures in host.values()))
    return f"{host_line(next(iter(host.values())).record)}; run {runs}"
