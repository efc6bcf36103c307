"""A plan is compared with new arrivals on the same machine, and refuses other data, models and ladders."""

import json
from pathlib import Path

import pytest
from quick_plans import few_requests
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.testing.world import altered

DAY = ("--requests-per-day", "1M", "--slo", "p90=10s")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    few_requests(monkeypatch)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Measure every variant once."""
    made = World(tmp_path)
    assert call(["run", "--data", str(boolq_folder(tmp_path)), "--quiet"], made.context()) == 0
    made.machine = altered(made.machine, suffix=lambda: "0002")  # the clock of the fake names runs alike
    return made


def test_predicted_and_measured_stand_side_by_side(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Three loads of one machine, twenty windows each."""
    capsys.readouterr()
    words = [*DAY, "--validate", "--data", str(world.root / "data"), "--json"]
    assert call(["plan", *words], world.context()) == 0
    loads = json.loads(capsys.readouterr().out)["validation"]
    assert [round(load["utilisation"], 2) for load in loads] == [0.3, 0.6, 0.85]
    for load in loads:
        assert load["windows"] == 20
        assert load["measured"] > 0
        for name in ("predicted", "window"):
            assert load[name]["low"] <= load[name]["value"] <= load[name]["high"]
        assert 0 <= load["covered"] <= 20
        assert load["requests"] % 100 == 0  # whole passes of all examples
    run = loads[0]["run"]
    (earlier,) = {path.name for path in (world.store / "runs").iterdir()} - {run}
    assert call(["plan", earlier, *DAY, "--validation", run, "--json"], world.context()) == 0
    assert json.loads(capsys.readouterr().out)["validation"] == loads
    assert call(["verify", run], world.context()) == 0
    assert call(["plan", earlier, *DAY, "--validation", earlier], world.context()) == 2
    assert "cannot check itself" in capsys.readouterr().err
    assert call(["plan", run, *DAY, "--validation", earlier], world.context()) == 2
    assert "no record of scenario server" in capsys.readouterr().err


def test_other_data_are_refused_before_anything_is_measured(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their requests have other lengths."""
    capsys.readouterr()
    other = boolq_folder(tmp_path / "other", 50)
    assert call(["plan", *DAY, "--validate", "--data", str(other)], world.context()) == 2
    assert "--data: not the data of the run" in capsys.readouterr().err


def test_a_rung_of_a_ladder_is_measured_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its ladder is that of the record; another, or another setting of it, is refused."""
    made = World(tmp_path)
    data = str(boolq_folder(tmp_path))
    words = ("--ladder", "fake", "--data", data, "--profile", "quick", "--quiet")
    assert call(["ladder", *words], made.context()) == 0
    made.machine = altered(made.machine, suffix=lambda: "0002")
    capsys.readouterr()
    assert call(["plan", *DAY, "--validate", "--data", data, "--json"], made.context()) == 0
    loads = json.loads(capsys.readouterr().out)["validation"]
    assert [load["windows"] for load in loads] == [20, 20, 20]
    assert call(["plan", *DAY, "--validate", "--data", data, "--ladder", "none.yaml"], made.context()) == 2
    assert "none.yaml" in capsys.readouterr().err
