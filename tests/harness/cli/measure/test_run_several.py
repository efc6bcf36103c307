"""`bench run` over several tasks: one command, a run each, one table over all."""

from pathlib import Path
from typing import Any

import pytest
from worlds import World

from harness.cli.app import call
from harness.runs.execution import group
from harness.workload.tasks import TASKS

QUICK = ("--profile", "quick", "-n", "12")


def bench(world: World, *words: str) -> int:
    return call(words, world.context())


def test_all_tasks_are_measured_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten runs on the embedded sample, their tables, and the tables over all at the end."""
    world = World(tmp_path)
    assert bench(world, "run", "-q", "--task", "all", *QUICK) == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} on cpu, single-stream, encoded" in f"\n{out}" for name in TASKS)
    quality = out[out.index("10 tasks on cpu, single-stream, encoded") :]
    rows = [line.split()[0] for line in quality.splitlines() if line[:1].isalpha() and "  " in line]
    assert rows[:12] == ["task", *TASKS, "average"]
    assert "the average is not a SuperGLUE score" in quality
    assert "geometric mean" in quality
    assert len(list((world.store / "runs").iterdir())) == len(TASKS)
    # the runs that the last lines name give the same report again
    again = next(line for line in out.splitlines() if line.startswith("The table again: bench report "))
    assert bench(world, "report", *again.removeprefix("The table again: bench report ").split()) == 0
    tables, _, footer = out.partition("\nRecords: ")
    assert capsys.readouterr().out == tables + footer[footer.index("\nVerdicts\n") :]


def test_a_list_that_was_interrupted_goes_on_with_all_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every run is in the store before the first is measured, so that none is forgotten."""
    world = World(tmp_path)
    visited = group.Group._visit  # the only place to stop a run between two windows
    visits = 0

    def interrupted(self: Any, *words: Any) -> Any:
        nonlocal visits
        visits += 1
        if visits == 6:
            raise KeyboardInterrupt
        return visited(self, *words)

    monkeypatch.setattr(group.Group, "_visit", interrupted)
    assert bench(world, "run", "-q", "--task", "copa,wsc,rte", *QUICK) == 130
    assert "`bench run --resume all` continues" in capsys.readouterr().err
    assert bench(world, "run", "-q", "--resume", "all") == 0
    out = capsys.readouterr().out
    assert "3 tasks on cpu" in out
    assert bench(world, "run", "-q", "--resume", "all") == 2


def test_a_grouped_request_is_one_request_with_its_sequences_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """COPA has two sequences a request; RTE has one, and no such column."""
    world = World(tmp_path)
    assert bench(world, "run", "-q", "--task", "copa", *QUICK) == 0
    assert "sequences/request" in " ".join(capsys.readouterr().out.split())
    assert bench(world, "run", "-q", "--task", "rte", *QUICK) == 0
    assert "sequences/request" not in " ".join(capsys.readouterr().out.split())


def test_several_tasks_and_one_checkpoint_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is stored."""
    world = World(tmp_path)
    assert bench(world, "run", "-q", "--task", "rte,cb", "--model", "m/rte") == 2
    assert "m/{task}" in capsys.readouterr().err
    assert bench(world, "run", "-q", "--task", "rte,cbb") == 2
    assert "cb" in capsys.readouterr().err
    assert not (world.store / "runs").exists()
