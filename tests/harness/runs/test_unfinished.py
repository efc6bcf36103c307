import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from worlds import Heard, World, boolq_folder

from harness.cli.app import call
from harness.common.errors import UsageError
from harness.common.plugins import Plugin
from harness.records.facts import UNFINISHED, is_unfinished
from harness.records.store import RunFolder, Store
from harness.runs.execution.run import execute, resume, start
from harness.runs.planning.options import RunOptions
from harness.runs.unfinished import unfinished_records
from harness.testing.world import altered
from reports import FILES, FORMATS, formats
from reports.formats import UNMARKED


def interrupted(world: World, round_number: int = 4) -> RunFolder:
    """Interrupt a run of seven rounds at the begin of one of them."""

    class Impatient(Heard):
        def detail(self, text: str) -> None:
            if text.startswith(f"round {round_number}"):
                raise KeyboardInterrupt

    options = RunOptions("boolq", data=boolq_folder(world.root), rounds=7)
    run = start(options, world.catalog, Store(world.store), world.cache, world.machine, Heard())
    with pytest.raises(KeyboardInterrupt):
        execute(replace(run, narrator=Impatient()))
    if run.folder.held:
        run.folder.held.release()
    return Store(world.store).run(run.folder.name)


def report(world: World, *words: str) -> int:
    return call(["report", *words], world.context())


def test_finished_rounds_of_an_unfinished_run_become_records_that_are_marked(tmp_path: Path) -> None:
    """Three of seven; the figures of each are those that the whole run has of the same rounds."""
    world = World(tmp_path)
    folder = interrupted(world)
    records = unfinished_records(folder, world.machine)
    assert [(record.status, len(record.rounds)) for record in records] == [(UNFINISHED, 3)] * 4
    assert all(is_unfinished(record.status) for record in records)
    failure = records[0].failure
    assert failure is not None
    assert failure.message == "the run is not finished: 3 of 7 rounds are."
    finished = execute(resume(folder, world.cache, world.machine, Heard()))
    assert [record.rounds[:3] for record in finished] == [record.rounds for record in records]
    assert not any(is_unfinished(record.status) for record in finished)


def test_nothing_of_an_unfinished_run_is_written_by_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run can still be resumed."""
    world = World(tmp_path)
    folder = interrupted(world)
    before = sorted(path.name for path in folder.path.rglob("*"))
    assert report(world) == 0
    assert f"{folder.name} is not finished" in capsys.readouterr().err
    assert sorted(path.name for path in folder.path.rglob("*")) == before


@pytest.mark.parametrize("form", sorted({*FORMATS, *FILES} - set(UNMARKED)))
def test_every_format_marks_an_unfinished_run(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one word; what JUnit shows is a failure."""
    world = World(tmp_path)
    interrupted(world)
    if form == "parquet":
        pytest.importorskip("pyarrow")
    assert report(world, "--format", form, "--output", str(tmp_path / "out")) == 0
    assert b"nfinished" in (tmp_path / "out").read_bytes()
    assert "not finished" in capsys.readouterr().err


@pytest.mark.parametrize("form", UNMARKED)
def test_a_format_without_a_place_for_the_mark_is_refused(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tracker would take the figures for those of a finished run."""
    world = World(tmp_path)
    interrupted(world)
    assert report(world, "--format", form, "--output", str(tmp_path / "out")) == 2
    assert "has no place to mark it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("declares", "code"), [(True, 0), (False, 2)])
def test_the_format_of_a_plugin_must_declare_that_it_marks_an_unfinished_run(
    declares: bool,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether its text has the mark cannot be seen from outside."""
    module = "def report(figures, style):\n    return 'Unfinished' if figures.unfinished else ''\n"
    (tmp_path / "marking.py").write_text(module + "report.marks_unfinished = True\n" * declares)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "marking", raising=False)
    plugin = Plugin("report", "plain", "marking 1.0", EntryPoint("plain", "marking:report", "reports"))
    monkeypatch.setattr(formats, "usable", lambda *_: {"plain": plugin})
    world = World(tmp_path)
    interrupted(world)
    assert report(world, "--format", "plain") == code
    out, err = capsys.readouterr()
    assert ("Unfinished" in out) is declares
    assert ("the plug-in plain (report, from marking 1.0) does not mark such runs" in err) is not declares


@pytest.mark.parametrize(
    "words", [("gate", "--run"), ("gate", "--pin"), ("compare", "latest"), ("track", "--task")]
)
def test_no_command_compares_an_unfinished_run(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gate, compare and track read sealed records only."""
    world = World(tmp_path)
    folder = interrupted(world)
    (tmp_path / "bench.yaml").write_text("gate:\n  - {quantity: speedup, at_least: 1}\n")
    value = "boolq" if words[0] == "track" else folder.name
    code = call([*words, value], world.context())
    assert code not in (0, 3)
    assert "Traceback" not in capsys.readouterr().err


def test_a_report_on_all_runs_names_the_unfinished_ones_and_leaves_them_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a finished run."""
    world = World(tmp_path)
    folder = interrupted(world)
    execute(resume(folder, world.cache, world.machine, Heard()))
    other = World(tmp_path)
    other.machine = altered(other.machine, suffix=lambda: "0002")
    begun = interrupted(other)
    assert report(world, "all", "--json") == 0
    out, err = capsys.readouterr()
    assert {row["run"] for row in json.loads(out)["rows"]} == {folder.name}
    assert f"{begun.name} is not finished: `bench report {begun.name}` shows its rounds." in err


def test_a_run_without_a_finished_round_has_nothing_to_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the command that continues it."""
    world = World(tmp_path)
    folder = interrupted(world, 1)
    assert report(world) == 4
    assert f"`bench run --resume {folder.name}` continues it" in capsys.readouterr().err


def test_an_unfinished_run_of_another_machine_is_refused(tmp_path: Path) -> None:
    """A plan of an earlier version does not have the facts of its machine."""
    world = World(tmp_path)
    folder = interrupted(world)
    plan = folder.path / "journal" / "plan.json"
    fields = json.loads(plan.read_text())
    plan.write_text(json.dumps({**fields, "host": None}))
    other = world.machine.host().model_copy(update={"fingerprint": "c" * 64})
    with pytest.raises(UsageError, match="began on another machine"):
        unfinished_records(folder, altered(world.machine, host=lambda: other))
