import json
from pathlib import Path

import pytest
from stores import sealed_run, three_records
from worlds import World

from harness.api import query_store
from harness.cli.app import call

NAMES = [f"20260102-030405-boolq-{number:04d}" for number in range(3)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Hold one store a host, each with one run."""
    for name in NAMES:
        sealed_run(tmp_path / name, list(three_records(name)), run=name)
    return World(tmp_path)


def bench(world: World, *words: str) -> int:
    return call(["store", *words], world.context())


def test_stores_of_hosts_are_merged_into_one_that_can_be_asked(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time all is there, and that is no failure."""
    folders = [str(world.root / name) for name in NAMES]
    assert bench(world, "merge", *folders) == 0
    assert "3 runs copied; 9 records copied" in capsys.readouterr().out
    (row,) = query_store(
        "select count(distinct run) as runs, count(*) as cells from cells", store=world.store
    )
    assert row == {"runs": 3, "cells": 9}
    assert bench(world, "merge", *folders) == 0
    assert "3 runs there already; 0 records copied" in capsys.readouterr().out


def test_a_tampered_run_is_refused_by_name_and_the_others_are_merged(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 7, as `bench verify` would."""
    record = next((world.root / NAMES[1] / "runs" / NAMES[1]).glob("*.json"))
    record.write_text(record.read_text().replace('"seed": 0', '"seed": 1'))
    folders = [str(world.root / name) for name in NAMES]
    assert bench(world, "merge", *folders, "--json") == 7
    outcomes = {run["run"]: run["outcome"] for run in json.loads(capsys.readouterr().out)}
    assert outcomes == {NAMES[0]: "copied", NAMES[1]: "refused", NAMES[2]: "copied"}
    assert bench(world, "merge", *folders) == 7
    assert f"{NAMES[1]}: refused: boolq-" in capsys.readouterr().out
    assert sorted(path.name for path in (world.store / "runs").iterdir()) == [NAMES[0], NAMES[2]]


def test_a_run_that_is_not_finished_or_has_a_taken_name_ends_with_5(world: World) -> None:
    """Both are named; nothing is overwritten."""
    sealed_run(world.store, list(three_records(NAMES[0], seed=7)), run=NAMES[0])
    assert bench(world, "merge", str(world.root / NAMES[0])) == 5
    journal = world.root / NAMES[1] / "runs" / NAMES[1] / "journal"
    journal.mkdir()
    (journal / "plan.json").write_text("{}")
    assert bench(world, "merge", str(world.root / NAMES[1])) == 5


def test_a_store_is_not_merged_into_itself_nor_something_else(world: World) -> None:
    """Both are usage errors."""
    sealed_run(world.store, list(three_records(NAMES[0])), run=NAMES[0])
    assert bench(world, "merge", str(world.store)) == 2
    assert bench(world, "merge", str(world.root)) == 2


def test_the_index_is_made_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it holds; an empty store has none."""
    assert bench(world, "index") == 2
    assert bench(world, "merge", str(world.root / NAMES[0])) == 0
    capsys.readouterr()
    assert bench(world, "index") == 0
    assert "index.sqlite: 1 run, 3 cells" in capsys.readouterr().out
