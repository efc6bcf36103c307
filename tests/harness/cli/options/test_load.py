"""`--batch`, `--rate`, `--slo` and `--window`, as whole commands on a fake machine."""

import json
from pathlib import Path
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call

QUICK = ("-q", "--profile", "quick", "--variants", "pytorch-fixed,onnx-int8")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bench(world: World, *words: str) -> int:
    return call((*words, "--data", str(boolq_folder(world.root))), world.context())


def records(world: World) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (world.store / "runs").glob("*/*.json")]


def test_several_scenarios_are_tables_of_their_own(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """At an offered rate there is no speed-up; a batch's latency is said to be one."""
    words = ("--scenario", "single-stream,batch,server", "--batch", "8", "--rate", "1000")
    assert bench(world, "run", *QUICK, *words) == 0
    single, batch, served = capsys.readouterr().out.split("boolq on cpu, ")[1:4]
    assert single.startswith("single-stream, encoded")
    assert "speed-up" in single
    assert batch.startswith("batch, encoded, 2 threads, batch 8")
    assert "per batch" in " ".join(batch.split())
    assert "there are 12" in batch
    assert served.startswith("server at 1000 requests/s")
    assert "speed-up over" not in served
    assert "Requests arrive at the same times for every variant" in served
    assert {record["cell"]["scenario"] for record in records(world)} == {"single-stream", "batch", "server"}


def test_an_slo_shows_the_highest_rate(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Over 96 distinct requests a p99 is an indication, and the report says so."""
    assert bench(world, "run", *QUICK, "--scenario", "server", "--slo", "p99=2ms") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "highest" in out
    assert "p99=2ms" in out
    assert "judged over 96 distinct requests" in out
    assert all(record["load"]["highest_rate"] > 0 for record in records(world))


def test_a_window_is_as_long_as_was_asked(world: World) -> None:
    """Both variants, over as many passes as each needs."""
    assert bench(world, "run", *QUICK, "--window", "0.05s") == 0
    for record in records(world):
        assert all(turn["wall_ns"] >= 50_000_000 for turn in record["rounds"])
        assert all(turn["requests"] == 32 * turn["passes"] for turn in record["rounds"])
        assert record["configuration"]["window_ms"] == 50


def test_a_ladder_can_be_offered_a_rate_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside its own two scenarios."""
    words = ("--ladder", "fake", "--profile", "quick", "-n", "12", "--rate", "500")
    assert bench(world, "ladder", "-q", *words) == 0
    assert "server at 500 requests/s" in capsys.readouterr().out
    assert {record["cell"]["scenario"] for record in records(world)} == {
        "offline",
        "single-stream",
        "server",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scenario", "batch", "--batch", "eight"), "--batch must be numbers, got 'eight'"),
        (("--scenario", "server", "--rate", "-5"), "--rate must be numbers, got '-5'"),
        (("--window", "long"), "--window must be a number with a unit, got 'long'"),
        (("--scenario", "server"), "scenario server needs a rate"),
        (("--scenario", "server", "--slo", "p42=1ms"), "not a service-level objective: 'p42=1ms'"),
    ],
)
def test_a_load_that_cannot_be_offered_is_refused(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    """Exit code 2, one message with a remedy."""
    assert bench(world, "run", *QUICK, *words) == 2
    assert said in capsys.readouterr().err
