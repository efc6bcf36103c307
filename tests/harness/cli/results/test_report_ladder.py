"""`bench report` on a ladder that lies in the store."""

import json
from pathlib import Path

import numpy as np
import pytest
from records import a_ladder, a_quality, an_accuracy
from worlds import World

from harness.cli.app import call
from harness.records.store import RunFolder
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example

RIGHT = {"int8": 78}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Seal a ladder whose int8 rung is right on 78 of 100 where all others are on 80."""
    world = World(tmp_path)
    folder = RunFolder(world.store / "runs" / "r1")
    folder.path.mkdir(parents=True)
    examples = [Example(str(at), (), ("true",)) for at in range(100)]
    for record in a_ladder():
        right = RIGHT.get(record.cell.variant, 80)
        answers = ["true"] * right + ["false"] * (100 - right)
        counts = get_task("boolq").scoring.by_cluster(examples, answers)
        share = an_accuracy(right / 100, right / 100 - 0.08, right / 100 + 0.08, 100)
        quality = a_quality(metrics={"accuracy": share}, timed=100, untimed=0)
        folder.seal(record.model_copy(update={"quality": quality}), {"counts": np.array(counts)})
    return world


def test_the_report_of_a_ladders_run_is_its_tables(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """In the default form for a terminal."""
    assert call(["report", "r1"], world.context()) == 0
    out = capsys.readouterr().out
    assert out.startswith("Ladder fastformers: boolq on cpu")
    assert "at 0.677 USD an hour" in out


def test_changes_of_quality_are_paired_by_the_samples(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """-2 points of 100 examples, two of which changed: never above 0."""
    assert call(["report", "r1", "--json"], world.context()) == 0
    rungs = {row["rung"]: row for row in json.loads(capsys.readouterr().out)["ladders"][0]["rungs"]}
    change = rungs["int8"]["quality_change_points"]
    assert change["paired"] is True
    assert change["value"] == pytest.approx(-2)
    assert change["high"] <= 0


def test_without_the_samples_changes_are_unpaired_and_say_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records alone are enough for a report."""
    for file in (world.store / "runs" / "r1").glob("*.npz"):
        file.unlink()
    assert call(["report", "r1"], world.context()) == 0
    assert "unpaired: the interval is wider" in capsys.readouterr().out


def test_a_price_of_ones_own(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """20 ms x 100 million = 555.6 hours at 3.6 USD: 2,000 USD."""
    assert call(["report", "r1", "--json", "--price-per-hour", "3.6"], world.context()) == 0
    found = json.loads(capsys.readouterr().out)["ladders"][0]
    assert found["price"] == {"usd_per_hour": 3.6, "source": "--price-per-hour"}
    assert found["rungs"][0]["usd_per_100m_requests"]["value"] == pytest.approx(2000)


def test_a_price_of_nothing_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """With what a price is."""
    assert call(["report", "r1", "--price-per-hour", "0"], world.context()) == 2
    assert "--price-per-hour must be above zero, got 0.\nGive USD per hour." in capsys.readouterr().err
