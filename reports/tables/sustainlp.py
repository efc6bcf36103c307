"""The tables of the SustaiNLP shared task: kWh of a whole process, and how each term is covered."""

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.sustainlp import SCALE, ProtocolEnergy, TrackerTerms, protocol_energy, protocol_of
from harness.records.estimate import Unavailable
from reports.layout.cell_factory import absent_cell, common_grade, model_remark
from reports.layout.number_format import ENERGIES, Unit, shown, unit_for, with_interval, without_unit
from reports.layout.table_model import Column, Notes, Table, TableCell, headed_columns
from reports.tables.sustainlp_terms import NOT_READ, terms_table
from reports.values.figures import Figures, failure_of

HOW = (
    "kWh = {pue:g} (PUE) / 3.6e6 x ((package - dram) x CPU share + dram x memory share + boards), joules of "
    "one start of the program. {scale}. PUE scales kWh and leaves ratios unchanged."
)

Energies = Mapping[tuple[str, str], ProtocolEnergy | Unavailable]
"""By task and variant."""


def protocol_tables(groups: Sequence[Sequence[Figures]]) -> list[Table]:
    """Return the figures and their terms for all records that were measured by the protocol, or nothing."""
    energies: Energies = {
        (item.record.cell.task, item.record.cell.variant): failure_of(item.record)
        or protocol_energy(item.record)
        for group in groups
        for item in group
        if protocol_of(item.record)
    }
    if not energies:
        return []
    available = [energy for energy in energies.values() if isinstance(energy, ProtocolEnergy)]
    return [_energy_table(energies, available), *([terms_table(available)] if available else [])]


def _energy_table(energies: Energies, available: Sequence[ProtocolEnergy]) -> Table:
    unit = unit_for([energy.terms.processor for energy in available], ENERGIES)
    grade = common_grade(energy.terms.grade for energy in available)
    notes = Notes()
    rows = [
        (TableCell(f"{task}: {variant}"), *_cells(energy, unit, notes))
        for (task, variant), energy in energies.items()
    ]
    return Table(
        title="SustaiNLP 2020 scale: energy of a whole process",
        columns=headed_columns(_columns(unit, grade), rows),
        rows=(*rows, *_totals(energies)),
        notes=tuple(notes.texts),
        remarks=tuple(_remarks(available)),
    )


def _columns(unit: Unit, grade: str) -> list[Column]:
    def energy(name: str, grade: str = "") -> Column:
        heading = f"{name}, {{}}/start"
        unitless = f"{without_unit(heading, ENERGIES)}{grade}"
        return Column(f"{heading.format(unit.name)}{grade}", "right", "energy", unitless=unitless)

    return [
        Column("task: variant", "left", "name"),
        Column("examples/start", "right", "energy"),
        energy("processor", grade),
        energy("dram"),
        energy("board"),
        Column("CPU share", "right", "energy"),
        Column("kWh/start", "right", "energy"),
    ]


def _cells(energy: ProtocolEnergy | Unavailable, unit: Unit, notes: Notes) -> tuple[TableCell, ...]:
    if isinstance(energy, Unavailable):
        absent = absent_cell(energy, notes)
        return TableCell(""), *[absent] * 5
    terms = energy.terms
    joules = (_joules(value, unit) for value in (terms.processor, terms.dram, terms.boards))
    value, interval = with_interval(energy.kwh, energy.low_kwh, energy.high_kwh)
    return (
        TableCell(f"{energy.examples:,}", value=energy.examples),
        *joules,
        TableCell(_share(terms), value=terms.cpu_share),
        TableCell(value, interval, value=energy.kwh),
    )


def _joules(microjoules: float | None, unit: Unit) -> TableCell:
    if microjoules is None:
        return TableCell(NOT_READ)
    return TableCell(shown(microjoules / unit.size), value=microjoules)


def _share(terms: TrackerTerms) -> str:
    if terms.is_share:
        return "in the model"
    return "not recorded" if terms.cpu_share is None else f"{100 * terms.cpu_share:.1f} %"


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
                *[TableCell("")] * 4,
                TableCell(shown(kwh), value=kwh),
            )


def _remarks(energies: Sequence[ProtocolEnergy]) -> Iterator[str]:
    if energies:
        yield HOW.format(pue=energies[0].pue, scale=SCALE)
    modelled = [
        source for energy in energies if energy.terms.grade == "modelled" for source in energy.sources
    ]
    if modelled:
        yield model_remark(modelled)
