"""`bench ladder`, `bench prepare` and `bench search`, as whole commands on a fake machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from worlds import World

from harness.cli.app import call
from harness.records.store import RunFolder, Store

LADDER = ("--ladder", "fake", "--profile", "quick", "-n", "12")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bench(world: World, *words: str) -> int:
    return call(words, world.context())


def test_a_ladder_is_measured_in_two_scenarios_and_printed_as_one_table(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Offline for the rungs' speed, single-stream for its percentiles; the report is the same again."""
    assert bench(world, "ladder", "-q", *LADDER) == 0
    out = capsys.readouterr().out
    for name in ("padded", "unpadded", "small", "USD"):
        assert name in out
    (run,) = (world.store / "runs").iterdir()
    records = [json.loads(path.read_text()) for path in run.glob("*.json")]
    assert len(records) == 6
    placed = {(r["cell"]["variant"], r["cell"]["threads"], r["cell"]["instances"]) for r in records}
    assert placed == {("padded", 2, 1), ("unpadded", 2, 1), ("small", 1, 2)}
    assert {r["cell"]["scenario"] for r in records} == {"offline", "single-stream"}
    assert len({r["cell"]["group"] for r in records}) == 2
    assert bench(world, "report") == 0
    tables, _, footer = out.partition("\nRecords: ")
    assert capsys.readouterr().out == tables + footer[footer.index("\nVerdicts\n") :]


def test_the_rungs_order_and_parameters_are_in_every_record(world: World) -> None:
    """So that the table can be made from records alone."""
    assert bench(world, "ladder", "-q", *LADDER) == 0
    (run,) = (world.store / "runs").iterdir()
    for path in run.glob("*.json"):
        ladder = json.loads(path.read_text())["configuration"]["ladder"]
        assert [(rung["name"], rung["over"]) for rung in ladder["rungs"]] == [
            ("padded", ""),
            ("unpadded", "padded"),
            ("small", "padded"),
        ]


def test_launches_and_precision_are_asked_for_as_in_a_run(world: World) -> None:
    """Two launches of three rounds; what adds rounds is in the record."""
    assert bench(world, "ladder", "-q", *LADDER, "--launches", "2", "--precision", "50%") == 0
    (run,) = (world.store / "runs").iterdir()
    for path in run.glob("*.json"):
        record = json.loads(path.read_text())
        assert {one["launch"] for one in record["rounds"]} == {0, 1}
        assert len(record["rounds"]) == 6
        assert record["stop"]["asked"] == 0.5


def test_some_rungs_alone_can_be_measured(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Named by the user."""
    assert bench(world, "ladder", "-q", "--json", *LADDER, "--rungs", "padded,small") == 0
    assert "unpadded" not in capsys.readouterr().out


def test_prepare_prepares_and_measures_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time everything is in the cache."""
    assert bench(world, "prepare", "-q", "--ladder", "fake") == 0
    assert "padded: 0.0 MB, made now" in capsys.readouterr().out
    assert bench(world, "prepare", "-q", "--ladder", "fake", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["rung"], row["cached"]) for row in rows] == [
        ("padded", True),
        ("unpadded", True),
        ("small", True),
    ]
    assert not (world.store / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--ladder", "fastformer"), "unknown ladder 'fastformer'"),
        (("--ladder", "none.yaml"), "none.yaml: there is no such file"),
        (("--ladder", "fake", "--rungs", "smal"), "Did you mean small"),
        (("--ladder", "fake", "--set", "student=x"), "unknown parameter of the ladder 'student'"),
        (("--ladder", "fake", "--set", "student"), "NAME=VALUE"),
        (("--shapes", "papers"), "unknown set of shapes 'papers'"),
        (("--shapes", "paper", "--task", "rte"), "--shapes sets --task itself"),
        (("--ladder", "fake", "--boundary", "process"), "encoded or text"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Exit code 2, one message."""
    assert bench(world, "ladder", *words) == 2
    assert message in capsys.readouterr().err
    assert not (world.store / "runs").exists()


def test_more_instances_than_threads_are_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Each needs one at least."""
    path = world.root / "mine.yaml"
    path.write_text("name: mine\nrungs:\n- {name: many, engine: onnx-int8, instances: 3}\n")
    assert bench(world, "ladder", "--ladder", str(path)) == 2
    assert "3 instances on 2 threads" in capsys.readouterr().err


def test_search_chooses_on_a_part_of_train_and_reports_on_val(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """onnx-int8 answers more questions wrongly than the baseline, but within 100 points it is the fastest."""
    words = ("--ladder", "fake", "--profile", "quick", "-q")
    assert bench(world, "search", "--max-quality-loss", "100", "--json", *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["winner"] == "small"
    assert [each["name"] for each in found["tried"]] == ["unpadded", "small"]
    search, final = (world.store / "runs" / run for run in found["runs"])
    tried = [json.loads(path.read_text()) for path in search.glob("*.json")]
    told = [json.loads(path.read_text()) for path in final.glob("*.json")]
    assert {record["cell"]["variant"] for record in told} == {"padded", "small"}
    assert {record["data"]["fingerprint"] for record in tried}.isdisjoint(
        record["data"]["fingerprint"] for record in told
    )
    assert {record["cell"]["scenario"] for record in tried} == {"offline"}


def test_search_for_quality_takes_the_best_score(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """onnx-int8 is within 100 points and faster, but its answers are worse than those of the other one."""
    words = ("--ladder", "fake", "--profile", "quick", "-q", "--objective", "quality")
    assert bench(world, "search", "--max-quality-loss", "100", "--json", *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["winner"], found["objective"]) == ("unpadded", "quality")


def test_search_keeps_to_the_budget(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Every eighth answer wrong instead of every tenth: more than no point lost."""
    words = ("--ladder", "fake", "--profile", "quick", "-q")
    assert bench(world, "search", "--max-quality-loss", "0", *words) == 0
    out = capsys.readouterr().out
    assert "The winner is unpadded" in out
    assert "0 are allowed" in out


SEARCH = ("search", "--ladder", "fake", "--profile", "quick", "-q", "--max-quality-loss", "100")


def rounds_of(monkeypatch: pytest.MonkeyPatch, interrupted: int | None = None) -> list[str]:
    """Return a list of the runs whose rounds end from now on; Ctrl-C comes before the end of one of them."""
    runs: list[str] = []
    append = RunFolder.append

    def counted(folder: RunFolder, entry: Mapping[str, Any]) -> None:
        if entry["kind"] == "round":
            if len(runs) + 1 == interrupted:
                raise KeyboardInterrupt
            runs.append(folder.name)
        append(folder, entry)

    monkeypatch.setattr(RunFolder, "append", counted)
    return runs


def interrupt(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Interrupt a search in its round of this number."""
    with monkeypatch.context() as patched:
        rounds_of(patched, number)
        assert bench(world, *SEARCH) == 130


@pytest.mark.parametrize(
    ("number", "left"),
    [
        pytest.param(2, 2 + 6, id="in the search"),
        pytest.param(4, 6, id="before the final"),
        pytest.param(6, 4, id="in the final"),
    ],
)
def test_a_search_goes_on_where_it_was_interrupted(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, left: int
) -> None:
    """Of 3 rounds of the search and 6 of the final none is measured twice; each record names its stage."""
    interrupt(world, monkeypatch, number)
    assert "`bench search --resume 2" in capsys.readouterr().err
    if number == 4:  # a crash has left a folder without a plan
        (folder,) = (world.store / "runs").glob("*-final")
        (folder / "journal" / "plan.json").unlink()
    rounds = rounds_of(monkeypatch)
    assert bench(world, *SEARCH, "--json", "--resume", "latest") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["winner"] == "small"
    assert len(rounds) == left
    store = Store(world.store)
    records, _ = store.records(store.runs())
    stages = {record.run: record.configuration["stage"] for record in records}
    assert stages == {name: name.rpartition("-")[2] for name in found["runs"]}
    assert all(record.cell.scenario in record.configuration["scenarios"] for record in records)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seed", "1"), "the search was begun with another set of options"),
        (("--resume", "20260101-none-search"), "unknown search '20260101-none-search'"),
    ],
)
def test_a_search_goes_on_with_its_own_options_alone(
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    """Nothing is measured, and nothing is lost."""
    interrupt(world, monkeypatch, 4)
    capsys.readouterr()
    assert bench(world, *SEARCH, "--resume", "latest", *words) == 2
    assert message in capsys.readouterr().err
    assert bench(world, *SEARCH, "--resume", "latest") == 0


def test_a_search_that_is_not_there_cannot_go_on(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The remedy is to begin one."""
    assert bench(world, *SEARCH, "--resume", "latest") == 2
    assert "the store holds no search" in capsys.readouterr().err
