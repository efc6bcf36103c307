"""The figures of a report as rows of the index, without costs: prices are options of a report."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from reports.exports.tidy.cost_basis import cost_basis
from reports.exports.tidy.row_family import in_one_family
from reports.exports.tidy.tidy_csv import TidyQuantity, ladder_rows, record_rows, rung_rows
from reports.report import Report


class CellRows(NamedTuple):
    """The figures of a cell without costs, and the estimates that costs are computed from, as JSON."""

    cell: str
    quantities: Sequence[TidyQuantity]
    cost_basis: str = ""


def cell_rows(report: Report) -> Iterator[CellRows]:
    """Yield the figures of every record and rung of a report whose p-values are not corrected yet."""
    figures = [each for group in report.groups for each in group]
    corrected = in_one_family([record_rows(each, report.factors) for each in figures])
    for each, rows in (*ladder_rows(report), *zip(figures, corrected, strict=True)):
        basis = cost_basis(each.time, each.energy)
        yield CellRows(each.record.cell.id, _without_costs(rows.quantities), basis)
    for rows in rung_rows(report):
        yield CellRows(str(rows.columns[1]), _without_costs(rows.quantities))


def _without_costs(quantities: Iterable[TidyQuantity]) -> list[TidyQuantity]:
    return [
        _numeric(quantity)
        for quantity in quantities
        if "100m" not in quantity.name and quantity.name != "break_even_money"
    ]


def _numeric(quantity: TidyQuantity) -> TidyQuantity:
    """Return a figure whose value is a number; a word is the footnote instead."""
    is_word = isinstance(quantity.value, str)
    return quantity._replace(value=None, footnote=str(quantity.value)) if is_word else quantity
