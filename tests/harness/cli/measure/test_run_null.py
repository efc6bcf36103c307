from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.cli.options.units import parse_duration, parse_share
from harness.common.errors import UsageError
from harness.studies.traces import load_all


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bench(world: World, *words: str) -> int:
    return call(words, world.context())


def test_a_null_test_says_what_came_out_and_keeps_its_trace(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a fake clock a thing is exactly as fast as itself; the trace lies in the store."""
    data = str(boolq_folder(world.root))
    words = ("--null-test", "onnx-int8", "--condition", "quiet", "--rounds", "8", "--quiet", "--data", data)
    assert bench(world, "run", *words) == 0
    out, err = capsys.readouterr()
    assert "bench: onnx-int8 against itself: 1.000x [1.000, 1.000], no change, over 8 rounds" in err
    assert out.count("\nonnx-int8") >= 2
    (trace,) = load_all(world.store / "traces")
    assert (trace.condition, trace.variant, len(trace.wall_ns)) == ("quiet", "onnx-int8", 8)


def test_a_run_without_null_test_keeps_no_trace(world: World) -> None:
    """Nothing is written that nobody asked for."""
    assert bench(world, "run", "--rounds", "3", "--quiet", "--data", str(boolq_folder(world.root))) == 0
    assert not (world.store / "traces").exists()


def test_launches_and_precision_reach_the_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Two launches of three rounds each; 50 % is known at once."""
    data = ("--data", str(boolq_folder(world.root)), "--variants", "pytorch-fixed,onnx-int8", "--quiet")
    words = ("--rounds", "3", "--launches", "2", "--precision", "50%", "--time-budget", "10m")
    assert bench(world, "run", *words, *data) == 0
    assert "6 of 6 in 2 launches" in capsys.readouterr().out
    assert bench(world, "run", "--time-budget", "10m", *data) == 2
    assert "--precision 2%" in capsys.readouterr().err


def test_shares_and_times_are_read_as_people_write_them() -> None:
    """2 % or 0.02; ten minutes as 10m or 10min."""
    assert (parse_share("2%", "--precision"), parse_share(" 0.02 ", "--precision")) == (0.02, 0.02)
    assert parse_duration("10m", "--time-budget") == parse_duration("10min", "--time-budget") == 600
    for words in ("0", "100%", "2", "little", "nan"):
        with pytest.raises(UsageError, match="must be a share above 0 and below 1, got"):
            parse_share(words, "--precision")
