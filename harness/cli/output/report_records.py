"""The records that a report is asked for: of named runs, of all, or of the groups that fulfil a condition."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from harness.cli.context import CliContext
    from harness.records.record import Record
    from harness.records.store import RunFolder, Store


@dataclass(frozen=True, slots=True)
class ChosenRuns:
    """The runs of a report: `cells` by run where a condition chose them, `every` if none was named.

    `skipped` says that a file which cannot be read was left out of the choice.
    """

    names: Sequence[str]
    folders: "Sequence[RunFolder]"
    cells: Mapping[str, Collection[str]] | None
    every: bool
    skipped: bool = False

    @property
    def begun(self) -> "list[RunFolder]":
        """The runs that are not finished."""
        return [folder for folder in self.folders if folder.unfinished]

    def has(self, run: str, cell: str) -> bool:
        """Return whether a cell of a run is in the report."""
        return self.cells is None or cell in self.cells.get(run, ())


def choose_runs(store: "Store", runs: Sequence[str] | None, condition: str | None) -> ChosenRuns:
    """Return the named runs, the latest without a name, or all with a cell that fulfils the condition."""
    if condition is not None:
        return _select(store, runs or ["all"], condition)
    names = runs or ["latest"]
    every = list(names) == ["all"]
    folders = store.runs() if every else [store.run(name) for name in names]
    return ChosenRuns(names, folders, None, every)


def _select(store: "Store", runs: Sequence[str], condition: str) -> ChosenRuns:
    """Return the runs with a group in which a cell fulfils the condition."""
    from harness.cli.output.store_index import index_of, report_skipped
    from harness.common.errors import UsageError
    from harness.records.store.index.query import select_cells

    named = None if list(runs) == ["all"] else {store.run(name).name for name in runs}
    with index_of(store) as connection:
        cells = select_cells(connection, condition)
        skipped = report_skipped(connection)
    names = sorted(name for name in cells if named is None or name in named)
    if not names:
        raise UsageError(
            "no cell fulfils the condition.",
            where=f"--where {condition!r}",
            remedy="`bench query` shows what there is: select distinct task, variant, host from cells",
        )
    return ChosenRuns(names, [store.run_folder(name) for name in names], cells, every=False, skipped=skipped)


def load_records(
    context: "CliContext", store: "Store", chosen: ChosenRuns, known: "Collection[str]" = (), count: int = 0
) -> "tuple[list[Record], bool]":
    """Return the records of these runs, and whether files were skipped; each is named on stderr.

    Of a run that is named and not finished, the records of its finished rounds. The `known` runs, which have
    `count` records, are left out.
    """
    from harness.analysis.loading import LoadedRecords
    from harness.cli.output.records import report_unreadable
    from harness.common.errors import MeasurementError, UsageError

    folders = [folder for folder in chosen.folders if folder.name not in known]
    if chosen.cells is not None:
        records = [record for folder in folders for record in store.records([folder])[0]]
        return [record for record in records if chosen.has(record.run, record.cell.id)], chosen.skipped
    begun = chosen.begun
    records, unreadable = store.records([folder for folder in folders if chosen.every or folder not in begun])
    records += _unfinished(context, begun, every=chosen.every)
    skipped = report_unreadable([LoadedRecords(records, unreadable, store.root)])
    if skipped:
        typer.echo(f"bench: {len(unreadable):,} skipped, {count + len(records):,} read.", err=True)
    where = ", ".join(chosen.names)
    if not records and not count and skipped:
        raise MeasurementError("none of the records can be read.", where=where)
    if not records and not count:
        raise UsageError(
            "no records to report.",
            where=where,
            remedy="`bench run` makes some; an unfinished run is reported where it is named.",
        )
    return records, skipped


def _unfinished(context: "CliContext", begun: "list[RunFolder]", *, every: bool) -> "list[Record]":
    """Return the records of finished rounds; with `every`, only say on stderr how they are reported."""
    if not begun:
        return []
    from harness.runs.unfinished import unfinished_records

    records = []
    for folder in begun:
        if every:
            typer.echo(
                f"bench: {folder.name} is not finished: `bench report {folder.name}` shows its rounds.",
                err=True,
            )
            continue
        typer.echo(f"bench: {folder.name} is not finished; what follows is of its finished rounds.", err=True)
        records += unfinished_records(folder, context.machine())
    return records
