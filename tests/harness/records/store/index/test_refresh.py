import os
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest
from moments import forked
from stores import RUN, sealed_run, three_records
from worlds import Heard

from harness.api import index_figures, query_store, update_index
from harness.common.errors import StoreError, UsageError
from harness.common.progress import NoProgress
from harness.records.record import Record
from harness.records.store import RunFolder, Store
from harness.records.store.index import refresh as refreshing
from harness.records.store.index.refresh import open_index, rebuild, refresh
from harness.records.store.index.rows import CellFigures

SECOND = "20260102-030405-boolq-0002"
COUNTS = "select run, count(*) as n from cells group by run order by run"


def counts(root: Path) -> dict[object, object]:
    return {row["run"]: row["n"] for row in query_store(COUNTS, store=root)}


def aged(folder: RunFolder) -> None:
    """Let the folder have been changed an hour ago."""
    now = folder.path.stat().st_mtime
    os.utime(folder.path, (now - 3600, now - 3600))


def read_by_refresh(root: Path) -> list[str]:
    """Return the runs that a refresh reads."""
    names: list[str] = []

    def figures_of(folder: RunFolder, records: Sequence[Record]) -> Iterator[CellFigures]:
        names.append(folder.name)
        return index_figures(folder, records)

    refresh(Store(root), figures_of, NoProgress())
    return names


def test_runs_that_are_added_changed_or_removed_are_seen_by_the_next_query(tmp_path: Path) -> None:
    """The sealed files are the truth at every moment."""
    first = sealed_run(tmp_path)
    assert counts(tmp_path) == {RUN: 3}
    second = sealed_run(tmp_path, list(three_records(SECOND))[:1], run=SECOND)
    assert counts(tmp_path) == {RUN: 3, SECOND: 1}
    second.seal(list(three_records(SECOND))[1], {})
    assert counts(tmp_path) == {RUN: 3, SECOND: 2}
    for path in first.path.iterdir():
        path.unlink()
    first.path.rmdir()
    assert counts(tmp_path) == {SECOND: 2}


def test_a_run_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    """A change within the last two seconds may not have been the last one at its time, so it is."""
    old, new = sealed_run(tmp_path), sealed_run(tmp_path, list(three_records(SECOND)), run=SECOND)
    aged(old)
    assert read_by_refresh(tmp_path) == [RUN, SECOND]
    assert read_by_refresh(tmp_path) == [SECOND]
    aged(new)
    assert read_by_refresh(tmp_path) == [SECOND]
    assert read_by_refresh(tmp_path) == []


def test_only_the_sealed_run_is_read_where_it_is_named(tmp_path: Path) -> None:
    """The end of a run does not wait for runs of others."""
    sealed_run(tmp_path)
    second = sealed_run(tmp_path, list(three_records(SECOND)), run=SECOND)
    refresh(Store(tmp_path), index_figures, NoProgress(), only=[second])
    with closing(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)) as connection:
        assert connection.execute("select distinct run from cells").fetchall() == [(SECOND,)]
    assert counts(tmp_path) == {RUN: 3, SECOND: 3}


def test_files_that_cannot_be_read_are_rows_with_the_reason(tmp_path: Path) -> None:
    """So is a second record of one cell, whose rows would otherwise replace those of the first."""
    folder = sealed_run(tmp_path)
    (folder.path / "torn.json").write_text('{"schema_version": 3')
    record = next(folder.path.glob("boolq-onnx*.json"))
    (folder.path / "copy.json").write_bytes(record.read_bytes())
    assert counts(tmp_path) == {RUN: 3}
    rows = query_store("select file, reason from unreadable order by file", store=tmp_path)
    assert [row["file"] for row in rows] == [RUN, "torn.json"]
    assert "one cell" in str(rows[0]["reason"])
    assert "not a record" in str(rows[1]["reason"])


def refreshed(root: Path) -> int:
    refresh(Store(root), index_figures, NoProgress())
    return os.getpid()


def test_several_processes_at_once_index_every_cell_once(tmp_path: Path) -> None:
    """Two runs that end together, and a person who asks meanwhile."""
    for number in range(6):
        name = f"20260102-030405-boolq-{number:04d}"
        sealed_run(tmp_path, list(three_records(name)), run=name)
    with get_context("fork").Pool(3) as pool:
        pool.map(refreshed, [tmp_path] * 6, chunksize=1)
    assert list(counts(tmp_path).values()) == [3] * 6
    figures = query_store("select count(*) as n from figures where quantity = 'throughput'", store=tmp_path)
    assert figures == [{"n": 18}]


def sealed_and_indexed(root: Path, number: int) -> None:
    """Seal a run and update the index for it, as the end of `bench run` does."""
    name = f"20260102-030405-boolq-{number:04d}"
    folder = sealed_run(root, list(three_records(name)), run=name)
    update_index(Store(root), [folder], NoProgress())


def test_runs_that_are_sealed_at_once_are_all_in_the_index(tmp_path: Path) -> None:
    """A reader of the file finds each whole, before any query brings it up to date."""
    with get_context("fork").Pool(3) as pool:
        pool.starmap(sealed_and_indexed, [(tmp_path, number) for number in range(6)], chunksize=1)
    with closing(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)) as connection:
        found = dict(connection.execute(COUNTS).fetchall())
    assert found == {f"20260102-030405-boolq-{number:04d}": 3 for number in range(6)}


@pytest.mark.parametrize("moment", ["while it reads", "while it writes"])
def test_a_process_that_is_killed_leaves_an_index_that_the_next_one_completes(
    tmp_path: Path, moment: str
) -> None:
    """`kill -9` between two runs of one transaction."""
    for name in (RUN, SECOND):
        sealed_run(tmp_path, list(three_records(name)), run=name)
    child = forked()
    if child == 0:
        original, left = refreshing.add_run, [1]

        def killed(*arguments: object) -> Iterator[CellFigures]:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if moment == "while it writes":
                original(*arguments)  # type: ignore[arg-type]
            return iter(())

        if moment == "while it writes":
            refreshing.add_run = killed  # type: ignore[assignment]
        try:
            refresh(Store(tmp_path), index_figures if moment == "while it writes" else killed, NoProgress())
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert counts(tmp_path) == {RUN: 3, SECOND: 3}


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\0" * 4080])
def test_a_damaged_index_is_made_again_and_said_so(tmp_path: Path, content: bytes) -> None:
    """Nothing is lost: it holds what the sealed files hold."""
    sealed_run(tmp_path)
    (tmp_path / "index.sqlite").write_bytes(content)
    heard = Heard()
    refresh(Store(tmp_path), index_figures, heard)
    assert ["damaged" in warning for warning in heard.warnings] == [True]
    assert counts(tmp_path) == {RUN: 3}


def test_an_index_of_another_version_is_made_again(tmp_path: Path) -> None:
    """Its figures may have been computed in another way."""
    folder = sealed_run(tmp_path)
    aged(folder)
    assert counts(tmp_path) == {RUN: 3}
    with closing(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)) as connection:
        connection.execute("delete from cell_rows")
        connection.execute("pragma user_version = 7")
    assert counts(tmp_path) == {RUN: 3}


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A user's own file may have this name."""
    sealed_run(tmp_path)
    with closing(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)) as connection:
        connection.execute("create table mine (a)")
    before = (tmp_path / "index.sqlite").read_bytes()
    with pytest.raises(StoreError, match="database of another program"):
        refresh(Store(tmp_path), index_figures, NoProgress())
    assert (tmp_path / "index.sqlite").read_bytes() == before


def test_a_store_that_cannot_be_written_is_indexed_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and nothing is written."""
    sealed_run(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    heard = Heard()
    with open_index(Store(tmp_path), index_figures, heard) as connection:
        assert connection.execute("select count(*) from cells").fetchone() == (3,)
    assert "in memory" in heard.warnings[0]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_rebuilt_index_has_the_same_rows(tmp_path: Path) -> None:
    """`bench store index` makes it from nothing."""
    sealed_run(tmp_path)
    before = query_store("select * from cells order by cell", store=tmp_path)
    rebuild(Store(tmp_path), index_figures, NoProgress())
    assert query_store("select * from cells order by cell", store=tmp_path) == before
    assert len(before) == 3


def test_a_store_without_runs_is_refused(tmp_path: Path) -> None:
    """And no file is left in it."""
    with (
        pytest.raises(UsageError, match="holds no runs"),
        open_index(Store(tmp_path), index_figures, NoProgress()),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
