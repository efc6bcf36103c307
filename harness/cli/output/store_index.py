"""The index of the store for commands: brought up to date, with what it lacks named on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from harness.cli.options.units import plural

if TYPE_CHECKING:
    import sqlite3

    from harness.records.store import Store


@contextmanager
def index_of(store: "Store") -> "Iterator[sqlite3.Connection]":
    """Yield the index of a store, brought up to date with progress on stderr."""
    from harness.api import index_figures
    from harness.cli.output.progress import progress_reporter
    from harness.records.store.index.refresh import open_index

    with progress_reporter(quiet=False) as progress, open_index(store, index_figures, progress) as connection:
        progress.finish()
        yield connection


def report_skipped(connection: "sqlite3.Connection") -> bool:
    """Say on stderr how many files cannot be read, so no answer has them; return whether there are any."""
    (count,) = connection.execute("select count(*) from unreadable").fetchone()
    if count:
        remedy = 'bench query "select * from unreadable"'
        typer.echo(f"bench: {plural(count, 'file')} of the store cannot be read: {remedy}", err=True)
    return bool(count)
