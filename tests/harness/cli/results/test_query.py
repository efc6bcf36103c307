import csv
import io
import json
from pathlib import Path

import pytest
from stores import sealed_run, three_records
from worlds import World

from harness.cli.app import call

FASTEST = "select variant, p50_ms, failure_kind from cells where variant like 'onnx%'"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    sealed_run(world.store)
    return world


def bench(world: World, *words: str) -> int:
    return call(["query", *words], world.context())


def test_the_answer_is_a_table_json_or_csv(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """What is absent is `-`, null or empty."""
    assert bench(world, FASTEST) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["variant", "p50_ms", "failure_kind"],
        ["onnx-int8", "4", "-"],
    ]
    assert bench(world, FASTEST, "--json") == 0
    expected = {"variant": "onnx-int8", "p50_ms": 4.0, "failure_kind": None}
    assert json.loads(capsys.readouterr().out) == [expected]
    assert bench(world, FASTEST, "--csv") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row == {"variant": "onnx-int8", "p50_ms": "4.0", "failure_kind": ""}


def test_csv_has_no_formulas_and_json_no_infinity(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Spreadsheets compute the first; JSON has no second."""
    assert bench(world, "select '=1+1' as a, 9e999 as b, x'00ff' as c", "--csv") == 0
    assert capsys.readouterr().out == "a,b,c\n'=1+1,inf,00ff\n"
    assert bench(world, "select 9e999 as b", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"b": "inf"}]


def test_control_characters_do_not_reach_the_terminal(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in names of columns nor in values; a line break stays within its row."""
    assert bench(world, "select char(27) || '[2J' || char(10) as \"\x1b[31m\"") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 2


def test_the_schema_lists_every_view_with_its_columns(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a query can be written without the page."""
    assert bench(world, "--schema", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"view": "cells", "column": "p50_ms"} in rows
    assert {row["view"] for row in rows} == {"runs", "cells", "figures", "hosts", "software", "unreadable"}


@pytest.mark.parametrize(
    "words",
    [(), (FASTEST, "--schema"), (FASTEST, "--csv", "--json"), (FASTEST, "--time-limit", "soon"), ("drop",)],
)
def test_usage_errors_exit_with_2(world: World, words: tuple[str, ...]) -> None:
    """With a remedy, and without a traceback."""
    assert bench(world, *words) == 2


def test_files_that_are_in_no_answer_are_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 5: the rest is answered."""
    (world.store / "runs" / "torn").mkdir()
    (world.store / "runs" / "torn" / "a.json").write_text("{")
    assert bench(world, FASTEST) == 5
    captured = capsys.readouterr()
    assert "onnx-int8" in captured.out
    assert "1 file of the store cannot be read" in captured.err


def test_runs_are_listed_with_their_state(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A condition is on cells; without one all runs are listed, the newest last."""
    failed = {"status": "failed", "failure": {"kind": "MeasurementError", "message": "no memory."}}
    name = "20260102-030406-boolq-0002"
    later = {"created": "2026-01-02T03:04:06+00:00", "cell": {"max_length": 512}}
    sealed_run(world.store, [*three_records(name, **later, **failed)][:1], run=name)
    assert call(["list", "runs"], world.context()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "created", "tasks", "devices", "hosts", "cells", "state"]
    assert lines[1].endswith("3  complete")
    assert lines[2].startswith(name)
    assert lines[2].endswith("1  1 failed")
    assert call(["list", "runs", "--where", "max_length > 300", "--json"], world.context()) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == [name]
    assert call(["list", "--where", "max_length > 300"], world.context()) == 2


def test_a_report_of_a_condition_has_its_groups_whole(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ratio needs the reference; what no group fulfils is refused."""
    longer = list(three_records("20260102-030405-boolq-0002", cell={"max_length": 512}))
    sealed_run(world.store, longer, run="20260102-030405-boolq-0002")
    condition = ["--where", "variant = 'onnx-int8' and max_length = 512"]
    assert call(["report", *condition, "--format", "csv"], world.context()) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["max_length"] for row in rows} == {"512"}
    assert {row["variant"] for row in rows} == {record.cell.variant for record in longer}
    (ratio,) = [
        float(row["value"])
        for row in rows
        if (row["quantity"], row["variant"], row["over"]) == ("speed_up", "onnx-int8", "pytorch-fixed")
    ]
    assert ratio == pytest.approx(5.0)
    assert call(["report", "--where", "task = 'rte'"], world.context()) == 2
    assert "no cell fulfils the condition" in capsys.readouterr().err
