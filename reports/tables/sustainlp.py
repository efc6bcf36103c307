"""The table of the SustaiNLP shared task: kWh of a whole process, for records measured by its protocol."""

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.sustainlp import SCALE, ProtocolEnergy, protocol_energy, protocol_of
from harness.records.estimate import Unavailable
from reports.layout.cell_factory import MODELLED, absent_cell, estimate_cell
from reports.layout.number_format import ENERGIES, Unit, shown, unit_for, with_interval
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.values.figures import Figures, failure_of

HOW = (
    "The energy of a whole process from its start to its exit: imports, loading, tokenising, predicting. "
    "kWh = J / 3.6e6 x {pue:g} (PUE). {scale}: the shared task's tracker attributed energy by share of CPU "
    "time, sampled every two seconds; here the meter is read at start and exit. PUE scales kWh and leaves "
    "ratios unchanged."
)

Energies = Mapping[tuple[str, str], ProtocolEnergy | Unavailable]
"""By task and variant."""


def protocol_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return one table over all records that were measured by the protocol; none where there are none."""
    energies: Energies = {
        (item.record.cell.task, item.record.cell.variant): failure_of(item.record)
        or protocol_energy(item.record)
        for group in groups
        for item in group
        if protocol_of(item.record)
    }
    return [_table(energies)] if energies else []


def _table(energies: Energies) -> Table:
    available = [energy for energy in energies.values() if isinstance(energy, ProtocolEnergy)]
    unit = unit_for([energy.energy.microjoules.value for energy in available], ENERGIES)
    notes = Notes()
    rows = [
        (TableCell(f"{task}: {variant}"), *_cells(energy, unit, notes))
        for (task, variant), energy in energies.items()
    ]
    return Table(
        title="SustaiNLP 2020 scale: energy of a whole process",
        columns=(
            Column("task: variant", "left", "name"),
            Column("examples/start", "right", "energy"),
            Column(f"{unit.name}/start", "right", "energy"),
            Column("kWh/start", "right", "energy"),
        ),
        rows=(*rows, *_totals(energies)),
        notes=tuple(notes.texts),
        remarks=tuple(_remarks(available)),
    )


def _cells(energy: ProtocolEnergy | Unavailable, unit: Unit, notes: Notes) -> tuple[TableCell, ...]:
    if isinstance(energy, Unavailable):
        absent = absent_cell(energy, notes)
        return TableCell(""), absent, absent
    value, interval = with_interval(energy.kwh, energy.low_kwh, energy.high_kwh)
    return (
        TableCell(f"{energy.examples:,}", value=energy.examples),
        estimate_cell(energy.energy.microjoules, unit, ENERGIES),
        TableCell(value, interval, value=energy.kwh),
    )


def _totals(energies: Energies) -> Iterator[tuple[TableCell, ...]]:
    """Sum each variant that was measured on every task, as the shared task did; a single task has no sum."""
    tasks = dict.fromkeys(task for task, _ in energies)
    if len(tasks) == 1:
        return
    for variant in dict.fromkeys(variant for _, variant in energies):
        by_task = [energies.get((task, variant)) for task in tasks]
        available = [energy for energy in by_task if isinstance(energy, ProtocolEnergy)]
        if len(available) == len(tasks):
            kwh = sum(energy.kwh for energy in available)
            examples = sum(energy.examples for energy in available)
            yield (
                TableCell(f"all {len(tasks)} tasks: {variant}"),
                TableCell(f"{examples:,}"),
                TableCell(""),
                TableCell(shown(kwh), value=kwh),
            )


def _remarks(energies: Sequence[ProtocolEnergy]) -> Iterator[str]:
    if energies:
        yield HOW.format(pue=energies[0].pue, scale=SCALE)
    if any(energy.energy.grade == "modelled" for energy in energies):
        yield MODELLED
