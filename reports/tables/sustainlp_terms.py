"""The table that lists how each term of the SustaiNLP tracker's formula is covered."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.sustainlp import ProtocolEnergy, TrackerTerms
from reports.layout.number_format import ENERGIES, Unit, shown, unit_for
from reports.layout.table_model import Column, Table, TableCell

NOT_READ = "not read"


@dataclass(frozen=True, slots=True)
class _Term:
    """One term of the formula: what the tracker does, what is done here, and the value."""

    name: str
    tracker: str
    here: str
    value: str


def terms_table(energies: Sequence[ProtocolEnergy]) -> Table:
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
        return NOT_READ
    scale = Unit(unit, 1e6) if unit else unit_for(values, ENERGIES)
    ends = dict.fromkeys(shown(value / scale.size) for value in (min(values), max(values)))
    return f"{' to '.join(ends)} {scale.name}"


def _shares(terms: Sequence[TrackerTerms]) -> str:
    shares = [term.cpu_share for term in terms if term.cpu_share is not None]
    if len(shares) < len(terms):
        return "in the model" if any(term.is_share for term in terms) else "unavailable"
    ends = dict.fromkeys(f"{100 * share:.1f}" for share in (min(shares), max(shares)))
    return f"{' to '.join(ends)} %"
