import sqlite3
from pathlib import Path

import pytest
from stores import RUN, sealed_run, three_records

from harness.api import index_figures, query_store
from harness.common.errors import UsageError
from harness.common.progress import NoProgress
from harness.records.store import Store
from harness.records.store.index import query
from harness.records.store.index.query import run_query, select_cells
from harness.records.store.index.refresh import open_index

ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seal three records, which no test here changes."""
    root = tmp_path_factory.mktemp("store")
    sealed_run(root)
    return root


def test_a_query_returns_the_figures_of_the_records_by_the_record_s_names(store: Path) -> None:
    """20, 10 and 4 ms a request: 50, 100 and 250 a second; at 20 watts 0.4, 0.2 and 0.08 J."""
    rows = query_store(
        "select variant, p50_ms, throughput, energy_per_request_joules as joules, energy_grade as grade "
        f"from cells where task = 'boolq' and host = '{'c' * 64}' order by p50_ms desc",
        store=store,
    )
    assert [row["variant"] for row in rows] == ["pytorch-fixed", "pytorch-dynamic", "onnx-int8"]
    assert [row["p50_ms"] for row in rows] == pytest.approx([20.0, 10.0, 4.0])
    assert [row["throughput"] for row in rows] == pytest.approx([50.0, 100.0, 250.0])
    assert [row["joules"] for row in rows] == pytest.approx([0.4, 0.2, 0.08])
    assert {row["grade"] for row in rows} == {"measured"}


def test_ratios_with_their_intervals_are_figures(store: Path) -> None:
    """Int8 is 5 times as fast as the baseline, and 2.5 times as fast as the unpadded one."""
    rows = query_store(
        """select "over", value, low, high from figures
        where quantity = 'speed_up' and variant = 'onnx-int8' order by value""",
        store=store,
    )
    assert [row["over"] for row in rows] == ["pytorch-dynamic", "pytorch-fixed"]
    assert [row["value"] for row in rows] == pytest.approx([2.5, 5.0])
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)  # type: ignore[operator]


def test_hosts_software_and_runs_are_views_too(store: Path) -> None:
    """Facts of a host are JSON, which SQLite reads."""
    (row,) = query_store(
        "select runs.run as run, tasks, cells, complete, version, "
        "json_extract(facts, '$.cpu_model') as cpu_model "
        "from runs join software using (run) join hosts on host = hosts",
        store=store,
    )
    assert row == {
        "run": RUN,
        "tasks": "boolq",
        "cells": 3,
        "complete": 3,
        "version": "3.11.7",
        "cpu_model": "Example CPU @ 3.0 GHz",
    }


@pytest.mark.parametrize(
    "sql",
    [
        "attach 'other.sqlite' as other",
        "delete from cell_rows",
        "insert into hosts values ('a', 'b', '{}')",
        "drop view cells",
        "create temp table t (a)",
        "pragma query_only = off",
        "select * from pragma_table_info('cells')",
        "select * from pragma_database_list",
        "select load_extension('evil.so')",
        "select readfile('/etc/passwd')",
        "select writefile('copy', 'text')",
        "create virtual table t using fts5(a)",
        "with t as (select 1) delete from cell_rows",
        "detach main",
        "vacuum into 'copy.sqlite'",
        "begin exclusive",
        "select 1; select 2",
        "",
        "-- nothing",
        "select 1, 1",
        "select \0",
        "selec variant from cells",
    ],
)
def test_what_does_more_than_read_is_refused_and_changes_nothing(store: Path, sql: str) -> None:
    """Other files, settings, changes, extensions, several statements; also what is no select."""
    before = query_store("select count(*) as n from cell_rows", store=store)
    with pytest.raises(UsageError):
        query_store(sql, store=store)
    assert query_store("select count(*) as n from cell_rows", store=store) == before == [{"n": 3}]
    assert {path.name for path in store.iterdir()} == {"runs", "index.sqlite", ".index.lock"}


def test_the_connection_itself_cannot_write(store: Path) -> None:
    """Even if the authorizer had a gap."""
    with (
        open_index(Store(store), index_figures, NoProgress()) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("delete from cell_rows")


def test_a_query_without_an_end_is_ended(store: Path) -> None:
    """The message names the limit, and how to allow more."""
    with pytest.raises(UsageError, match=r"longer than 0\.05 s") as caught:
        query_store(ENDLESS, store=store, time_limit_s=0.05)
    assert "--time-limit" in str(caught.value)


@pytest.mark.parametrize("sql", ["select length(zeroblob(1000000000))", "select hex(randomblob(90000000))"])
def test_a_query_cannot_fill_the_memory_with_one_value(store: Path, sql: str) -> None:
    """A value may have 10 MB."""
    with pytest.raises(UsageError, match="too big"):
        query_store(sql, store=store)


def test_more_rows_than_a_million_are_refused_not_cut_off(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut table would look complete."""
    monkeypatch.setattr(query, "MOST_ROWS", 2)
    with pytest.raises(UsageError, match="more than 2 rows"):
        query_store("select run from cells", store=store)


@pytest.mark.parametrize(
    ("sql", "remedy"),
    [("select varient from cells", "variant"), ("select variant from cell", "cells")],
)
def test_a_misspelt_name_gets_the_nearest(store: Path, sql: str, remedy: str) -> None:
    """Of columns and of views."""
    with pytest.raises(UsageError) as caught:
        query_store(sql, store=store)
    assert f"Did you mean {remedy}" in str(caught.value)


def test_text_that_is_not_unicode_is_shown_and_not_an_error(store: Path) -> None:
    """SQL can make such text."""
    assert query_store("select cast(x'ff' as text) as t", store=store) == [{"t": "�"}]


def test_a_condition_selects_whole_groups(tmp_path: Path) -> None:
    """A ratio needs the reference of its group, and a verdict all of its cells; other groups are left out."""
    longer = list(three_records(cell={"max_length": 512}))
    sealed_run(tmp_path, [*three_records(), *longer])
    with open_index(Store(tmp_path), index_figures, NoProgress()) as connection:
        cells = select_cells(connection, "variant = 'onnx-int8' and max_length = 512 -- a comment")
        assert cells == {RUN: {record.cell.id for record in longer}}
        assert select_cells(connection, "task = 'rte'") == {}
        with pytest.raises(UsageError, match="--where"):
            select_cells(connection, "tsk = 'rte'")
        assert run_query(connection, "select count(*) as n from cells").rows == [(6,)]
