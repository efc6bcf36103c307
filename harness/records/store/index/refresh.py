"""Brings the index up to date: reads the runs whose folders have changed since they were read.

A folder has changed if the time of its last change is another one, or was so recent when it was read that a
later change could have the same time. Every writer holds the lock of the index; a writer that is killed loses
its transaction alone, and the next one reads those runs again.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from harness.common.errors import StoreError, UsageError
from harness.common.locks import Hold, hold
from harness.common.progress import ProgressReporter
from harness.records.store.folders import RunFolder, Store, UnreadableFile
from harness.records.store.index.file_state import JUST_NOW_NS, file_state
from harness.records.store.index.query import primary_code
from harness.records.store.index.rows import (
    CellFigures,
    FiguresOf,
    RunContent,
    TextIds,
    add_run,
    remove_run,
)
from harness.records.store.index.schema import SCHEMA, schema_version

FILE, LOCK = "index.sqlite", ".index.lock"

APPLICATION = 0x6265_6E63
"""What marks a SQLite file as an index of bench (`pragma application_id`): the bytes `benc`."""

WAIT_S = 600.0
"""How long to wait for another process that updates the index."""

_BUSY_S, _POLL_S = 30.0, 0.05
_RUNS_AT_ONCE = 20
"""Runs in a transaction, and the number of runs from which progress is shown."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def open_index(
    store: Store, figures_of: FiguresOf, progress: ProgressReporter
) -> Iterator[sqlite3.Connection]:
    """Yield a read-only connection to the index, brought up to date; UsageError if the store holds no runs.

    The index of a store that cannot be written is made in memory.
    """
    if not _scan(store.root):
        raise UsageError(
            "the store holds no runs.", where=str(store.root), remedy="Measure one with `bench run`."
        )
    if os.access(store.root, os.W_OK):
        refresh(store, figures_of, progress)
        address = f"{(store.root / FILE).resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=_BUSY_S)
    else:
        progress.warn(f"{store.root} cannot be written: its index is made in memory for this command.")
        with _sqlite_errors(store.root):
            connection = _in_memory(store, figures_of, progress)
    with closing(connection):
        yield connection


def refresh(
    store: Store,
    figures_of: FiguresOf,
    progress: ProgressReporter,
    *,
    only: Sequence[RunFolder] | None = None,
    wait_s: float = WAIT_S,
) -> None:
    """Update the index file, of these runs only or of all; StoreError if that is not possible."""
    with _sqlite_errors(store.root):
        try:
            _refresh(store, figures_of, progress, only, wait_s)
        except sqlite3.DatabaseError as error:
            if primary_code(error) not in _DAMAGED:
                raise
            progress.warn("the index of the store was damaged, and is made again.")
            rebuild(store, figures_of, progress)


def rebuild(store: Store, figures_of: FiguresOf, progress: ProgressReporter) -> None:
    """Remove the index file and make it again from the sealed files."""
    with _sqlite_errors(store.root), _exclusive(store.root, WAIT_S):
        for suffix in ("-journal", "-wal", "-shm", ""):
            (store.root / f"{FILE}{suffix}").unlink(missing_ok=True)
        with closing(_connect(store.root / FILE)) as connection:
            _update(connection, store, figures_of, progress, None)


def _refresh(
    store: Store,
    figures_of: FiguresOf,
    progress: ProgressReporter,
    only: Sequence[RunFolder] | None,
    wait_s: float,
) -> None:
    path = store.root / FILE
    if path.exists():
        with closing(_connect(path)) as connection:
            if is_current(connection) and not any(_changes(connection, store.root, only)):
                return
    with _exclusive(store.root, wait_s), closing(_connect(path)) as connection:
        _update(connection, store, figures_of, progress, only)


def _in_memory(store: Store, figures_of: FiguresOf, progress: ProgressReporter) -> sqlite3.Connection:
    """Return an index in memory; what the file has is read from it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    path = store.root / FILE
    if path.exists():
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            file.backup(connection)
    _update(connection, store, figures_of, progress, None)
    connection.execute("pragma query_only = on")
    return connection


def _update(
    connection: sqlite3.Connection,
    store: Store,
    figures_of: FiguresOf,
    progress: ProgressReporter,
    only: Sequence[RunFolder] | None,
) -> None:
    """Create the tables where they are absent or of another version, and read what has changed."""
    if not is_current(connection):
        _create(connection)
    changed, gone = _changes(connection, store.root, only)
    if len(changed) > _RUNS_AT_ONCE:
        progress.stage("index the store", len(changed))
    texts = TextIds(connection)
    for start in range(0, len(changed), _RUNS_AT_ONCE):
        names = changed[start : start + _RUNS_AT_ONCE]
        contents = [_read(store, name, figures_of) for name in names]
        with _transaction(connection):
            for content in contents:
                add_run(connection, content, texts)
        if len(changed) > _RUNS_AT_ONCE:
            progress.step(len(names))
    with _transaction(connection):
        for name in gone:
            remove_run(connection, name)


def _changes(
    connection: sqlite3.Connection, root: Path, only: Sequence[RunFolder] | None
) -> tuple[list[str], list[str]]:
    """Return the names of runs to read, the oldest first, and of those that are gone."""
    indexed = dict(connection.execute("select run, modified_ns from run_folders"))
    present = _scan(root)
    named = present if only is None else {folder.name for folder in only}
    changed = [name for name, modified_ns in present.items() if indexed.get(name) != modified_ns]
    gone = [name for name in indexed if name not in present]
    return [name for name in sorted(changed) if name in named], sorted(gone)


def _scan(root: Path) -> dict[str, int]:
    """Return when each folder of a run was changed last, in nanoseconds."""
    try:
        entries = list(os.scandir(root / "runs"))
    except OSError:
        return {}
    return {
        entry.name: entry.stat().st_mtime_ns
        for entry in entries
        if entry.is_dir() and not entry.name.startswith(".")
    }


def _read(store: Store, name: str, figures_of: FiguresOf) -> RunContent:
    """Read a run. The time of its last change is taken first, so that a change meanwhile is found later."""
    folder = store.run_folder(name)
    modified_ns = folder.path.stat().st_mtime_ns if folder.path.exists() else 0
    if time.time_ns() - modified_ns < JUST_NOW_NS:
        modified_ns = 0
    files = file_state(folder)
    records, unreadable = store.records([folder])
    distinct = {record.cell.id: record for record in records}
    figures = {cell: CellFigures(cell, ()) for cell in distinct}
    for more in figures_of(folder, list(distinct.values())) if distinct else ():
        if more.cell in figures:
            rows = (*figures[more.cell].rows, *more.rows)
            figures[more.cell] = CellFigures(more.cell, rows, more.cost_basis)
    content = RunContent(
        folder, modified_ns, folder.unfinished, tuple(distinct.values()), unreadable, figures, files
    )
    if len(distinct) == len(records):
        return content
    twice = UnreadableFile(folder.path, "several files of the run are records of one cell")
    return replace(content, unreadable=[*unreadable, twice])


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)


def is_current(connection: sqlite3.Connection) -> bool:
    """Return whether this version of bench made the tables; StoreError for a file of another program."""
    (application,) = connection.execute("pragma application_id").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if tables and application != APPLICATION:
        raise StoreError(
            f"{FILE} is a database of another program.", remedy="Move it out of the folder of the store."
        )
    (marked,) = connection.execute("pragma user_version").fetchone()
    return bool(tables) and marked == _version()


def _create(connection: sqlite3.Connection) -> None:
    """Drop what another version has made, and create the tables and views."""
    rows = (
        "select type, name from sqlite_master where type in ('view', 'table') and name not like 'sqlite_%' "
        "order by type desc"
    )
    with _transaction(connection):
        for kind, name in connection.execute(rows).fetchall():
            connection.execute(f'drop {kind} "{name}"')
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"pragma application_id = {APPLICATION}")
        connection.execute(f"pragma user_version = {_version()}")


def _version() -> int:
    return schema_version(version("fastformers-bench"))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


@contextmanager
def _exclusive(root: Path, wait_s: float) -> Iterator[Hold]:
    """Hold the lock of the index; StoreError where another process holds it for longer than `wait_s`."""
    end = time.monotonic() + wait_s
    while (held := hold(root / LOCK)) is None:
        if time.monotonic() >= end:
            raise StoreError("another process is updating the index.", where=str(root / FILE))
        time.sleep(_POLL_S)
    try:
        yield held
    finally:
        held.release()


@contextmanager
def _sqlite_errors(root: Path) -> Iterator[None]:
    """Turn an error of SQLite or of the file system into a StoreError."""
    remedy = "`bench store index` makes the index again; records and samples are not touched."
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"the index cannot be updated: {reason}.", where=str(root / FILE), remedy=remedy
        ) from None
