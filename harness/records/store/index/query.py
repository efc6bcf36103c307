"""Answers a query from the index: it reads tables and views, and nothing else, within limits.

The authorizer of SQLite refuses everything but reading: no other file (`attach`), no setting (`pragma`), no
change, no extension. A query ends after its time, and no value may be longer than `LONGEST_VALUE`.
"""

import difflib
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.common.errors import StoreError, UsageError
from harness.records.store.index.schema import VIEWS

TIME_LIMIT_S = 10.0
MOST_ROWS = 1_000_000
LONGEST_QUERY = 100_000
LONGEST_VALUE = 10_000_000
"""Bytes of the longest text that a query may make."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: LONGEST_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: LONGEST_QUERY,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
}
_READING = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_FORBIDDEN_FUNCTIONS = ("load_extension", "fts3_tokenizer", "readfile", "writefile", "edit")
_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""

_UNKNOWN = re.compile(r"no such (column|table): (.+)")

SqlValue = str | int | float | bytes | None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The rows of a query, and the names of its columns."""

    columns: tuple[str, ...]
    rows: list[tuple[SqlValue, ...]]


def run_query(connection: sqlite3.Connection, sql: str, *, time_limit_s: float = TIME_LIMIT_S) -> QueryResult:
    """Return the rows of one `select`; UsageError where it does more, or takes more than its limits."""
    end = time.monotonic() + time_limit_s
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    connection.set_authorizer(_authorize)
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        with _query_errors(connection, time_limit_s):
            cursor = connection.execute(sql)
            columns = tuple(column[0] for column in cursor.description or ())
            rows = cursor.fetchmany(MOST_ROWS + 1)
    finally:
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)
    return _checked(QueryResult(columns, rows))


def select_cells(connection: sqlite3.Connection, condition: str) -> dict[str, set[str]]:
    """Return the cells, by run, of all groups in which a cell fulfils a condition on the view `cells`.

    Groups are returned whole: their cells are compared with one another.
    """
    groups = f"select distinct run, cell_group from cells where ({condition}\n)"  # noqa: S608 -- read only
    try:
        members = run_query(
            connection,
            f"select run, cell from cells where (run, cell_group) in ({groups})",  # noqa: S608
        )
    except UsageError as error:
        raise UsageError(error.message, where=f"--where {condition!r}", remedy=error.remedy) from None
    cells: dict[str, set[str]] = {}
    for run, cell in members.rows:
        cells.setdefault(str(run), set()).add(str(cell))
    return cells


def _authorize(action: int, first: str | None, second: str | None, *_context: object) -> int:
    """Allow reading and functions without side effects; called while a query is compiled."""
    del first
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _checked(result: QueryResult) -> QueryResult:
    if not result.columns:
        raise UsageError("expected a `select`, got nothing that has rows.", remedy=_EXAMPLE)
    if repeated := sorted({name for name in result.columns if result.columns.count(name) > 1}):
        raise UsageError(
            f"several columns are named {repeated[0]}.", remedy=f"Name them apart: `... as {repeated[0]}_2`."
        )
    if len(result.rows) > MOST_ROWS:
        raise UsageError(
            f"the query has more than {MOST_ROWS:,} rows.", remedy="Add a `limit`, or a `where`."
        )
    return result


_EXAMPLE = "For example: select variant, p50_ms from cells where task = 'boolq'"


@contextmanager
def _query_errors(connection: sqlite3.Connection, time_limit_s: float) -> Iterator[None]:
    """Turn what SQLite raises into a UsageError with a remedy."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
            raise UsageError(
                f"the query took longer than {time_limit_s:g} s.",
                remedy="Narrow it with `where`, or allow more with --time-limit.",
            ) from None
        raise _explained(connection, str(error)) from None
    except sqlite3.DatabaseError as error:
        if primary_code(error) == sqlite3.SQLITE_CORRUPT:
            raise StoreError("the index is damaged.", remedy="`bench store index` makes it again.") from None
        raise _explained(connection, str(error)) from None
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise _explained(connection, str(error)) from None


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code of SQLite; 0 where the error has none."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _explained(connection: sqlite3.Connection, reason: str) -> UsageError:
    """Return the error for a query that SQLite refuses; an unknown name gets the most similar ones."""
    if reason in ("not authorized", "authorizer malfunction") or "prohibited" in reason:
        return UsageError(
            "the query does more than read the index.", remedy=f"It may read {', '.join(VIEWS)} alone."
        )
    if "one statement" in reason:
        return UsageError("expected one `select`, got several statements.", remedy="Leave out the rest.")
    remedy = f"Views: {', '.join(VIEWS)}; docs/howto/query.md lists their columns."
    if unknown := _UNKNOWN.fullmatch(reason):
        names = VIEWS if unknown[1] == "table" else _column_names(connection)
        similar = difflib.get_close_matches(unknown[2].rpartition(".")[2], names, n=3, cutoff=0.6)
        remedy = f"Did you mean {' or '.join(similar)}?" if similar else remedy
    return UsageError(f"the query cannot be answered: {reason}.", remedy=remedy)


def _column_names(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the columns of all views."""
    connection.set_progress_handler(None, 0)
    descriptions = (connection.execute(f"select * from {view} limit 0").description for view in VIEWS)  # noqa: S608
    return sorted({column[0] for description in descriptions for column in description})
