"""`bench compare`: what changed between two runs or two records, and whether it is real."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options.common import Json, StoreFolder
from harness.cli.context import CliContext

if TYPE_CHECKING:
    from harness.analysis.comparison import RunComparison

SKIPPED, NOTHING_SHARED = 5, 4


def compare(
    context: typer.Context,
    before: Annotated[
        str,
        typer.Argument(metavar="A", help="What it was: a run id, `latest`, a run's folder, or one record."),
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="What it is now.")],
    format_: Annotated[str, typer.Option("--format", help="text, markdown or json.")] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there instead of to stdout.")
    ] = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Say what changed from A to B, cell by cell, and whether it is real."""
    from harness.analysis.loading import find_records, sample_access_of
    from harness.cli.output.records import tell_unreadable
    from harness.analysis.comparison import compare_runs
    from harness.records.store import Store

    toolbox: CliContext = context.obj
    place = Store(toolbox.store(store))
    found = [find_records(name, place) for name in (before, after)]
    skipped = tell_unreadable(found)
    made = compare_runs(found[0].records, found[1].records, sample_access_of(found))
    write(_rendered(made, "json" if json else format_, plain=output is not None), output)
    if not made.cells or all(not isinstance(cell.changes, tuple) for cell in made.cells):
        raise typer.Exit(NOTHING_SHARED)
    if skipped:
        raise typer.Exit(SKIPPED)


def write(shown: str, output: Path | None) -> None:
    """Print it, or write it to a file; StoreError if that cannot be written."""
    from harness.common.errors import StoreError

    if output is None:
        typer.echo(shown.rstrip("\n"))
        return
    try:
        output.write_text(shown.rstrip("\n") + "\n", encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(output)) from None


def _rendered(made: "RunComparison", form: str, *, plain: bool) -> str:
    from harness.cli.output.report_output import wide
    from reports.documents.comparison import render

    width, color = wide(plain=plain)
    return render(made, form, width=width, color=color)
