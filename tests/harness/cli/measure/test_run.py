import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.cli.interruption import INTERRUPTION
from harness.common.errors import CheckpointError, MeasurementError, StoreError
from harness.records.record import Host
from harness.systems.artifact_cache import ArtifactCache
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.testing.world import FakeMachine, altered
from harness.workload.tasks import TASKS


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bench(world: World, *words: str) -> int:
    return call(words, world.context())


def test_a_run_prints_the_table_and_where_the_records_are(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Progress goes to stderr, the table to stdout."""
    assert bench(world, "run", "--data", str(boolq_folder(world.root))) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "check data and model ...",
        "prepare ...",
        "load and warm up ...",
        "read the idle power ...",
        "measure ...",
        "read the idle power ...",
        "answer the rest, untimed ...",
        "compute the records ...",
    ]
    assert out.startswith(
        "boolq on cpu, single-stream, encoded, 2 threads, batch 1, at most 256 tokens, within one process\n"
    )
    _, footer, verdict = out.rpartition(
        f"Records: {world.store}/runs/20260101-120000-boolq-0001\n"
        "The table again: bench report 20260101-120000-boolq-0001\n"
        "For a pull request: bench report 20260101-120000-boolq-0001 --format markdown\n"
    )
    assert footer
    assert verdict.startswith("\nVerdict\nonnx-int8 is the fastest, ")


def test_the_quick_profile_scores_the_timed_sample_and_the_report_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 100 examples 40 are timed, and scored; `--quality full` answers the rest."""
    words = ("run", "--data", str(boolq_folder(world.root)), "--profile", "quick", "-n", "40")
    remark = "Quality is scored on the 40 timed examples of 100; its interval is wider"
    assert bench(world, *words) == 0
    out = capsys.readouterr().out
    assert remark in " ".join(out.split())
    assert "from 40 timed and 0 untimed answers" in " ".join(out.split())
    assert bench(world, "report", "--format", "markdown") == 0
    assert remark in capsys.readouterr().out
    assert bench(world, *words, "--quality", "full", "--store", str(world.root / "full")) == 0
    out = capsys.readouterr().out
    assert remark not in " ".join(out.split())
    assert "from 40 timed and 60 untimed answers" in " ".join(out.split())


def test_the_report_is_the_same_table_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """From the records alone."""
    bench(world, "run", "--data", str(boolq_folder(world.root)))
    tables, _, verdict = capsys.readouterr().out.partition("\nRecords: ")
    assert bench(world, "report") == 0
    again = capsys.readouterr().out
    assert again.startswith(tables)
    assert again.removeprefix(tables) == verdict[verdict.index("\nVerdict") :]


def test_json_is_all_there_is_on_stdout(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """`speedup` and `energy_reduction` are numbers with intervals.

    Each token takes 1,000 ns in pytorch-dynamic and 200 ns in onnx-int8; a look at the clock adds 20 ns a
    request, so the ratio is just below 5. At one power, energy is time.
    """
    assert bench(world, "run", "--json", "--quiet", "--data", str(boolq_folder(world.root))) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = {row["variant"]: row for row in json.loads(out)["rows"]}
    speedup = rows["onnx-int8"]["speedup"]["over"]["pytorch-dynamic"]
    assert speedup["value"] == pytest.approx(5, rel=0.01)
    assert speedup["low"] <= speedup["value"] <= speedup["high"]
    reduction = rows["onnx-int8"]["energy_reduction"]["over"]["pytorch-dynamic"]
    assert reduction["value"] == pytest.approx(5, rel=0.01)


def test_markdown_for_a_pull_request_is_written_where_asked(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--output` names a file; nothing is printed."""
    bench(world, "run", "--data", str(boolq_folder(world.root)))
    capsys.readouterr()
    file = world.root / "table.md"
    assert bench(world, "report", "--format", "markdown", "--output", str(file)) == 0
    assert capsys.readouterr().out == ""
    assert "| variant" in file.read_text()


def test_without_a_meter_energy_is_unavailable_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never a silent zero."""
    world = World(tmp_path, watts=None)
    assert bench(world, "run", "--json", "--quiet", "--data", str(boolq_folder(tmp_path))) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all("unavailable" in row["joules_per_request"] for row in rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "bolq"], "bench: unknown task 'bolq'.\nDid you mean boolq?\n"),
        (
            ["--variants", "onnx-int88"],
            "bench: unknown variant 'onnx-int88'.\nDid you mean onnx-int8 or onnx-fp32?\n",
        ),
        (["--scenario", "online"], "bench: unknown scenario 'online'.\nDid you mean offline?\n"),
        (["--quality", "fulll"], "'fulll' is not one of 'full', 'sample'"),
        (["--boundary", "txt"], "'txt' is not one of 'encoded', 'text'"),
        (["--data", "nowhere"], "bench: nowhere: there is no such folder.\n--data names a folder"),
        (
            ["--threads", "9"],
            "bench: --threads 9 is out of range.\nIt is at least 1; this process may use 2 CPUs",
        ),
        (["--resume", "latest"], "no unfinished run in the store."),
    ],
)
def test_bad_input_is_one_message_with_a_remedy_and_exit_code_2(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """No traceback, nothing on stdout."""
    assert bench(world, "run", "--quiet", *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_the_option_parser_exits_with_2_as_well(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option, a word in place of a number."""
    assert bench(world, "run", "--thread", "1") == 2
    assert "No such option: --thread" in capsys.readouterr().err
    assert bench(world, "run", "--threads", "two") == 2
    assert "Invalid value for '--threads'" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is prepared."""
    from harness.measurement.machine.devices import check_device

    world.machine = altered(world.machine, check_device=lambda name: check_device(name, gpus=lambda: 1))
    assert bench(world, "run", "--device", "cuda:1") == 2
    assert "cuda:1 is not available: this machine has 1 NVIDIA GPU(s)" in capsys.readouterr().err


def test_a_bad_row_is_named_before_the_clock_starts(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """File, line and remedy."""
    data = boolq_folder(world.root)
    file = data / "BoolQ" / "val.jsonl"
    file.write_text(file.read_text()[:-5])
    assert bench(world, "run", "--quiet", "--data", str(data)) == 2
    assert f"{file}:100: not JSON" in capsys.readouterr().err
    assert not world.store.exists()


def failing(world: World, error: Exception, breaks: str) -> None:
    variant = FakeVariant("bad", world.clock, 1, breaks=breaks, error=error)  # type: ignore[arg-type]
    world.catalog = replace(world.catalog, variants={**world.catalog.variants, "bad": variant})
    world.machine = FakeMachine(world.catalog, world.clock)


def test_a_failed_cell_exits_with_5_and_keeps_the_rest(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table names the failure; the record holds it."""
    failing(world, MeasurementError("out of memory"), "predict")
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "--quiet", "--data", data, "--variants", "pytorch-fixed,bad") == 5
    assert "out of memory" in capsys.readouterr().out
    assert len(list((world.store / "runs").glob("*/*.json"))) == 2


def test_a_run_in_which_every_cell_failed_exits_with_4(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing usable was measured."""
    failing(world, MeasurementError("out of memory"), "load")
    assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root)), "--variants", "bad") == 4
    assert "out of memory" in capsys.readouterr().out


def test_a_checkpoint_of_another_task_exits_with_2(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """And stores nothing."""
    failing(world, CheckpointError("its labels are a, b.", where="m", remedy="Train it."), "prepare")
    assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root)), "--variants", "bad") == 2
    assert capsys.readouterr().err == "bench: m: its labels are a, b.\nTrain it.\n"
    assert list((world.store / "runs").iterdir()) == []


def test_a_store_that_cannot_be_written_exits_with_4(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the remedy; a file in place of the folder stands for a read-only disk, for any user."""
    world.store.write_text("")
    assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root))) == 4
    assert "Choose another store with --store or BENCH_STORE" in capsys.readouterr().err


def test_ctrl_c_keeps_every_finished_round_and_says_how_to_go_on(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130; `--resume` finishes the run."""
    from harness.runs.execution import group

    visit = group.Group._visit
    seen: list[Any] = []

    def interrupted(self: Any, *words: Any) -> Any:
        seen.append(words)
        if len(seen) == 10:  # in the third round of four cells
            raise KeyboardInterrupt
        return visit(self, *words)

    monkeypatch.setattr(group.Group, "_visit", interrupted)
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "-q", "--data", data) == 130
    assert "interrupted; every finished round is kept." in capsys.readouterr().err
    assert bench(world, "run", "-q", "--resume", "latest") == 0
    out = capsys.readouterr().out
    assert "22 of 22" in out
    assert bench(world, "run", "-q", "--resume", "20260101-120000-boolq-0001") == 2
    assert "nothing to resume" in capsys.readouterr().err


def test_hostile_names_drive_no_terminal(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of a folder's name are shown, not sent."""
    assert bench(world, "run", "-q", "--data", "no\x1b[31mwhere") == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "no\\x1b[31mwhere" in err


def test_a_bug_of_ours_shows_its_traceback_only_under_debug(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and how to report it."""
    broken = altered(world.machine, host=lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    world.machine = broken
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "-q", "--data", data) == 1
    err = capsys.readouterr().err
    assert "a bug in bench: ZeroDivisionError" in err
    assert "Traceback" not in err
    with pytest.raises(ZeroDivisionError):
        bench(world, "run", "-q", "--data", data, "--debug")


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENAMETOOLONG, 2), (errno.EACCES, 2), (errno.ENOSPC, 4), (errno.EROFS, 4)]
)
def test_a_path_that_the_system_refuses_is_no_bug_of_ours(
    number: int, code: int, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it is used: the path and the system's reason, and under --debug the traceback."""

    def host() -> Host:
        raise OSError(number, os.strerror(number), "b" * 300)

    world.machine = altered(world.machine, host=host)
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "-q", "--data", data) == code
    err = capsys.readouterr().err
    assert err.startswith(f"bench: {'b' * 120}...: the ")
    assert f": {os.strerror(number)}.\n" in err
    with pytest.raises(OSError, match="b" * 300):
        bench(world, "run", "-q", "--data", data, "--debug")


def test_a_report_without_records_says_what_to_do(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty store, an unknown run, an unknown format."""
    assert bench(world, "report") == 2
    assert "the store holds no runs" in capsys.readouterr().err
    bench(world, "run", "-q", "--data", str(boolq_folder(world.root)))
    capsys.readouterr()
    assert bench(world, "report", "--format", "markdwn") == 2
    assert "Did you mean markdown" in capsys.readouterr().err


def test_a_corrupt_record_is_named_and_the_report_goes_on(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 5: partial."""
    bench(world, "run", "-q", "--data", str(boolq_folder(world.root)))
    run = next((world.store / "runs").iterdir())
    (run / "broken.json").write_text("{")
    capsys.readouterr()
    assert bench(world, "report") == 5
    out, err = capsys.readouterr()
    assert "broken.json: skipped: not a record" in err
    assert "onnx-int8" in out


def test_list_and_doctor_speak_to_people_and_to_machines(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be asked, who can answer, what reads energy."""
    assert bench(world, "list", "--long") == 0
    out = capsys.readouterr().out
    assert "  boolq *    yes/no question about a passage; accuracy" in out
    assert "  onnx-int8 *        a fake" in out
    assert bench(world, "list", "--json") == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)["tasks"]} == {*TASKS, "custom"}
    assert bench(world, "doctor") == 0
    assert "Energy on cpu: measured (meter: fake)" in capsys.readouterr().out
    assert bench(world, "doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["grade"] == "measured"


def test_a_program_from_outside_is_compared_at_boundary_text_only(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Across boundaries ratios are refused; the message says what to add."""
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "-q", "--data", data, "--system-command", "./mine") == 2
    assert "Add --boundary text" in capsys.readouterr().err


def test_a_program_stands_in_the_table_beside_ours(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Its command stays on this machine: the record knows its hash alone."""
    fake = FakeVariant("command", world.clock, 2000, wrong=10, labels_only=True)
    world.catalog = replace(world.catalog, variants={**world.catalog.variants, "command": fake})
    world.machine = FakeMachine(world.catalog, world.clock)
    data = str(boolq_folder(world.root))
    words = ["--boundary", "text", "--system-command", "/secret/mine --flag", "--json"]
    assert bench(world, "run", "-q", "--data", data, *words) == 0
    out = capsys.readouterr().out
    rows = {row["variant"]: row for row in json.loads(out)["rows"]}
    assert rows["command"]["speedup"]["over"]["pytorch-dynamic"]["value"] == pytest.approx(0.5, rel=0.01)
    assert rows["command"]["quality"] == rows["pytorch-dynamic"]["quality"]
    assert "secret" not in out
    assert not any("secret" in path.read_text() for path in (world.store / "runs").glob("*/*.json"))


@pytest.mark.parametrize(
    "words",
    [
        ("--task", ""),
        ("--task", " , "),
        ("--variants", ""),
        ("--variants", ","),
    ],
)
def test_an_option_that_names_nothing_is_refused(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    """It used to measure nothing and end with 0, or to measure the default."""
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "-q", "--data", data, *words) == 2
    assert f"{words[0]}: expected a name, got {words[1]!r}." in capsys.readouterr().err
    assert not world.store.exists()


def test_an_empty_name_is_no_run_to_resume(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """It used to begin another run."""
    assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root))) == 0
    assert bench(world, "run", "-q", "--resume", "") == 2
    assert "unknown run ''" in capsys.readouterr().err


def test_a_cache_that_takes_nothing_is_refused_before_a_worker_starts(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 2 and the remedy; nothing is stored. A file in place of the folder, and a full disk."""
    data = str(boolq_folder(world.root))
    world.machine = altered(world.machine, launch=None)  # type: ignore[arg-type]
    world.cache.write_text("")
    assert bench(world, "run", "-q", "--data", data) == 2
    assert "the cache cannot be written: File exists." in capsys.readouterr().err
    world.cache.unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=2**20))
    assert bench(world, "run", "-q", "--data", data) == 2
    err = capsys.readouterr().err
    assert "the cache cannot be written: No space left on device." in err
    assert "Set BENCH_CACHE to a writable folder with free space." in err
    assert list(world.store.glob("runs/*")) == []


def test_a_cache_that_fills_up_while_variants_are_prepared_stores_nothing(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same for every variant, so no record of failures is made."""

    def full(_cache: ArtifactCache, _key: str) -> None:
        raise StoreError("the cache cannot be written: No space left on device.", where="cache")

    monkeypatch.setattr(ArtifactCache, "writing", full)
    assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root))) == 2
    assert "cache: the cache cannot be written: No space left on device." in capsys.readouterr().err
    assert list(world.store.glob("runs/*")) == []


def test_an_error_of_a_library_names_the_system_the_step_and_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never class and text alone; the record has the same words."""
    clock = FakeClock(step_ns=10)
    problem: Any = RuntimeError("size mismatch\n\tfor layer 3.")
    world = World(tmp_path, FakeVariant("odd", clock, 1, breaks="predict", error=problem))
    words = ("--variants", "pytorch-fixed,odd", "--data", str(boolq_folder(world.root)))
    assert bench(world, "run", *words) == 5
    message = "warming up odd failed: RuntimeError: size mismatch for layer 3."
    assert f"odd failed: {message}\nRun the command again with --debug" in capsys.readouterr().err
    (path,) = world.store.glob("runs/*/*odd*.json")
    assert json.loads(path.read_text())["failure"]["message"] == message


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_sigterm_and_sighup_end_a_run_as_ctrl_c_does(
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    """With how to go on, and an exit code of their own."""

    def interrupted(*_: object) -> None:
        INTERRUPTION._handle(number, None)

    monkeypatch.setattr(INTERRUPTION, "signal", None)
    monkeypatch.setattr("harness.runs.execution.group.Group._visit", interrupted)
    with INTERRUPTION.command():
        assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root))) == code
    err = capsys.readouterr().err
    assert "interrupted; every finished round is kept." in err
    assert "`bench run --resume 20260101-120000-boolq-0001` continues." in err


def test_sigterm_before_anything_is_stored_has_its_exit_code_too(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser makes 130 of every KeyboardInterrupt."""

    def interrupted(*_: object) -> None:
        INTERRUPTION._handle(signal.SIGTERM, None)

    monkeypatch.setattr(INTERRUPTION, "signal", None)
    monkeypatch.setattr("harness.runs.execution.multi_run.start", interrupted)
    with INTERRUPTION.command():
        assert bench(world, "run", "-q", "--data", str(boolq_folder(world.root))) == 143
    assert capsys.readouterr().err == "Interrupted.\n"
