"""`bench plan` from a measured run to a table; nonsense is one message and exit code 2."""

import json
import shutil
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.records.store import Store

DAY = ("--requests-per-day", "1M")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Measure every variant once."""
    made = World(tmp_path_factory.mktemp("world"))
    data = str(boolq_folder(made.root))
    assert call(["run", "--data", data, "--profile", "quick", "--quiet"], made.context()) == 0
    return made


def plan(world: World, *words: str) -> int:
    return call(["plan", *words], world.context())


def test_a_run_becomes_a_plan(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The fastest variant comes first, and every row has a latency that grows with its percentile."""
    capsys.readouterr()
    assert plan(world, *DAY, "--peak-factor", "2", "--slo", "p90=10s", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    machines = [row["machines"] for row in report["rows"]]
    assert machines == sorted(machines)
    for row in report["rows"]:
        assert row["latency_s"]["p50"]["value"] <= row["latency_s"]["p99"]["value"]
    assert report["demand"]["requests_per_day"] == pytest.approx(1e6)


def test_a_trace_of_arrivals_is_planned_for(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its busiest interval is the peak."""
    trace = tmp_path / "trace.csv"
    trace.write_text("seconds,requests\n0,60\n60,600\n120,60\n", encoding="utf-8")
    assert plan(world, "--arrivals", str(trace), "--slo", "p99=10s", "--json") == 0
    assert json.loads(capsys.readouterr().out)["demand"]["peak_per_s"] == 10


def test_an_instance_gives_published_power(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Busy and idle, both modelled."""
    assert plan(world, *DAY, "--slo", "p99=10s", "--machine", "m5.xlarge", "--json") == 0
    energy = json.loads(capsys.readouterr().out)["rows"][0]["energy"]
    assert (energy["grade"], energy["idle_j_per_day"] > 0) == ("modelled", True)
    assert "m5.xlarge" in energy["source"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "one of --rate, --requests-per-day and --arrivals, got none"),
        (("--rate", "1", *DAY), "got several"),
        (("--rate", "0"), "--rate must be above 0 and at most 1e+09 requests a second, got 0"),
        (("--rate", "1e12"), "--rate must be above 0 and at most 1e+09 requests a second, got 1e+12"),
        (("--rate", "1", "--peak-factor", "2"), "--peak-factor belongs to"),
        (("--requests-per-day", "many"), "expects a number such as 100M, got 'many'"),
        (("--arrivals", "nowhere.csv"), "nowhere.csv"),
        ((*DAY, "--slo", "p99=1ns"), "no variant meets the objective"),
        ((*DAY, "--slo", "soon"), "not a service-level objective"),
        ((*DAY, "--spare", "two"), "expected --spare n+1"),
        ((*DAY, "--dispatch", "luck"), "luck"),
        ((*DAY, "--machine", "m5.xlarg"), "Did you mean m5.xlarge"),
        ((*DAY, "--headroom", "1.5"), "--headroom"),
        (("nowhere", *DAY), "nowhere"),
    ],
)
def test_nonsense_is_one_message_and_exit_code_2(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Nothing is planned."""
    capsys.readouterr()
    assert plan(world, *words) == 2
    out, err = capsys.readouterr()
    assert (out, message in err) == ("", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when\n1\n", "no column seconds"),
        ("seconds\none\n", "expected a number in column seconds, got 'one'"),
        ("seconds,requests\n0,1\n", "two rows or more"),
        ("", "no column seconds"),
    ],
)
def test_a_bad_trace_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    """With the line where there is one."""
    trace = tmp_path / "trace.csv"
    trace.write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert plan(world, "--arrivals", str(trace)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "trace.csv" in err


def test_a_run_without_its_samples_is_not_called_too_slow(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy is to bring the samples."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for record in Store(world.store).run("latest").path.glob("*.json"):
        shutil.copy(record, copy)
    capsys.readouterr()
    assert plan(world, str(copy), *DAY) == 2
    message = capsys.readouterr().err
    assert "its raw samples are missing or were changed" in message
    assert "Copy the run with its files of samples" in message
