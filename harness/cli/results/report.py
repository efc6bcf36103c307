"""`bench report`: render tables, plots and the page again from records."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.cost import CostOptions
from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import output_option
from harness.cli.options.output import Json, PlotFolder, StoreFolder
from harness.cli.options.units import named
from harness.common.errors import ExitCode

if TYPE_CHECKING:
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
        typer.Argument(metavar="RUN", help="Run ids, or all (default: the latest run)."),
    ] = None,
) -> None:
    """Render tables, plots or a page from the records of runs."""
    from harness.cli.output.delivery import deliver_files, deliver_text, write_plots
    from harness.cli.output.report_output import counts_in, samples_in, terminal_style
    from reports import Style, build_report, files_of, write_report
    from reports.plots import plots_of

    typer_context.with_resource(_without_garbage_collection())
    factors = cost.factors()
    folders, records, skipped = _load(context.open_store(output.store), runs or ["latest"])
    built = build_report(records, factors, counts_in(folders))
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


def _load(store: "Store", runs: Sequence[str]) -> "tuple[list[RunFolder], list[Record], bool]":
    """Return the records of these runs, and whether files were skipped; each is named on stderr."""
    from harness.analysis.loading import LoadedRecords
    from harness.cli.output.records import report_unreadable
    from harness.common.errors import MeasurementError, UsageError

    folders = store.runs() if list(runs) == ["all"] else [store.run(name) for name in runs]
    records, unreadable = store.records(folders)
    skipped = report_unreadable([LoadedRecords(records, unreadable, store.root)])
    if skipped:
        typer.echo(f"bench: {len(unreadable):,} skipped, {len(records):,} read.", err=True)
    if not records and skipped:
        raise MeasurementError("none of the records can be read.", where=", ".join(runs))
    if not records:
        raise UsageError(
            "no records to report.",
            where=", ".join(runs),
            remedy="An unfinished run has none yet: `bench run --resume latest` finishes it.",
        )
    return folders, records, skipped
