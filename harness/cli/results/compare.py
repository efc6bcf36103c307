"""`bench compare`: what changed between two runs or two records, and whether the change is real."""

from typing import Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.completion import complete_run
from harness.cli.options.output import Json, OutputFile, StoreFolder
from harness.cli.options.panels import output_option
from harness.common.errors import ExitCode


def compare(
    context: CliContext,
    before: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="First run: a run id, `latest`, a run's folder, or one record.",
            autocompletion=complete_run,
        ),
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="Second run.", autocompletion=complete_run)],
    format_: Annotated[str, output_option("--format NAME", "text, markdown or json.")] = "text",
    output: OutputFile = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Show what changed from A to B, and whether it is real."""
    from harness.analysis.comparison import compare_runs
    from harness.analysis.loading import find_records, sample_access_of
    from harness.cli.output.delivery import deliver_text
    from harness.cli.output.records import report_unreadable
    from harness.cli.output.report_output import terminal_style
    from reports.documents.comparison import render

    records_store = context.open_store(store)
    loaded = [find_records(name, records_store) for name in (before, after)]
    skipped = report_unreadable(loaded)
    comparison = compare_runs(loaded[0].records, loaded[1].records, sample_access_of(loaded))
    width, color = terminal_style(plain=output is not None)
    text = render(comparison, "json" if json else format_, width=width, color=color)
    deliver_text(text.rstrip("\n"), output)
    if not any(isinstance(cell.changes, tuple) for cell in comparison.cells):
        raise typer.Exit(ExitCode.NOTHING_MEASURED)
    if skipped:
        raise typer.Exit(ExitCode.PARTIAL)
