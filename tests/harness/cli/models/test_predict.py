import json
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.common.errors import MeasurementError
from harness.testing.system import FakeVariant
from harness.testing.world import FakeMachine


def bench(world: World, *words: str) -> int:
    return call(["predict", *words], world.context())


def test_the_prediction_file_has_the_official_name_and_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row per example in file order, labels as strings; the fake misses every tenth example."""
    world = World(tmp_path)
    data = boolq_folder(tmp_path)
    words = ["--data", str(data), "--split", "val", "-o", str(tmp_path / "out"), "-q"]
    assert bench(world, *words) == 0
    file = tmp_path / "out" / "BoolQ.jsonl"
    assert capsys.readouterr().out == f"100 rows: {file}\n"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["idx"] for row in rows] == list(range(100))
    gold = ["true" if index % 3 else "false" for index in range(100)]
    wrong = [index for index, row in enumerate(rows) if row["label"] != gold[index]]
    assert wrong == list(range(9, 100, 10))
    assert not world.store.exists()


def test_the_test_split_of_the_embedded_sample_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It hides its labels, and needs none."""
    assert bench(World(tmp_path), "--task", "cb", "-o", str(tmp_path / "out"), "-q", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["rows"] == len((tmp_path / "out" / "CB.jsonl").read_text().splitlines())


def test_a_variant_that_fails_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither whole nor in part."""
    world = World(tmp_path)
    bad = FakeVariant("bad", world.clock, 1, breaks="prepare", error=MeasurementError("no graph."))
    world.catalog = replace(world.catalog, variants={"bad": bad})
    world.machine = FakeMachine(world.catalog, world.clock)
    data = boolq_folder(tmp_path)
    words = ["--data", str(data), "--split", "val", "-o", str(tmp_path / "out"), "-q", "--variant", "bad"]
    assert bench(world, *words) == 4
    assert "no graph." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_exits_with_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in its place stands for a read-only disk, for any user."""
    (tmp_path / "out").write_text("")
    words = ["--data", str(boolq_folder(tmp_path)), "--split", "val", "-o", str(tmp_path / "out"), "-q"]
    assert bench(World(tmp_path), *words) == 4
    assert "cannot be written" in capsys.readouterr().err
