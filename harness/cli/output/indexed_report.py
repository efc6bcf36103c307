"""The CSV of a report: figures of runs whose files are unchanged come from the index, others from files."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.output.report_output import counts_in
from harness.cli.output.report_records import ChosenRuns, choose_runs, load_records

if TYPE_CHECKING:
    from harness.cli.context import CliContext
    from harness.records.record import Record
    from harness.records.store import Store
    from reports import CostFactors
    from reports.exports.tidy.indexed_csv import KeptRecord


def csv_report(
    context: "CliContext",
    store: "Store",
    runs: Sequence[str] | None,
    condition: str | None,
    factors: "CostFactors",
) -> tuple[str, bool]:
    """Return the text, and whether files were skipped."""
    from reports.exports.tidy.indexed_csv import indexed_csv

    chosen = choose_runs(store, runs, condition)
    indexed = _indexed(store, chosen)
    count = sum(map(len, indexed.values()))
    records, skipped = load_records(context, store, chosen, indexed, count)
    if indexed.keys() & {
        record.run for record in records
    }:  # a run lies in two folders: its records are one group
        indexed = {}
        records = load_records(context, store, chosen)[0]
    counts = counts_in(chosen.folders)
    return indexed_csv(indexed, records, _places(chosen, records), factors, counts), skipped


def _indexed(store: "Store", chosen: ChosenRuns) -> "dict[str, list[KeptRecord]]":
    """Return what the index has of the runs; nothing if one is named twice."""
    from harness.records.store.index.unchanged import unchanged_records
    from reports.exports.tidy.indexed_csv import KeptRecord
    from reports.exports.tidy.tidy_csv import TidyQuantity

    if len({folder.name for folder in chosen.folders}) < len(chosen.folders):
        return {}
    kept = {
        run: [
            KeptRecord(
                record.columns,
                record.group,
                map(TidyQuantity._make, record.figures),  # a row has the fields of a quantity, in their order
                record.cost_basis,
            )
            for record in records
            if chosen.has(run, record.cell)
        ]
        for run, records in unchanged_records(store, chosen.folders).items()
    }
    return {run: records for run, records in kept.items() if records}


def _places(chosen: ChosenRuns, records: "Sequence[Record]") -> Mapping[str, int]:
    """Return the order of the runs; those that are not finished come last, in the order of their records."""
    begun = set() if chosen.every else {folder.name for folder in chosen.begun}
    folders = [folder.name for folder in chosen.folders if folder.name not in begun]
    others = [record.run for record in records]
    return {run: place for place, run in enumerate(dict.fromkeys([*folders, *others]))}
