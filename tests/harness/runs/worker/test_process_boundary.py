import json
import os
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from worlds import Heard, World, boolq_folder

from harness.common.errors import BenchError, MeasurementError, UsageError
from harness.common.procfs import TreeCpuTime
from harness.records.plan import DataPlan
from harness.records.store import Store
from harness.runs.execution.run import Run, execute, start
from harness.runs.planning.options import RunOptions
from harness.runs.planning.sampling import units_of
from harness.runs.worker.messages import OpenRequest, VisitRequest
from harness.runs.worker.process import ProcessWorker
from harness.runs.worker.process_boundary import CHUNK, Files, Instruments, split_rows
from harness.runs.worker.process_command import Program, ProgramStart, split_command
from harness.systems.interface import Artifact, Placement, Settings
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.workload import synthetic
from harness.workload.data import Data, load_split
from harness.workload.tasks import get_task

HEAD = """
import json, os, pathlib, subprocess, sys, time
data, output = map(pathlib.Path, sys.argv[1:3])
source, = data.glob("*/*.jsonl")
rows = [json.loads(line) for line in source.read_text().splitlines()]
answers = output / f"{source.parent.name}.jsonl"
"""
BOOLQ = (
    HEAD
    + """
answers.write_text("".join(json.dumps({"idx": r["idx"], "label": "true"}) + "\\n" for r in rows))
"""
)
RECORD = (
    HEAD
    + """
said = [{"idx": q["idx"], "label": ""} for r in rows for q in r["qas"]]
answers.write_text("".join(json.dumps(row) + "\\n" for row in said))
"""
)


def script(folder: Path, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "mine.py"
    file.write_text(body)
    return file


def files(
    tmp_path: Path, body: str, *, task: str = "boolq", rows: int = 10, patience_s: float = 60.0
) -> Files:
    """Return a program that is asked a few rows of the embedded sample."""
    asked = get_task(task)
    path = tmp_path / "data" / asked.folder / "val.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in synthetic.rows(task, "val", rows)))
    split = load_split(asked, Data("local", tmp_path / "data"), "val")
    command = (sys.executable, str(script(tmp_path, body)), "{data}", "{output}")
    clock = FakeClock(step_ns=10)
    tools = Instruments(clock, TreeCpuTime(), None)
    return Files(split_rows(split, tmp_path / "data"), Program(command, patience_s=patience_s), tools)


def started(world: World, program: Path, heard: Heard | None = None, **options: Any) -> Run:
    """Prepare a run of the fake variant `command`, whose program is real."""
    command = f"{sys.executable} {program} {{data}} {{output}}"
    asked = {"rounds": 3, "sample": 64, "variants": ("command",), **options}
    wanted = RunOptions("boolq", boolq_folder(world.root), boundary="process", command=command, **asked)
    return start(wanted, world.catalog, Store(world.store), world.cache, world.machine, heard or Heard())


def world_of(tmp_path: Path) -> World:
    return World(tmp_path, FakeVariant("command", FakeClock(step_ns=10), 1))


def test_a_program_answers_a_whole_run_from_file_to_file(tmp_path: Path) -> None:
    """Three starts over slices of the 64 sampled rows, the rest of the 100 untimed; 66 of them are true."""
    (record,) = execute(started(world_of(tmp_path), script(tmp_path, BOOLQ)))
    assert (record.status, record.failure) == ("complete", None)
    assert (record.cell.boundary, record.cell.scenario) == ("process", "offline")
    assert [turn.requests for turn in record.rounds] == [32, 32, 32]
    assert record.quality is not None
    assert record.quality.metrics["accuracy"].value == 0.66
    assert (record.quality.timed, record.quality.untimed) == (64, 36)
    assert (record.start, record.latency) == (None, {})
    # the clock of the fake world moves 10 ns at each look: one call, one look at either end
    assert {turn.wall_ns for turn in record.rounds} == {10}
    assert record.memory is not None
    assert record.memory.peak_bytes > 2**20
    assert record.placement is not None
    assert record.placement.effective["engine"] == "program, files to files"


def test_the_program_sees_only_the_rows_it_is_asked_and_no_label(tmp_path: Path) -> None:
    """In the order of the split, as the official test files are."""
    seen = tmp_path / "seen.jsonl"
    asked = files(tmp_path, BOOLQ + f"open({str(seen)!r}, 'w').write(source.read_text())")
    assert asked.visit([7, 2]).answers == ["true", "true"]
    rows = [json.loads(line) for line in seen.read_text().splitlines()]
    assert [row["idx"] for row in rows] == [2, 7]
    assert all(set(row) == {"idx", "question", "passage"} for row in rows)


@pytest.mark.parametrize("task", ["multirc", "record"])
def test_labels_of_grouped_tasks_are_hidden_too(tmp_path: Path, task: str) -> None:
    """MultiRC's answers keep their texts without labels; ReCoRD's queries lose their answers."""
    asked = files(tmp_path, "", task=task)
    text = json.dumps(asked.split_rows.rows)
    assert '"label"' not in text
    assert ('"answers"' in text) == (task == "multirc")


def test_answers_come_back_in_the_order_in_which_they_were_asked(tmp_path: Path) -> None:
    """The file's order is the split's: row 7 says true, row 2 false."""
    body = BOOLQ.replace('"label": "true"', '"label": "true" if r["idx"] > 5 else "false"')
    assert files(tmp_path, body).visit([7, 2]).answers == ["true", "false"]


def test_no_folder_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither after answers nor after a failure."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    files(tmp_path / "a", BOOLQ).visit([0])
    with pytest.raises(MeasurementError):
        files(tmp_path / "b", "sys").visit([0])
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "message", "stderr"),
    [
        ("import sys; sys.exit('no model')", "it ended with exit code 1", "no model"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with signal 9", "nothing on stderr"),
        ("pass", "BoolQ.jsonl: there is no such file", "nothing on stderr"),
        (HEAD + "answers.write_text('')", "BoolQ.jsonl: the file has no rows", "nothing on stderr"),
        (HEAD + "answers.write_text('hello')", "BoolQ.jsonl:1: not JSON", "nothing on stderr"),
        (
            BOOLQ.replace("for r in rows", "for r in rows[1:]") + "print('skipped', file=sys.stderr)",
            "1 of 3 examples have no answer, first idx 0",
            "skipped",
        ),
        (BOOLQ.replace("for r in rows", "for r in rows * 2"), "BoolQ.jsonl:4: idx 0 is answered twice", ""),
        (BOOLQ.replace('r["idx"]', 'r["idx"] + 50'), "BoolQ.jsonl:1: no example has idx 50", ""),
        (
            BOOLQ.replace('"true"', "True"),
            "BoolQ.jsonl:1: the label must be one of false, true, got true",
            "",
        ),
    ],
)
def test_a_program_that_misbehaves_is_reported_with_its_stderr(
    tmp_path: Path, body: str, message: str, stderr: str
) -> None:
    """And without the path of a folder that is gone."""
    with pytest.raises(MeasurementError) as caught:
        files(tmp_path, body).visit([0, 1, 2])
    assert message in caught.value.message
    assert stderr in str(caught.value.remedy)
    assert "bench-" not in str(caught.value)


def test_a_program_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    """A file that may not be executed."""
    asked = files(tmp_path, "")
    asked.program = Program((str(script(tmp_path, "")), "{data}"))
    with pytest.raises(MeasurementError, match="cannot be started: Permission denied"):
        asked.visit([0])


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Its child too."""
    pids = tmp_path / "pids"
    body = (
        HEAD
        + "child = subprocess.Popen(['sleep', '60'])\n"
        + f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        + "time.sleep(60)\n"
    )
    with pytest.raises(MeasurementError, match=r"did not end within 3 s"):
        files(tmp_path, body, patience_s=3).visit([0])
    assert not any(alive(int(pid)) for pid in pids.read_text().split())


def test_endless_stderr_of_a_program_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what it writes only the end is kept, which the error quotes."""
    monkeypatch.setattr("harness.runs.worker.process_command.WATCH_S", 0.02)
    monkeypatch.setattr("harness.runs.worker.process_command.ERRORS_BYTES", 100_000)
    body = (
        "import sys, time\n"
        "for number in range(100): sys.stderr.write('y' * 100_000); sys.stderr.flush(); time.sleep(0.01)\n"
        "sys.exit('\\nno model')"
    )
    with tempfile.TemporaryFile() as errors:
        start = ProgramStart((sys.executable, "-c", body), tmp_path, errors)
        with pytest.raises(MeasurementError, match="exit code 1") as caught:
            Program(start.arguments, patience_s=60).run(start)
        assert os.fstat(errors.fileno()).st_size < 5_000_000
    assert str(caught.value.remedy).endswith("| no model")


def alive(pid: int) -> bool:
    """Whether a process is there and runs, a moment being given to one that has just been killed."""
    for _ in range(50):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(0.1)
    return True


def test_the_cpu_time_of_a_program_that_is_gone_is_counted(tmp_path: Path) -> None:
    """Half a second of work is, though nothing of it is left when the clock is read; waiting is none."""
    busy = BOOLQ + "end = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    assert files(tmp_path, busy).visit([0]).cpu_ns > 500_000_000


def test_a_cell_whose_program_fails_leaves_the_others_to_go_on(tmp_path: Path) -> None:
    """The record has the program's last words."""
    world = world_of(tmp_path)
    heard = Heard()
    (record,) = execute(started(world, script(tmp_path, "import sys; sys.exit('no model')"), heard))
    assert (record.status, record.rounds) == ("failed", ())
    assert record.failure is not None
    assert "exit code 1" in record.failure.message
    assert record.failure.remedy == "Its stderr ends: no model"
    assert heard.warnings != []


def test_the_sample_is_of_whole_rows(tmp_path: Path) -> None:
    """Ten passages of ReCoRD: every slice holds all queries of its passages, and all are covered once."""
    world = world_of(tmp_path)
    path = tmp_path / "data" / "ReCoRD" / "val.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in synthetic.rows("record", "val", 10)))
    command = f"{sys.executable} {script(tmp_path, RECORD)}"
    wanted = RunOptions(
        "record",
        tmp_path / "data",
        boundary="process",
        command=command,
        rounds=3,
        sample=8,
        variants=("command",),
    )
    run = start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())
    (record,) = execute(run)
    assert record.status == "complete"
    assert record.quality is not None
    assert record.quality.timed + record.quality.untimed == record.data.examples
    assert record.quality.metrics["f1"].value == 0


def test_units_are_clusters_only_where_examples_are_drawn_together() -> None:
    """An example without a cluster stands alone."""
    clusters = ["a", "b", "", "a", ""]
    assert units_of(clusters, together=True) == [[0, 3], [1], [2], [4]]
    assert units_of(clusters, together=False) == [[0], [1], [2], [3], [4]]


def test_the_untimed_pass_is_cut_between_rows(tmp_path: Path) -> None:
    """Parts of at least `CHUNK` examples, ended by a row; together they are everything."""
    rows = files(tmp_path, "", task="multirc", rows=120).split_rows
    everything = list(range(len(rows.row_of)))
    parts = rows.chunks(everything)
    assert [index for part in parts for index in part] == everything
    assert all(len(part) >= CHUNK for part in parts[:-1])
    ends = [(rows.row_of[one[-1]], rows.row_of[other[0]]) for one, other in pairwise(parts)]
    assert all(before < after for before, after in ends)
    assert len(parts) > 1
    assert rows.whole([parts[0][0]]) == [index for index in everything if rows.row_of[index] == 0]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("./mine --in {data} --out={output}/", ["./mine", "--in", "{data}", "--out={output}/"]),
        ("./mine 'a b'", ["./mine", "a b", "{data}", "{output}"]),
    ],
)
def test_folders_are_named_anywhere_or_appended(command: str, words: list[str]) -> None:
    """No shell reads the command."""
    assert split_command(command) == words
    placed = Program(tuple(words)).arguments(Path("/d"), Path("/o"))
    assert "/d" in placed
    assert any(word.endswith(("/o", "/o/")) for word in placed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scenarios": ("single-stream",)}, "which is scenario offline"),
        ({"command": "./mine {data}"}, "got {data} alone"),
        ({"command": "'open"}, "cannot be split"),
        ({"boundary": "encoded"}, "boundary text or process only"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    """With exit code 2."""
    world = world_of(tmp_path)
    asked: dict[str, Any] = {"boundary": "process", "command": "./mine", "variants": ("command",), **options}
    wanted = RunOptions("boolq", boolq_folder(tmp_path), **asked)
    with pytest.raises(BenchError) as caught:
        start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())
    assert words in str(caught.value)
    assert isinstance(caught.value, UsageError)


def test_a_worker_adopts_what_cuts_itself_loose(tmp_path: Path) -> None:
    """What a child leaves in a session of its own is ended before the next system's turn."""
    loose = tmp_path / "pid"
    leave = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(child.pid, file=open(sys.argv[1], 'w'))\n"
    )
    body = BOOLQ + f"subprocess.run([sys.executable, '-c', {leave!r}, {str(loose)!r}], check=True)\n"
    data = boolq_folder(tmp_path, rows=4)
    split = load_split(get_task("boolq"), Data("local", data), "val")
    worker = ProcessWorker(sorted(os.sched_getaffinity(0))[:1], 1)
    try:
        worker.send(
            OpenRequest(
                task="boolq",
                variant="command",
                scenario="offline",
                boundary="process",
                data=DataPlan(tier="local", folder=str(data), split="val", fingerprint=split.fingerprint),
                artifact=Artifact(tmp_path, "k", {}),
                settings=Settings(command=f"{sys.executable} {script(tmp_path, body)}"),
                placement=Placement("cpu", (0,), 1),
                meter=None,
                cache=str(tmp_path),
                sample=[0],
            )
        )
        assert worker.send(VisitRequest([0, 1], warmup=4)).answers == ["true", "true"]
        assert not alive(int(loose.read_text()))
    finally:
        worker.end()


def test_a_worker_that_is_killed_leaves_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever launched it removes them: they hold rows of the data."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    worker = ProcessWorker(sorted(os.sched_getaffinity(0))[:1], 1)
    (scratch,) = tmp_path.iterdir()
    (scratch / "rows").write_text("text")
    worker.end()
    assert list(tmp_path.iterdir()) == []
