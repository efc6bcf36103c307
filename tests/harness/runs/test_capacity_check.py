"""A plan is compared with new arrivals on the same machine, and refuses other data, models and rungs."""

import json
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.testing.world import altered

DAY = ("--requests-per-day", "1M", "--slo", "p90=10s")


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
        assert load["predicted"]["low"] <= load["predicted"]["value"] <= load["predicted"]["high"]


def test_other_data_are_refused_before_anything_is_measured(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their requests have other lengths."""
    capsys.readouterr()
    other = boolq_folder(tmp_path / "other", 50)
    assert call(["plan", *DAY, "--validate", "--data", str(other)], world.context()) == 2
    assert "--data: not the data of the run" in capsys.readouterr().err
