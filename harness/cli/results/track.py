"""`bench track`: how a figure moved over the runs of the store, and which commits changed it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options.common import Json, StoreFolder
from harness.cli.context import CliContext

if TYPE_CHECKING:
    from harness.analysis.history import Series
    from harness.records.record import Record

SKIPPED = 5


def track(
    context: typer.Context,
    quantity: Annotated[
        str,
        typer.Option(
            "--quantity",
            metavar="NAME,...",
            help="speedup, throughput, latency_p50, _p90, _p95, _p99, energy, memory, quality or size.",
        ),
    ] = "speedup",
    task: Annotated[str, typer.Option("--task", help="Of this task only.")] = "",
    variants: Annotated[str, typer.Option("--variants", metavar="NAME,...", help="Of these only.")] = "",
    format_: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there instead of to stdout.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="DIR", help="Draw there: SVG, PNG and their data.")
    ] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Show each cell's history on each machine, and the commits between which it changed for good."""
    from harness.cli.results.compare import write
    from harness.cli.options.common import names
    from harness.cli.output.report_output import wide
    from reports.documents.history import render

    toolbox: CliContext = context.obj
    records, skipped = _records(toolbox.store(store), task, names(variants))
    found = _histories(records, names(quantity))
    width, color = wide(plain=output is not None)
    write(render(found, "json" if json else format_, width=width, color=color), output)
    if plots:
        _draw(found, plots)
    if skipped:
        raise typer.Exit(SKIPPED)


def _records(root: Path, task: str, variants: tuple[str, ...]) -> "tuple[list[Record], bool]":
    from harness.analysis.loading import LoadedRecords
    from harness.cli.output.records import tell_unreadable
    from harness.common.errors import UsageError
    from harness.records.store import Store
    from harness.records.side import without_side

    place = Store(root)
    records, unreadable = place.records(place.runs())
    skipped = tell_unreadable([LoadedRecords(records, unreadable, root)])
    chosen = [
        record
        for record in records
        if record.cell.task == (task or record.cell.task)
        and (not variants or without_side(record.cell.variant) in variants)
    ]
    if not chosen:
        raise UsageError(
            "there is no record of this.", where=str(root), remedy="`bench run` makes one; see --store."
        )
    return chosen, skipped


def _histories(records: "list[Record]", quantities: tuple[str, ...]) -> "list[Series]":
    from harness.common.errors import MeasurementError
    from harness.analysis.history import build_history

    found = [series for name in quantities for series in build_history(records, name)]
    if not found:
        raise MeasurementError(
            f"no record has {' or '.join(quantities)}.",
            remedy="A speed-up needs a run with pytorch-fixed or pytorch-dynamic in it, latency scenario "
            "single-stream; modelled joules have no history. `--quantity throughput` is of every run.",
        )
    return found


def _draw(found: "list[Series]", folder: Path) -> None:
    from harness.cli.results.report import write_plots
    from reports.documents.history import plots

    write_plots(folder, plots(found))
