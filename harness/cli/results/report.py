"""`bench report`: render tables, plots and the page again from records."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options.common import Price, StoreFolder
from harness.cli.context import CliContext

if TYPE_CHECKING:
    from harness.records.record import Record
    from harness.records.store import RunFolder, UnreadableFile
    from reports import Report, SamplesOf
    from reports.plots import Plot

SKIPPED = 5

Prices = Annotated[
    Path | None,
    typer.Option(
        "--prices", metavar="FILE", help="A price list, YAML (docs/reports.md), for the cost table."
    ),
]
Carbon = Annotated[
    str | None,
    typer.Option(
        "--carbon",
        metavar="FILE|COUNTRY",
        help="A grid's intensity: YAML (docs/reports.md) or three letters, FRA (default: world average).",
    ),
]


def report(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Run ids, or all (default: the latest run)."),
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format", metavar="NAME", help="text, markdown, latex, csv, html, json, or one of docs/ci.md."
        ),
    ] = "text",
    tables: Annotated[
        str | None,
        typer.Option(
            "--tables", metavar="NAME,...", help="ladder, speed, overview, sweep, cost, hosts or all."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there instead of to stdout.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="DIR", help="Draw plots there: SVG, PNG and their data.")
    ] = None,
    price_per_hour: Price = None,
    prices: Prices = None,
    carbon: Carbon = None,
    store: StoreFolder = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Render tables, plots or a page of one or more runs again, from their records."""
    from harness.cli.output.delivery import deliver_files, deliver_text
    from harness.cli.options.prices import factors_of
    from harness.cli.output.report_output import counts_in, samples_in, wide
    from reports import Style, build_report, files_of, write_report

    toolbox: CliContext = context.obj
    context.with_resource(_uncollected())
    factors = factors_of(price_per_hour, prices, carbon)
    names = _tables(tables, priced=prices is not None or carbon is not None)
    folders, records, unreadable = _read(toolbox.store(store), runs or ["latest"])
    book = build_report(records, factors, counts_in(folders))
    width, color = wide(plain=output is not None)
    style = Style(names, width, color, samples_in(folders))
    form = "json" if json else format_
    files = files_of(book, form, style)
    text = "" if files else write_report(book, form, style).rstrip("\n")
    if plots:
        _draw(plots, book, style.samples)
    if files:
        deliver_files(files, output, form)
    else:
        deliver_text(text, output, form=form, environ=toolbox.environ)
    if unreadable:
        raise typer.Exit(SKIPPED)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector of cycles from going over thousands of records again and again: they hold none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # as old ones: the next round, which comes at once, is for new ones
        if was:
            gc.enable()


def _read(store: Path, runs: Sequence[str]) -> "tuple[list[RunFolder], list[Record], list[UnreadableFile]]":
    """Read the records of these runs; what cannot be read is named, counted, and left out."""
    from harness.common.errors import MeasurementError, UsageError
    from harness.records.store import Store

    place = Store(store)
    folders = place.runs() if list(runs) == ["all"] else [place.run(name) for name in runs]
    records, unreadable = place.records(folders)
    for file in unreadable:
        typer.echo(f"bench: {file.path}: skipped: {file.reason}", err=True)
    if unreadable:
        typer.echo(f"bench: {len(unreadable):,} skipped, {len(records):,} read.", err=True)
    if not records and unreadable:
        raise MeasurementError("none of the records can be read.", where=", ".join(runs))
    if not records:
        raise UsageError(
            "there are no records to report.",
            where=", ".join(runs),
            remedy="An unfinished run has none yet: `bench run --resume latest` finishes it.",
        )
    return folders, records, unreadable


def _tables(asked: str | None, *, priced: bool) -> tuple[str, ...]:
    """Return the names of the tables; factors that are asked for bring the table they are in."""
    from harness.cli.options.common import names
    from reports import TABLES, UNASKED

    if asked is None:
        return (*UNASKED, "cost") if priced else ()
    return tuple(TABLES) if asked.strip() == "all" else names(asked)


def _draw(folder: Path, book: "Report", samples: "SamplesOf") -> None:
    from reports.plots import plots_of

    write_plots(folder, plots_of(book, samples))


def write_plots(folder: Path, plots: "Iterable[Plot]") -> None:
    """Write each plot as SVG and PNG, and its data beside it."""
    from reports.plots import as_png, as_svg, data_csv

    count = 0
    for count, plot in enumerate(plots, 1):  # noqa: B007 -- it is told below
        _write(folder / f"{plot.name}.svg", as_svg(plot).encode())
        _write(folder / f"{plot.name}.png", as_png(plot))
        _write(folder / f"{plot.name}.csv", data_csv(plot).encode())
    typer.echo(f"bench: {count:,} plot{'' if count == 1 else 's'} in {folder}", err=True)


def _write(path: Path, payload: bytes) -> None:
    from harness.common.errors import StoreError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(path)) from None
