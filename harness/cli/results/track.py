"""`bench track`: the history of a figure over the runs of the store, and the commits that changed it."""

from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.output import Json, OutputFile, PlotFolder, StoreFolder
from harness.cli.options.panels import data_option, output_option, what_option
from harness.cli.options.units import split_names
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from harness.analysis.history import Series
    from harness.records.record import Record
    from harness.records.store import Store


def track(
    context: CliContext,
    quantity: Annotated[
        str,
        what_option(
            "--quantity NAME,...",
            "speedup, throughput, latency_p50, _p90, _p95, _p99, energy, memory, quality or size.",
        ),
    ] = "speedup",
    task: Annotated[str, data_option("--task NAME", "Only this task.")] = "",
    variants: Annotated[str, what_option("--variants NAME,...", "Only these variants.")] = "",
    format_: Annotated[str, output_option("--format NAME", "text or json.")] = "text",
    output: OutputFile = None,
    plots: PlotFolder = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Show the history of a figure and the commits that changed it."""
    from harness.cli.output.delivery import deliver_text, write_plots
    from harness.cli.output.report_output import terminal_style
    from reports.documents import history

    records, skipped = _load(context.open_store(store), task, split_names(variants))
    series = _histories(records, tuple(dict.fromkeys(split_names(quantity))))
    width, color = terminal_style(plain=output is not None)
    text = history.render(series, "json" if json else format_, width=width, color=color)
    deliver_text(text.rstrip("\n"), output)
    if plots:
        write_plots(plots, history.plots(series))
    if skipped:
        raise typer.Exit(ExitCode.PARTIAL)


def _load(store: "Store", task: str, variants: tuple[str, ...]) -> "tuple[list[Record], bool]":
    from harness.analysis.loading import LoadedRecords
    from harness.cli.output.records import report_unreadable
    from harness.common.errors import UsageError
    from harness.records.side import without_side

    records, unreadable = store.records(store.runs())
    skipped = report_unreadable([LoadedRecords(records, unreadable, store.root)])
    selected = [
        record
        for record in records
        if record.cell.task == (task or record.cell.task)
        and (not variants or without_side(record.cell.variant) in variants)
    ]
    if not selected:
        raise UsageError(
            "no record of this task and these variants.",
            where=str(store.root),
            remedy="`bench run` makes one; see --store.",
        )
    return selected, skipped


def _histories(records: "list[Record]", quantities: tuple[str, ...]) -> "list[Series]":
    from harness.analysis.history import build_history
    from harness.common.errors import MeasurementError, UsageError

    if not quantities:
        raise UsageError("expected a quantity in --quantity, got none.", remedy="Write --quantity speedup.")
    histories = [series for name in quantities for series in build_history(records, name)]
    if not histories:
        raise MeasurementError(
            f"no record has {' or '.join(quantities)}.",
            remedy="A speed-up needs a run with pytorch-fixed or pytorch-dynamic, latency needs scenario "
            "single-stream, and modelled joules have no history. Every run has `--quantity throughput`.",
        )
    return histories
