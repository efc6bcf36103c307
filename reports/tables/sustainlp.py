"""The tables of the SustaiNLP shared task: kWh of a whole process, and how each term is covered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.sustainlp import SCALE, ProtocolEnergy, TrackerTerms, protocol_energy, protocol_of
from harness.records.estimate import Unavailable
from reports.layout.cell_factory import absent_cell, common_grade, model_remark
from reports.layout.number_format import ENERGIES, Unit, shown, unit_for, with_interval
from reports.layout.table_model import Column, Notes, Table, TableCell
from reports.values.figures import Figures, failure_of

HOW = (
    "kWh = {pue:g} (PUE) / 3.6e6 x ((package - dram) x CPU share + dram x memory share + boards), joules of "
    "one start of the program. {scale}. PUE scales kWh and leaves ratios unchanged."
)

Energies = Mapping[tuple[str, str], ProtocolEnergy | Unavailable]
"""By task and variant."""

_NOT_READ = "not read"


@dataclass(frozen=True, slots=True)
class _Term:
    """One term of the formula: what the tracker does, what is done here, and the value."""

    name: str
    tracker: str
    here: str
    value: str


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
    return [_energy_table(energies, available), *([_terms_table(available)] if available else [])]


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
        columns=(
            Column("task: variant", "left", "name"),
            Column("examples/start", "right", "energy"),
            Column(f"processor, {unit.name}/start{grade}", "right", "energy"),
            *(Column(f"{name}, {unit.name}/start", "right", "energy") for name in ("dram", "board")),
            Column("CPU share", "right", "energy"),
            Column("kWh/start", "right", "energy"),
        ),
        rows=(*rows, *_totals(energies)),
        notes=tuple(notes.texts),
        remarks=tuple(_remarks(available)),
    )


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
        return TableCell(_NOT_READ)
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


def _terms_table(energies: Sequence[ProtocolEnergy]) -> Table:
    """Return each term of the formula: what the tracker does, what is done here, and its value."""
    headings = ("term", "in the tracker", "here")
    return Table(
        title="SustaiNLP 2020 scale: how each term is covered",
        columns=(
            *(
                Column(heading, "left", "name" if heading == "term" else "energy", folds=True)
                for heading in headings
            ),
            Column("value a start", "right", "energy"),
        ),
        rows=tuple(
            tuple(map(TableCell, (row.name, row.tracker, row.here, row.value))) for row in _terms(energies)
        ),
    )


def _terms(energies: Sequence[ProtocolEnergy]) -> list[_Term]:
    terms = [energy.terms for energy in energies]
    return [
        _Term(
            "package",
            "all sockets, without psys; sampled for 2 s, about 1 s apart, the last sample extrapolated",
            _processor(terms),
            _range([term.processor for term in terms]),
        ),
        _Term(
            "CPU share",
            "the process's share of the machine's CPU time, of user and system",
            _cpu_share(terms),
            _shares(terms),
        ),
        _Term(
            "dram",
            "taken out of the package, then credited by the memory share",
            _dram(terms),
            _range([term.dram for term in terms]),
        ),
        _Term(
            "memory share",
            "USS + PSS of the process over the memory in use",
            "not recorded: taken as the CPU share; the interval covers 0 to 2"
            if any(term.dram for term in terms)
            else "not needed, as dram was not read",
            "unavailable" if any(term.dram for term in terms) else "",
        ),
        _Term(
            "boards",
            "power of NVIDIA boards by nvidia-smi, by the process's share of their multiprocessors",
            _boards(terms),
            _range([term.boards for term in terms]),
        ),
        _Term(
            "window",
            "from the tracker's launch, after imports and argument parsing, to the exit",
            "from the program's start to its exit: imports and argument parsing are in it",
            _range([1e6 * energy.seconds for energy in energies], "s"),
        ),
        _Term(
            "PUE",
            "1.58, or OVERRIDE_PUE",
            "the same",
            " to ".join(f"{pue:g}" for pue in sorted({energy.pue for energy in energies})),
        ),
    ]


def _processor(terms: Sequence[TrackerTerms]) -> str:
    if any(term.is_share for term in terms):
        return "no counter: the joules of a model stand in, whose load is the process's own"
    if any(term.grade == "modelled" for term in terms):
        return "no counter: a model of the packages stands in"
    return "counters of all sockets, read at start and exit; nothing is sampled or extrapolated"


def _cpu_share(terms: Sequence[TrackerTerms]) -> str:
    if any(term.is_share for term in terms):
        return "in the model"
    if any(term.cpu_share is None for term in terms):
        return "not recorded: taken as 1, as if nothing else had run"
    return "CPU time of the process tree over that of all processes"


def _dram(terms: Sequence[TrackerTerms]) -> str:
    if all(term.dram is None for term in terms):
        return "no dram counter was read: nothing is taken out, as in the tracker"
    return "the same, from the dram counters: where they are apart from the package, dram is lost"


def _boards(terms: Sequence[TrackerTerms]) -> str:
    if all(term.boards is None for term in terms):
        return "no board was read; right only for programs that use none"
    return "counters of the boards that the run used, whole: a share of 1"


def _range(microjoules: Sequence[float | None], unit: str = "") -> str:
    """Return the lowest and the highest value with their unit; `not read` where any is missing."""
    values = [value for value in microjoules if value is not None]
    if len(values) < len(microjoules) or not values:
        return _NOT_READ
    scale = Unit(unit, 1e6) if unit else unit_for(values, ENERGIES)
    ends = dict.fromkeys(shown(value / scale.size) for value in (min(values), max(values)))
    return f"{' to '.join(ends)} {scale.name}"


def _shares(terms: Sequence[TrackerTerms]) -> str:
    shares = [term.cpu_share for term in terms if term.cpu_share is not None]
    if len(shares) < len(terms):
        return "in the model" if any(term.is_share for term in terms) else "unavailable"
    ends = dict.fromkeys(f"{100 * share:.1f}" for share in (min(shares), max(shares)))
    return f"{' to '.join(ends)} %"
