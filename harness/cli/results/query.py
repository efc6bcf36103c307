"""`bench query`: rows of a `select` on the index of the store."""

import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.output import Json, StoreFolder
from harness.cli.options.panels import output_option, plain_option
from harness.cli.options.units import parse_duration
from harness.common.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import sqlite3

    from harness.records.store.index.query import QueryResult, SqlValue

EXAMPLE = """bench query "select variant, p50_ms from cells where task = 'boolq'" (docs/howto/query.md)"""


def query(
    context: CliContext,
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="A select on the views cells, figures, runs, ...")
    ] = None,
    schema: Annotated[bool, plain_option("--schema", "Show the views and their columns instead.")] = False,
    time_limit: Annotated[str, plain_option("--time-limit TIME", "End a query that takes longer.")] = "10s",
    csv: Annotated[bool, output_option("--csv", "Print CSV: one line a row, numbers unrounded.")] = False,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Ask the store in SQL: its runs, cells and figures. Reads only."""
    from harness.cli.output.store_index import index_of, report_skipped
    from harness.cli.output.terminal import print_json
    from harness.records.store.index.query import run_query

    if (sql is None) != schema:
        raise UsageError("expected a query, or --schema.", remedy=EXAMPLE)
    if csv and json:
        raise UsageError("--csv and --json are two formats.", remedy="Name one of them.")
    limit_s = parse_duration(time_limit, "--time-limit", "10s")
    with index_of(context.open_store(store)) as connection:
        result = _schema(connection) if sql is None else run_query(connection, sql, time_limit_s=limit_s)
        skipped = report_skipped(connection)
    if json:
        print_json([dict(zip(result.columns, map(_json_value, row), strict=True)) for row in result.rows])
    elif csv:
        _print_csv(result)
    else:
        _print_table(result)
    if skipped:
        raise typer.Exit(ExitCode.PARTIAL)


def _schema(connection: "sqlite3.Connection") -> "QueryResult":
    """Return the columns of every view."""
    from harness.records.store.index.query import QueryResult
    from harness.records.store.index.schema import VIEWS

    rows: list[tuple[SqlValue, ...]] = [
        (view, column[0])
        for view in VIEWS
        for column in connection.execute(f"select * from {view} limit 0").description  # noqa: S608 -- ours
    ]
    return QueryResult(("view", "column"), rows)


def _json_value(value: "SqlValue") -> "SqlValue":
    """Return a value that JSON has: bytes as hexadecimal digits, infinity as text."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and abs(value) == float("inf") else value


def _print_csv(result: "QueryResult") -> None:
    """Print CSV; a text that a spreadsheet would read as a formula gets an apostrophe before it."""
    from reports.layout.escaping import safe

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(safe, result.columns))
    for row in result.rows:
        values = map(_json_value, row)
        writer.writerow([safe(value) if isinstance(value, str) else value for value in values])


def _print_table(result: "QueryResult") -> None:
    from harness.cli.output.terminal import align, print_lines

    rows = [[_cell(value) for value in row] for row in (result.columns, *result.rows)]
    print_lines(align(rows, right=_numeric(result.rows)))


def _cell(value: "SqlValue") -> str:
    """Return a value for the table: six significant digits, `-` where there is none."""
    from harness.cli.output.terminal import escape

    value = _json_value(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else escape(str(value)).replace("\n", "\\n")


def _numeric(rows: "Sequence[Sequence[SqlValue]]") -> list[bool]:
    """Return which columns hold numbers only; a table without rows has none."""
    return [
        all(value is None or isinstance(value, int | float) for value in column)
        for column in zip(*rows, strict=True)
    ]
