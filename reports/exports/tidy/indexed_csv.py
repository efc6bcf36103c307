"""The CSV of a report on many runs, most of which stand in the index of the store.

rows of the index, records of the other runs --indexed_csv--> the text of `tidy_csv.as_csv` on all records
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from harness.records.record import Record
from reports.exports.tidy.cost_basis import read_cost_basis
from reports.exports.tidy.row_family import in_one_family
from reports.exports.tidy.tidy_csv import (
    RowsOf,
    TidyQuantity,
    cost_quantities,
    csv_of,
    ladder_rows,
    record_rows,
    rung_rows,
    safe_columns,
)
from reports.report import Report, build_report
from reports.values.footprint import CostFactors
from reports.values.ladder_values import CountsOf


class KeptRecord(NamedTuple):
    """What the index keeps of a record: the columns of its rows, its group, figures, and basis of costs."""

    columns: tuple[Any, ...]
    group: str
    figures: Iterable[TidyQuantity]
    cost_basis: str


def indexed_csv(
    indexed: Mapping[str, Sequence[KeptRecord]],
    others: Sequence[Record],
    places: Mapping[str, int],
    factors: CostFactors,
    counts: CountsOf | None = None,
) -> str:
    """Return the CSV of a report on the runs of the index and on `others`.

    `places` order the runs; a run without a place comes last. `factors` have neither emissions of making the
    server nor water, which need the whole record.
    """
    report = build_report(others, factors, counts, one_family=False)
    rows = in_one_family(
        [own for _, own in sorted(_placed(indexed, report, places), key=lambda each: each[0])]
    )
    ladders = (own for _, own in ladder_rows(report))
    return csv_of(chain(ladders, rows, rung_rows(report)))


def _placed(
    indexed: Mapping[str, Sequence[KeptRecord]], report: Report, places: Mapping[str, int]
) -> list[tuple[int, RowsOf]]:
    """Return the rows of each record of a plain group with the place of its run; those of a group adjoin."""
    last = len(places)
    of_index = [
        (places[run], _indexed_rows(record, report.factors))
        for run, records in indexed.items()
        for record in _by_group(records)
    ]
    of_records = [
        (places.get(figures.record.run, last), record_rows(figures, report.factors))
        for group in report.groups
        for figures in group
    ]
    return [*of_index, *of_records]


def _by_group(records: Sequence[KeptRecord]) -> list[KeptRecord]:
    """Return the records of a run group by group, in order of first appearance."""
    first: dict[str, int] = {}
    for record in records:
        first.setdefault(record.group, len(first))
    return sorted(records, key=lambda record: first[record.group])


def _indexed_rows(record: KeptRecord, factors: CostFactors) -> RowsOf:
    time, energy = read_cost_basis(record.cost_basis)
    quantities = [*record.figures, *cost_quantities(time, energy, factors)]
    return RowsOf(safe_columns(record.columns), quantities)
