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
from harness.cli.options.output import Json, MaxQualityLoss, PlotFolder, StoreFolder, Where
from harness.cli.options.panels import output_option
from harness.cli.options.units import named, plural
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from harness.cli.trackers.outcome import Logged
    from harness.records.store import RunFolder
    from reports import Report


class ReportOutput(OptionGroup):
    """The format of a report, its tables and plots, and where they are written."""

    format_: Annotated[
        str,
        output_option("--format NAME", "text, markdown, latex, csv, html, json, or one of docs/howto/ci.md."),
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
        str | None,
        output_option("--to NAME", "Log to a tracker instead: mlflow or wandb (docs/howto/trackers.md)."),
    ] = None
    where: Where = None
    store: StoreFolder = None
    json: Json = False

    @property
    def form(self) -> str:
        """The name of the format."""
        return "json" if self.json else self.format_

    @property
    def is_csv_alone(self) -> bool:
        """Whether nothing but CSV is asked for: no table, plot or tracker."""
        return self.form == "csv" and not (self.tables or self.plots or self.to)

    def table_names(self, *, with_cost: bool) -> tuple[str, ...]:
        """Return the names of the tables; prices or a grid add the cost table to the default ones."""
        from reports import DEFAULT_TABLES, TABLES

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
        typer.Argument(
            metavar="RUN",
            help="Run ids, or all (default: the latest run; with --where, all).",
            autocompletion=complete_runs,
        ),
    ] = None,
) -> None:
    """Render tables, plots or a page from the records of runs."""
    from harness.cli.output.delivery import deliver_text
    from harness.cli.output.indexed_report import csv_report
    from harness.cli.output.report_output import counts_in
    from harness.cli.output.report_records import choose_runs, load_records
    from reports import VerdictOptions, build_report

    typer_context.with_resource(_without_garbage_collection())
    factors, store = cost.factors(), context.open_store(output.store)
    if output.is_csv_alone and not (factors.embodied or factors.water):
        text, skipped = csv_report(context, store, runs, output.where, factors)
        deliver_text(text.rstrip("\n"), output.file, form=output.form, environ=context.environ)
        raise typer.Exit(ExitCode.PARTIAL if skipped else ExitCode.DONE)
    chosen = choose_runs(store, runs, output.where)
    records, skipped = load_records(context, store, chosen)
    options = VerdictOptions(output.max_quality_loss)
    _deliver(
        build_report(records, factors, counts_in(chosen.folders), options),
        chosen.folders,
        output,
        context,
        with_cost=cost.given,
    )
    if skipped:
        raise typer.Exit(ExitCode.PARTIAL)


def _deliver(
    built: "Report",
    folders: "Sequence[RunFolder]",
    output: ReportOutput,
    context: CliContext,
    *,
    with_cost: bool,
) -> None:
    """Send the report to a tracker, or write it with its plots."""
    from harness.cli.output.delivery import deliver_files, deliver_text, write_plots
    from harness.cli.output.report_output import samples_in, terminal_style
    from reports import Style, files_of, write_report
    from reports.plots import plots_of

    if output.to:
        from harness.cli.trackers.destination import send

        typer.echo(_logged(send(built, output.to), output.to))
        return
    width, color = terminal_style(plain=output.file is not None)
    style = Style(output.table_names(with_cost=with_cost), width, color, samples_in(folders))
    files = files_of(built, output.form, style)
    text = "" if files else write_report(built, output.form, style).rstrip("\n")
    if output.plots:
        write_plots(output.plots, plots_of(built, style.samples))
    if files:
        deliver_files(files, output.file, output.form)
    else:
        deliver_text(text, output.file, form=output.form, environ=context.environ)


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
        gc.unfreeze()  # to the oldest generation: the next collection, which comes at once, is of new ones
        if was_enabled:
            gc.enable()
