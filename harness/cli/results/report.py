"""`bench report`: render tables, plots and the page again from records."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.completion import complete_runs
from harness.cli.options.cost import CostOptions
from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import output_option
from harness.cli.options.output import Json, MaxQualityLoss, PlotFolder, StoreFolder, Where
from harness.cli.options.units import named, plural
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from harness.cli.trackers.outcome import Logged
    from harness.records.record import Record
    from harness.records.store import RunFolder, Store


class ReportOutput(OptionGroup):
    """The format of a report, its tables and plots, and where they are written."""

    format_: Annotated[
        str, output_option("--format NAME", "text, markdown, latex, csv, html, json, or one of docs/howto/ci.md.")
    ] = "text"
    tables: Annotated[
        str | None, output_option("--tables NAME,...", "ladder, speed, overview, sweep, cost, hosts or all.")
    ] = None
    file: Annotated[
        Path | None,
        output_option("--output -o FILE|DIR", "Write there instead of to stdout (docs/howto/reports.md)."),
    ] = None
    plots: PlotFolder = None
    max_quality_loss: MaxQualityLoss = None
    to: Annotated[
        str | None, output_option("--to NAME", "Log to a tracker instead: mlflow or wandb (docs/howto/trackers.md).")
    ] = None
    where: Where = None
    store: StoreFolder = None
    json: Json = False

    @property
    def form(self) -> str:
        """The name of the format."""
        return "json" if self.json else self.format_

    def table_names(self, *, with_cost: bool) -> tuple[str, ...]:
        """Return the names of the tables; prices or a grid add the cost table to the default ones."""
        from reports import TABLES, DEFAULT_TABLES

        if self.tables is None:
            return (*DEFAULT_TABLES, "cost") if with_cost else ()
        return tuple(TABLES) if self.tables.strip() == "all" else named(self.tables, "--tables")


def report(
    typer_context: typer.Context,
    context: CliContext,
    output: ReportOutput,
    cost: CostOptions,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Run ids, or all (default: the latest run; with --where, all).", autocompletion=complete_runs),
    ] = None,
) -> None:
    """Render tables, plots or a page from the records of runs."""
    from harness.cli.output.delivery import deliver_files, deliver_text, write_plots
    from harness.cli.output.report_output import counts_in, samples_in, terminal_style
    from reports import Style, VerdictOptions, build_report, files_of, write_report
    from reports.plots import plots_of

    typer_context.with_resource(_without_garbage_collection())
    factors = cost.factors()
    folders, records, skipped = _records_of(context, output, runs)
    built = build_report(records, factors, counts_in(folders), VerdictOptions(output.max_quality_loss))
    if output.to:
        from harness.cli.trackers.destination import send

        typer.echo(_logged(send(built, output.to), output.to))
        raise typer.Exit(ExitCode.PARTIAL if skipped else ExitCode.DONE)
    width, color = terminal_style(plain=output.file is not None)
    style = Style(output.table_names(with_cost=cost.given), width, color, samples_in(folders))
    files = files_of(built, output.form, style)
    text = "" if files else write_report(built, output.form, style).rstrip("\n")
    if output.plots:
        write_plots(output.plots, plots_of(built, style.samples))
    if files:
        deliver_files(files, output.file, output.form)
    else:
        deliver_text(text, output.file, form=output.form, environ=context.environ)
    if skipped:
        raise typer.Exit(ExitCode.PARTIAL)


def _logged(logged: "Logged", name: str) -> str:
    present = f"; {logged.present:,} were there already" if logged.present else ""
    return f"Logged {plural(logged.new, 'record')} to {name}: {logged.where}{present}"


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Keep the collector of cycles from walking thousands of records again and again: they hold none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # moves them to the oldest generation: the next collection, which comes at once, is of new objects
        if was_enabled:
            gc.enable()


def _records_of(
    context: CliContext, output: ReportOutput, runs: list[str] | None
) -> "tuple[list[RunFolder], list[Record], bool]":
    """Return what is reported: the named runs, or all groups that fulfil a condition."""
    store = context.open_store(output.store)
    if output.where is None:
        return _load(context, store, runs or ["latest"])
    return _select(store, runs or ["all"], output.where)


def _load(
    context: CliContext, store: "Store", runs: Sequence[str]
) -> "tuple[list[RunFolder], list[Record], bool]":
    """Return the records of these runs, and whether files were skipped; each is named on stderr.

    Of a run that is named and not finished, the records of its finished rounds.
    """
    from harness.analysis.loading import LoadedRecords
    from harness.cli.output.records import report_unreadable
    from harness.common.errors import MeasurementError, UsageError

    every = list(runs) == ["all"]
    folders = store.runs() if every else [store.run(name) for name in runs]
    begun = [folder for folder in folders if folder.unfinished]
    records, unreadable = store.records([folder for folder in folders if every or folder not in begun])
    records += _unfinished(context, begun, every=every)
    skipped = report_unreadable([LoadedRecords(records, unreadable, store.root)])
    if skipped:
        typer.echo(f"bench: {len(unreadable):,} skipped, {len(records):,} read.", err=True)
    if not records and skipped:
        raise MeasurementError("none of the records can be read.", where=", ".join(runs))
    if not records:
        raise UsageError(
            "no records to report.",
            where=", ".join(runs),
            remedy="`bench run` makes some; an unfinished run is reported where it is named.",
        )
    return folders, records, skipped


def _select(
    store: "Store", runs: Sequence[str], condition: str
) -> "tuple[list[RunFolder], list[Record], bool]":
    """Return the records of all groups with a cell that fulfils the condition, and whether files were skipped."""
    from harness.cli.results.query import index_of, report_skipped
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
    folders = [store.run_folder(name) for name in names]
    records = [
        record
        for folder in folders
        for record in store.records([folder])[0]
        if record.cell.id in cells[folder.name]
    ]
    return folders, records, skipped


def _unfinished(context: CliContext, begun: "list[RunFolder]", *, every: bool) -> "list[Record]":
    """Return the records of finished rounds; with `every`, only say on stderr how they are reported."""
    if not begun:
        return []
    from harness.runs.unfinished import unfinished_records

    records = []
    for folder in begun:
        if every:
            typer.echo(
                f"bench: {folder.name} is not finished: `bench report {folder.name}` shows its rounds.", err=True
            )
            continue
        typer.echo(f"bench: {folder.name} is not finished; what follows is of its finished rounds.", err=True)
        records += unfinished_records(folder, context.machine())
    return records
