"""`bench list runs`: the runs of the store, from its index."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.output.store_index import index_of, report_skipped
from harness.cli.output.terminal import align, escape, print_json, print_lines
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from harness.records.store import Store
    from harness.records.store.index.query import QueryResult, SqlValue

_QUERY = "select * from runs order by created is null, created, run"
_HOST_DIGITS = 8


def list_runs(store: "Store", condition: str | None, *, json: bool) -> ExitCode:
    """Print the runs with a cell that fulfils a condition on `cells`, or all; return the exit code."""
    from harness.records.store.index.query import run_query, select_cells

    with index_of(store) as connection:
        result = run_query(connection, _QUERY)
        if condition is not None:
            matching = select_cells(connection, condition)
            result.rows[:] = [row for row in result.rows if row[0] in matching]
        skipped = report_skipped(connection)
    if json:
        print_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
    else:
        print_lines(_lines(result))
    return ExitCode.PARTIAL if skipped else ExitCode.DONE


def _lines(result: "QueryResult") -> list[str]:
    """Return the lines of the table, the newest run last."""
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    table = [["run", "created", "tasks", "devices", "hosts", "cells", "state"], *map(_row, rows)]
    return align(table, right=[False] * 5 + [True, False])


def _row(run: "dict[str, SqlValue]") -> list[str]:
    hosts = ",".join(name[:_HOST_DIGITS] for name in str(run["hosts"] or "-").split(","))
    texts = (run["run"], str(run["created"] or "-")[:19], run["tasks"] or "-", run["devices"] or "-", hosts)
    return [*(escape(str(text)) for text in texts), str(run["cells"]), _state(run)]


def _state(run: "dict[str, SqlValue]") -> str:
    counts: Sequence[str] = [f"{run[name]!s} {name}" for name in ("partial", "failed") if run[name]]
    state = ", ".join(counts) or ("complete" if run["complete"] else "no records")
    return f"not finished, {state}" if run["unfinished"] else state
