"""What a report is of: the figures of all its records, worked out once, and the factors it multiplies by.

records --book_of--> groups of figures, ladders --tables_of--> tables --text | markdown | latex | html-->
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.common.errors import unknown_name
from harness.records.record import Record
from reports.layout.table_model import Table
from reports.tables.cost import cost_tables
from reports.tables.hosts import host_tables
from reports.tables.ladder import ladder_tables
from reports.tables.overview import overview_of
from reports.tables.speed import speed_tables
from reports.tables.sustainlp import protocol_tables
from reports.tables.sweep import sweep_tables
from reports.values.figures import Figures, all_figures
from reports.values.ladder_model import LadderReport
from reports.values.ladder_values import CountsOf, ladders_in
from reports.values.multiple_testing import in_one_family
from reports.values.prices import DEFAULT_PRICE, Grid, Price


@dataclass(frozen=True, slots=True)
class CostFactors:
    """What time and energy are multiplied by: prices, of which ladders go by the first, and a grid."""

    prices: tuple[Price, ...] = (DEFAULT_PRICE,)
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a report: ladders, and the groups of records that are no rung of any."""

    records: tuple[Record, ...]
    ladders: tuple[LadderReport, ...]
    groups: tuple[tuple[Figures, ...], ...]
    factors: CostFactors

    @property
    def every(self) -> tuple[tuple[Figures, ...], ...]:
        """The groups, and both scenarios of every ladder as groups."""
        parts = [part for one in self.ladders for part in (one.offline, one.single) if part]
        return (*parts, *self.groups)


def build_report(records: Sequence[Record], factors: CostFactors, counts: CountsOf | None = None) -> Report:
    """Work out the figures; `counts` pair changes of quality by example."""
    ladders, plain = ladders_in(records, factors.prices[0], counts)
    made = tuple(map(tuple, in_one_family(all_figures(plain))))
    return Report(tuple(records), tuple(ladders), made, factors)


TABLES: dict[str, Callable[[Report], list[Table]]] = {
    "ladder": lambda book: [table for one in book.ladders for table in ladder_tables(one)],
    "speed": lambda book: speed_tables(book.groups),
    "protocol": lambda book: protocol_tables(book.groups),
    "overview": lambda book: overview_of(book.groups),
    "sweep": lambda book: sweep_tables(book.groups),
    "cost": lambda book: cost_tables(book.every, book.factors.prices, book.factors.grid),
    "hosts": lambda book: host_tables(book.every),
}
"""Every table by its name on the command line, in the order of a report."""

UNASKED = ("ladder", "speed", "protocol", "overview", "sweep", "hosts")
"""Shown, where there is something to show, when no table is named."""


def tables_of(book: Report, names: Sequence[str] = UNASKED) -> list[Table]:
    """Return the tables of these names; UsageError for a name that is not in the table of tables."""
    for name in names:
        if name not in TABLES:
            raise unknown_name("table", name, TABLES)
    return [table for name, make in TABLES.items() if name in names for table in make(book)]
