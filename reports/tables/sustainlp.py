"""The shared task's own figure beside ours: kWh of a whole process, for records that were measured so."""

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.sustainlp import SCALE, ProtocolEnergy, protocol_energy, protocol_of
from harness.records.estimate import Unavailable
from reports.layout.cell_factory import MODELLED, absent_cell, estimate_cell
from reports.layout.number_format import ENERGIES, Unit, shown, unit_for, with_interval
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.values.figures import Figures, failure_of

HOW = (
    "A whole process, from its start to its exit: imports, loading, tokenising, predicting. kWh = J / 3.6e6 "
    "x {pue:g} (PUE). {scale}: its tracker credited a process with its share of CPU time, sampled every two "
    "seconds; here the meter is read at start and exit. PUE changes kWh, and no ratio."
)

Found = Mapping[tuple[str, str], ProtocolEnergy | Unavailable]
"""By task and variant."""


def protocol_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return one table over all records that were measured by the protocol; none where none was."""
    items = [item for group in groups for item in group if protocol_of(item.record)]
    if not items:
        return []
    found: Found = {
        (item.record.cell.task, item.record.cell.variant): failure_of(item.record)
        or protocol_energy(item.record)
        for item in items
    }
    known = [one for one in found.values() if isinstance(one, ProtocolEnergy)]
    unit = unit_for([one.energy.microjoules.value for one in known], ENERGIES)
    notes = Notes()
    rows = [
        (TableCell(f"{task}: {variant}"), *_cells(one, unit, notes)) for (task, variant), one in found.items()
    ]
    return [
        Table(
            title="SustaiNLP 2020 scale: energy of a whole process",
            columns=(
                Column("task: variant", "left", "name"),
                Column("examples/start", "right", "energy"),
                Column(f"{unit.name}/start", "right", "energy"),
                Column("kWh/start", "right", "energy"),
            ),
            rows=(*rows, *_totals(found)),
            notes=tuple(notes.texts),
            remarks=tuple(_remarks(known)),
        )
    ]


def _cells(found: ProtocolEnergy | Unavailable, unit: Unit, notes: Notes) -> tuple[TableCell, ...]:
    if isinstance(found, Unavailable):
        absent = absent_cell(found, notes)
        return TableCell(""), absent, absent
    value, interval = with_interval(found.kwh, found.low_kwh, found.high_kwh)
    return (
        TableCell(f"{found.examples:,}", value=found.examples),
        estimate_cell(found.energy.microjoules, unit, ENERGIES),
        TableCell(value, interval, value=found.kwh),
    )


def _totals(found: Found) -> Iterator[tuple[TableCell, ...]]:
    """Add up each variant that was measured on every task, as the shared task did; one task has no sum."""
    tasks = dict.fromkeys(task for task, _ in found)
    for variant in dict.fromkeys(variant for _, variant in found) if len(tasks) > 1 else ():
        each = [found.get((task, variant)) for task in tasks]
        known = [one for one in each if isinstance(one, ProtocolEnergy)]
        if len(known) == len(tasks):
            total = sum(one.kwh for one in known)
            examples = sum(one.examples for one in known)
            name = f"all {len(tasks)} tasks: {variant}"
            yield (
                TableCell(name),
                TableCell(f"{examples:,}"),
                TableCell(""),
                TableCell(shown(total), value=total),
            )


def _remarks(known: Sequence[ProtocolEnergy]) -> Iterator[str]:
    if known:
        yield HOW.format(pue=known[0].pue, scale=SCALE)
    if any(one.energy.grade == "modelled" for one in known):
        yield MODELLED
