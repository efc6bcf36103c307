"""The verdict that a run ends with, and the loss of quality that it permits."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.runs.execution import group


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bench(world: World, *words: str) -> int:
    return call(words, world.context())


def configurations(world: World) -> list[dict[str, Any]]:
    paths = (world.store / "runs").glob("*/*.json")
    return [json.loads(path.read_text())["configuration"] for path in paths]


def verdict_of(out: str) -> str:
    return " ".join(out[out.index("\nVerdict") :].split())


def test_the_permitted_loss_is_in_the_records_and_report_and_resume_keep_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run is interrupted at its ninth visit and resumed without the option; another value replaces it."""
    visit, visits = group.Group._visit, []

    def interrupted(self: Any, *words: Any) -> Any:
        visits.append(1)
        if len(visits) == 9:
            raise KeyboardInterrupt
        return visit(self, *words)

    with monkeypatch.context() as patch:
        patch.setattr(group.Group, "_visit", interrupted)
        data = str(boolq_folder(world.root))
        assert bench(world, "run", "-q", "--data", data, "--max-quality-loss", "90") == 130
    assert bench(world, "run", "-q", "--resume", "latest") == 0
    assert {options["max_quality_loss"] for options in configurations(world)} == {90}
    assert "within 90 points of accuracy" in verdict_of(capsys.readouterr().out)
    assert bench(world, "report") == 0
    assert "within 90 points of accuracy" in verdict_of(capsys.readouterr().out)
    assert bench(world, "report", "--max-quality-loss", "95.5") == 0
    assert "within 95.5 points of accuracy" in verdict_of(capsys.readouterr().out)


def test_without_the_option_no_record_holds_it(world: World) -> None:
    """Records of a run that does not name it are as before."""
    assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root))) == 0
    assert all("max_quality_loss" not in options for options in configurations(world))


@pytest.mark.parametrize("points", ["-1", "101", "nan", "inf", "much"])
def test_points_that_are_none_are_refused_before_anything_is_measured(
    world: World, capsys: pytest.CaptureFixture[str], points: str
) -> None:
    """One message with what was expected and what was given."""
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "-q", "--data", data, "--max-quality-loss", points) == 2
    assert "--max-quality-loss" in capsys.readouterr().err
    assert not world.store.exists()


def test_a_ladder_has_a_verdict_for_each_scenario(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Offline and one request at a time, with the permitted loss."""
    words = ("--ladder", "fake", "--profile", "quick", "-n", "12", "--max-quality-loss", "100")
    assert bench(world, "ladder", "-q", *words) == 0
    verdicts = verdict_of(capsys.readouterr().out)
    assert "offline: " in verdicts
    assert "single-stream: " in verdicts
    assert "within 100 points of accuracy" in verdicts


def test_the_command_of_a_run_names_the_folders_as_they_were_given(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine of the fakes counts as one that is exported, for this test."""
    monkeypatch.setattr("harness.analysis.verdict.handover.EXPORTED_ENGINES", ("fake",))
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "-q", "--json", "--data", data, "--max-quality-loss", "100") == 0
    (verdict,) = json.loads(capsys.readouterr().out)["verdicts"]
    words = shlex.split(verdict["command"])
    assert words[words.index("--data") + 1] == data
    assert words[:5] == ["bench", "export", verdict["variant"], "--task", "boolq"]
