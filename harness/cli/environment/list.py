"""`bench list`: the names that options take, and what is cached."""

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli.context import CliContext
from harness.cli.options.output import Json, StoreFolder, Where
from harness.cli.options.panels import plain_option
from harness.cli.output.terminal import escape, print_json, terminal_columns
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.cli.environment.listing import Rows

NOT_HERE = "not here"
"""The heading of what cannot be used on this machine."""

LEGEND = (
    "* is used if none is named. `bench list --long` has a line on each, `bench doctor` why some are not "
    "here."
)

CACHED = "cached artifacts"


def list_(
    context: CliContext,
    kind: Annotated[
        Literal["runs"] | None,
        typer.Argument(
            metavar="[runs]", help="runs: the runs of the store (default: the names that options take)."
        ),
    ] = None,
    where: Where = None,
    store: StoreFolder = None,
    long: Annotated[
        bool, plain_option("--long -l", "A line on each: what it is, what it needs, ladders with rungs.")
    ] = False,
    json: Json = False,
    schema: Annotated[bool, plain_option("--schema", "Print the JSON Schema of a record instead.")] = False,
) -> None:
    """List tasks, variants, ladders, shapes, profiles, meters, artifacts, or the runs of the store."""
    from harness.cli.environment.listing import listing

    if kind == "runs":
        from harness.cli.results.runs import list_runs

        raise typer.Exit(list_runs(context.open_store(store), where, json=json))
    if where:
        raise UsageError("--where is a condition on runs.", remedy="Write `bench list runs --where ...`.")

    if schema:
        from harness.records.record import schema_text

        typer.echo(schema_text(), nl=False)
        return
    rows = listing(context.catalog(), context.cache())
    if json:
        print_json(rows)
    else:
        typer.echo("\n".join(_long_lines(rows) if long else _short_lines(rows, terminal_columns())))


def _short_lines(listing: "dict[str, Rows]", columns: int) -> Iterator[str]:
    """Yield the names of each kind, those that cannot be used here apart."""
    indent = max(map(len, (*listing, NOT_HERE))) + 2
    for kind, rows in listing.items():
        if kind == CACHED:
            yield f"{kind.ljust(indent)}{len(rows)} (bench cache list)"
            continue
        here = [escape(row["name"]) + ("*" if row.get("default") else "") for row in rows if _usable(row)]
        yield from _wrapped(kind, here or ["none"], indent, columns)
        if absent := [escape(row["name"]) for row in rows if not _usable(row)]:
            yield from _wrapped(f"  {NOT_HERE}", absent, indent, columns)
    yield ""
    yield from textwrap.wrap(LEGEND, columns)


def _usable(row: "dict[str, object]") -> bool:
    return not row.get("unavailable")


def _wrapped(heading: str, names: list[str], indent: int, columns: int) -> list[str]:
    return textwrap.wrap(
        "  ".join(names),
        max(columns, indent + 30),
        initial_indent=heading.ljust(indent),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _long_lines(listing: "dict[str, Rows]") -> Iterator[str]:
    """Yield a line on each name, and why it cannot be used here."""
    for kind, rows in listing.items():
        yield kind
        width = max((len(row["name"]) + 2 for row in rows), default=0)
        for row in rows:
            name = row["name"] + (" *" if row.get("default") else "")
            yield f"  {escape(name):<{width}}  {escape(row['summary'])}"
            if row.get("export"):
                yield f"  {'':<{width}}  export: {escape(row['export'])}"
            if not _usable(row):
                yield f"  {'':<{width}}  unavailable, because {escape(row['unavailable'])}"
        if not rows:
            yield "  none"
    yield "* is used if none is named."
