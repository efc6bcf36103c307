"""A report: the figures of all its records, computed once, and the factors of its costs.

records --build_report--> groups of figures, ladders --tables_of--> tables --text | markdown | latex | html-->
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.analysis.verdict import GroupVerdict
from harness.common.errors import unknown_name
from harness.records.facts import is_unfinished
from harness.records.record import Record
from reports.layout.host_names import host_names, named
from reports.layout.table_model import Table
from reports.layout.verdict_sentences import LIMIT, VerdictText, verdict_texts
from reports.tables.cost import cost_tables
from reports.tables.hosts import host_tables
from reports.tables.ladder import ladder_tables
from reports.tables.overview import overview_tables
from reports.tables.speed import speed_tables
from reports.tables.sustainlp import protocol_tables
from reports.tables.sweep import sweep_tables, sweeps
from reports.values.figures import Figures, all_figures
from reports.values.footprint import CostFactors
from reports.values.group_verdict import VerdictOptions, verdicts_of
from reports.values.ladder_model import LadderReport
from reports.values.ladder_values import CountsOf, ladders_in, no_counts
from reports.values.multiple_testing import in_one_family


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a report: its ladders, and the groups of records that belong to no ladder."""

    records: tuple[Record, ...]
    ladders: tuple[LadderReport, ...]
    groups: tuple[tuple[Figures, ...], ...]
    factors: CostFactors
    options: VerdictOptions = field(default_factory=VerdictOptions)

    @property
    def unfinished(self) -> bool:
        """Whether records are of the finished rounds of a run that is not finished."""
        return any(is_unfinished(record.status) for record in self.records)

    @property
    def every(self) -> tuple[tuple[Figures, ...], ...]:
        """Every group, with both scenarios of every ladder as groups first; plug-ins for formats read it."""
        scenarios = [
            group for ladder in self.ladders for group in (ladder.offline, ladder.single_stream) if group
        ]
        return (*scenarios, *self.groups)

    def verdicts(self, limit: int | None = None) -> tuple[GroupVerdict, ...]:
        """Return the verdict on each group of `every`, in its order, or on the first of them."""
        return verdicts_of(self.ladders, self.groups, self.options, limit)

    def verdict_texts(self) -> list[VerdictText]:
        """Return the verdicts that a text shows; thousands of others are only counted."""
        return verdict_texts(self.verdicts(LIMIT), [group[0].record for group in self.every])

    @property
    def host_names(self) -> dict[str, str]:
        """The names of its hosts by fingerprint; empty for a single host."""
        return host_names(figures.record for figures in self.all_figures)

    @property
    def all_figures(self) -> list[Figures]:
        """The figures of all groups."""
        return [figures for group in self.every for figures in group]


def build_report(
    records: Sequence[Record],
    factors: CostFactors,
    counts: CountsOf | None = None,
    options: VerdictOptions | None = None,
    *,
    one_family: bool = True,
) -> Report:
    """Compute the figures; `counts` pair changes of quality by example, `options` are for the verdicts.

    Without `one_family` the p-values of groups are not corrected: the caller does that for more records.
    """
    ladders, plain = ladders_in(records, factors.prices[0], counts)
    figures = all_figures(plain)
    groups = tuple(map(tuple, in_one_family(figures) if one_family else figures))
    chosen = replace(options or VerdictOptions(), counts=counts or no_counts)
    return Report(tuple(records), tuple(ladders), groups, factors, chosen)


UNFINISHED_REMARK = (
    "The run is not finished: figures are of the rounds that are, and another round can change each. "
    "`bench run --resume` finishes it."
)


def _ladder_tables(report: Report) -> list[Table]:
    names = report.host_names
    return [
        named(table, ladder.record, names) for ladder in report.ladders for table in ladder_tables(ladder)
    ]


def _group_tables(
    tables: Sequence[Table], groups: Sequence[Sequence[Figures]], report: Report
) -> list[Table]:
    """Return tables of groups, one each, with the name of the host where the report has several."""
    names = report.host_names
    return [named(table, group[0].record, names) for table, group in zip(tables, groups, strict=True)]


TABLES: dict[str, Callable[[Report], list[Table]]] = {
    "hosts": lambda report: host_tables(report.every),
    "ladder": _ladder_tables,
    "speed": lambda report: _group_tables(speed_tables(report.groups), report.groups, report),
    "protocol": lambda report: protocol_tables(report.groups),
    "overview": lambda report: overview_tables(report.groups),
    "sweep": lambda report: _group_tables(sweep_tables(report.groups), sweeps(report.groups), report),
    "cost": lambda report: _group_tables(cost_tables(report.every, report.factors), report.every, report),
}
"""The tables by their names on the command line, in the order of a report."""

DEFAULT_TABLES = ("hosts", "ladder", "speed", "protocol", "overview", "sweep")
"""The tables that are shown if none is named, where they have rows."""


def tables_of(report: Report, names: Sequence[str] = DEFAULT_TABLES) -> list[Table]:
    """Return the tables of these names; raises UsageError for an unknown name."""
    for name in names:
        if name not in TABLES:
            raise unknown_name("table", name, TABLES)
    tables = [table for name, build in TABLES.items() if name in names for table in build(report)]
    return [_unfinished(table) for table in tables] if report.unfinished else tables


def _unfinished(table: Table) -> Table:
    """Return the table of a run that is not finished, marked as such."""
    return replace(table, title=f"Unfinished: {table.title}", remarks=(UNFINISHED_REMARK, *table.remarks))
