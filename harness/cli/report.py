"""`bench report`: render the table again from records."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Price, StoreFolder
from harness.cli.toolbox import Toolbox

SKIPPED = 5


def report(
    context: typer.Context,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Run ids (default: the latest run).")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="text, markdown or json.")] = "text",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there instead of to stdout.")
    ] = None,
    price_per_hour: Price = None,
    store: StoreFolder = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Render the table of one or more runs again, from their records."""
    from harness.cli.output import counts_in, rendered
    from harness.errors import MeasurementError
    from harness.store import Store

    toolbox: Toolbox = context.obj
    place = Store(toolbox.store(store))
    folders = [place.run(name) for name in runs or ["latest"]]
    records, unreadable = place.records(folders)
    for file in unreadable:
        typer.echo(f"bench: {file.path}: skipped: {file.reason}", err=True)
    if not records:
        raise MeasurementError(
            "there are no records to report.",
            where=", ".join(runs or ["latest"]),
            remedy="An unfinished run has none yet: `bench run --resume latest` finishes it.",
        )
    form, counts = "json" if json else format_, counts_in(folders)
    text = rendered(records, form, plain=output is not None, price=price_per_hour, counts=counts)
    if output:
        _write(output, text)
    else:
        typer.echo(text)
    if unreadable:
        raise typer.Exit(SKIPPED)


def _write(path: Path, text: str) -> None:
    from harness.errors import StoreError

    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(path)) from None
