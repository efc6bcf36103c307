import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant

MINE = """
import json, pathlib, sys
data, output = map(pathlib.Path, sys.argv[1:3])
rows = [json.loads(line) for line in (data / "BoolQ" / "val.jsonl").open()]
said = [{"idx": row["idx"], "label": "true"} for row in rows]
(output / "BoolQ.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in said))
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a world whose `command` and `null` are prepared by fakes and run as real programs."""
    clock = FakeClock(step_ns=10)
    return World(tmp_path, FakeVariant("command", clock, 1), FakeVariant("null", clock, 1))


def bench(world: World, body: str, *words: str) -> int:
    (world.root / "mine.py").write_text(body)
    asked = ["run", "--data", str(boolq_folder(world.root)), "--boundary", "process", "--rounds", "3", "-q"]
    command = f"{sys.executable} {world.root / 'mine.py'} {{data}} {{output}}"
    return call([*asked, "--system-command", command, *words], world.context())


def test_a_program_and_a_variant_of_ours_stand_in_one_table(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both from file to file; the scenario is offline without being named."""
    assert bench(world, MINE, "--variants", "null", "-n", "32", "--quality", "sample") == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "boolq on cpu, offline, process, 2 threads, batch 1, at most 256 tokens, within one process\n"
    )
    assert [line.split()[0] for line in out.splitlines() if line.startswith(("null ", "command "))][:2] == [
        "null",
        "command",
    ]


def test_a_program_that_fails_leaves_a_partial_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 5; the other row is complete and the record says why this one is not."""
    words = ["--variants", "null", "-n", "32", "--quality", "sample", "--json"]
    assert bench(world, "raise SystemExit('no such model')", *words) == 5
    capsys.readouterr()
    records = [json.loads(path.read_text()) for path in world.store.glob("runs/*/*.json")]
    found = {record["cell"]["variant"]: record for record in records if "cell" in record}
    assert found["null"]["status"] == "complete"
    assert found["command"]["status"] == "failed"
    assert found["command"]["failure"]["remedy"] == "Its stderr ends: no such model"
    assert str(world.root) not in json.dumps(found["command"]["failure"])


def test_single_stream_is_refused_from_file_to_file(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A program is given all requests of a visit at once."""
    assert bench(world, MINE, "--variants", "command", "--scenario", "single-stream") == 2
    assert "which is scenario offline" in capsys.readouterr().err
    assert not world.store.exists()


def test_the_shared_tasks_protocol_measures_whole_programs_over_all_that_is_asked(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Boundary process unasked; each start answers all 40 examples; the scale and its PUE are named."""
    asked = ["run", "--data", str(boolq_folder(world.root)), "--rounds", "3", "-q", "--variants", "null"]
    words = ["--protocol", "sustainlp2020", "-n", "40", "--quality", "sample"]
    context = replace(world.context(), environ={"BENCH_STORE": str(world.store), "OVERRIDE_PUE": "1.25"})
    assert call([*asked, *words], context) == 0
    out = capsys.readouterr().out
    assert "SustaiNLP 2020 scale: energy of a whole process" in out
    assert "1.25 (PUE) / 3.6e6" in out.replace("\n", " ")
    (path,) = (path for path in world.store.glob("runs/*/*.json") if "null" in path.name)
    record = json.loads(path.read_text())
    assert record["cell"]["boundary"] == "process"
    assert [turn["requests"] for turn in record["rounds"]] == [40, 40, 40]
    assert record["configuration"]["protocol"] == {"name": "sustainlp2020", "pue": 1.25}


def test_the_shared_tasks_protocol_refuses_another_boundary(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its figure is of whole programs, so nothing else is measured under its name."""
    words = ["run", "--data", str(boolq_folder(world.root)), "--boundary", "text", "-q"]
    assert call([*words, "--protocol", "sustainlp2020"], world.context()) == 2
    assert "measures whole processes, got --boundary" in capsys.readouterr().err
    assert call(["run", "--protocol", "mlperf"], world.context()) == 2
    assert "mlperf" in capsys.readouterr().err
