import json
from pathlib import Path

import pytest
from records import a_record
from worlds import World

from harness.cli.app import call
from harness.records.record import Revision


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a store of ten runs: 5 ms a request, 6 ms from the sixth on."""
    made = World(tmp_path)
    for day in range(1, 11):
        wall = (500.0 if day < 6 else 600.0) + day % 2
        record = a_record(
            "onnx-int8",
            (wall,) * 7,
            run=f"r{day:02}",
            created=f"2026-01-{day:02}T00:00:00+00:00",
            revision=Revision(commit=f"c{day}", dirty=day == 6),
        )
        folder = made.store / "runs" / record.run
        folder.mkdir(parents=True)
        (folder / "cell.json").write_text(record.model_dump_json())
    return made


def track(world: World, *words: str) -> int:
    return call(("track", *words), world.context())


def test_the_history_names_the_commits_that_changed_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """501 ms of 100 requests become 600: 501 / 600 - 1 = -16.5 %; a commit with changed files says so."""
    assert track(world, "--quantity", "throughput") == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "throughput: boolq, onnx-int8, cpu, single-stream, 2 threads, length 256 on host cccc"
    )
    assert "Changed by -16.5 %, worse, in c5..c6-dirty." in out
    assert "Absolute figures depend on the machine" in " ".join(out.split())
    assert "<- -16.5 %, worse" in next(line for line in out.splitlines() if "c6-dirty" in line)


def test_machines_get_every_point_and_every_change(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """In base units, for several quantities."""
    assert track(world, "--quantity", "throughput,latency_p50", "--json") == 0
    found = json.loads(capsys.readouterr().out)["series"]
    assert [series["quantity"] for series in found] == ["throughput", "latency_p50"]
    assert [len(series["points"]) for series in found] == [10, 10]
    assert [change["commits"] for change in found[1]["changes"]] == ["c5..c6-dirty"]
    assert found[1]["points"][0]["value"] == pytest.approx(5.01e6)


def test_plots_lie_with_their_data(world: World, tmp_path: Path) -> None:
    """SVG, PNG and CSV of each series."""
    assert track(world, "--quantity", "throughput", "--plots", str(tmp_path / "plots")) == 0
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == [f"history-01-throughput-onnx-int8.{kind}" for kind in ("csv", "png", "svg")]
    assert "c6-dirty" in (tmp_path / "plots" / names[0]).read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--quantity", "speed"), 2, "unknown quantity"),
        (("--quantity", ","), 2, "expected a quantity in --quantity, got none"),
        (("--task", "cb"), 2, "no record of this task and these variants"),
        (("--quantity", "size"), 4, "no record has size"),
        ((), 4, "A speed-up needs a run with pytorch-fixed"),
    ],
)
def test_what_has_no_history_is_said(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, message: str
) -> None:
    """Unknown, absent and not measured are three things."""
    assert track(world, *words) == code
    assert message in capsys.readouterr().err


def test_a_quantity_that_is_named_twice_is_shown_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """As any list of names on the command line."""
    assert track(world, "--quantity", "throughput", "--json") == 0
    once = capsys.readouterr().out
    assert track(world, "--quantity", "throughput,throughput", "--json") == 0
    assert capsys.readouterr().out == once
