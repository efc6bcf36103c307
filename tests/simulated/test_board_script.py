"""The prepared script for one GPU board (`devtools.board`), on simulated boards whose joules are known."""

import json
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from devtools.board import PIP, Outcome, Step, board_steps, run_command, run_steps
from simulation.boards import BoardWorld

from harness.catalog import Peaks
from harness.cli.app import call
from harness.records.record import Record
from harness.records.store import Store
from harness.testing.world import altered
from harness.workload.data.lengths import lengths_data
from optimized.ladders import LADDERS

PAPER_GPU = LADDERS["paper-gpu"]
ENGINES = sorted({rung["engine"] for rung in PAPER_GPU["rungs"] if "engine" in rung})


def peaks(device: str, shapes: list[list[int]]) -> dict[str, Any]:
    products = [{"precision": "bf16", "shape": shape, "per_second": 4e12} for shape in shapes]
    return {"device": device, "name": "A board", "products": products, "copy_bytes_per_second": 1e12}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Outcome]]:
    """Run the whole script on a simulated board; return its output and what became of its steps."""
    world = BoardWorld(tmp_path_factory.mktemp("board"), ENGINES, {"paper-gpu": PAPER_GPU})
    output = world.root / "output"
    output.mkdir()

    def run(step: Step, limit_s: float, log: Path) -> int:
        assert step.least_s <= limit_s <= step.most_s
        world.machine = altered(world.machine, suffix=lambda: step.name)
        with log.open("w") as file, redirect_stdout(file):
            return call(step.arguments, world.context())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.catalog.load_peaks", lambda: Peaks(peaks, peaks, peaks))
        few = partial(lengths_data, examples=64, train_rows=8)  # every worker reads all of them
        patch.setattr("harness.studies.untrained_shapes.lengths_data", few)
        steps = board_steps("cuda:0", output / "results")
        return output, run_steps(steps, output, 450, run, clock=lambda: 0.0)


def records(output: Path, step: str) -> list[Record]:
    """Return the records of the run of a step; its name ends with the step's."""
    store = Store(output / "results")
    return store.records([run for run in store.runs() if run.name.endswith(step)])[0]


def test_every_step_ends_well_and_its_command_is_kept(measured: tuple[Path, list[Outcome]]) -> None:
    """Within 450 of the 480 seconds, which leaves time for an interrupted command to end."""
    output, outcomes = measured
    names = ["doctor", "speed", "roofline", "joules", "verify"]
    assert [(outcome.name, outcome.code) for outcome in outcomes] == [(name, 0) for name in names]
    kept = json.loads((output / "steps.json").read_text())
    assert [step["command"].split()[1] for step in kept] == ["doctor", "ladder", "roofline", "run", "verify"]
    assert str(output) not in (output / "steps.json").read_text()


def test_all_rungs_of_the_papers_shapes_are_measured_in_three_rounds(
    measured: tuple[Path, list[Outcome]],
) -> None:
    """Packed, graphs, compiled and ONNX Runtime among them; each in both scenarios, without joules."""
    speed = records(measured[0], "speed")
    assert {record.cell.variant for record in speed} == {rung["name"] for rung in PAPER_GPU["rungs"]}
    assert {(record.cell.scenario, len(record.rounds)) for record in speed} == {
        ("offline", 3),
        ("single-stream", 3),
    }
    assert {record.energy.meter for record in speed} == {None}


def test_the_joules_of_the_board_are_the_known_ones(measured: tuple[Path, list[Outcome]]) -> None:
    """300 W, in windows of 20 s; the counter agrees with the integrated power."""
    for record in records(measured[0], "joules"):
        assert record.energy.check is not None
        assert record.energy.check["agreement"] == pytest.approx(1.0, rel=0.02)
        for item in record.rounds:
            (board,) = (reading for reading in item.readings if reading.zone == "gpu-0")
            assert board.microjoules is not None
            assert abs(board.microjoules - 300 * board.span_ns / 1e3) <= board.resolution_uj


def test_the_gap_to_the_boards_limit_is_printed(measured: tuple[Path, list[Outcome]]) -> None:
    """Two billion operations a token in 1 ms are half of a peak of 4e12."""
    lines = (measured[0] / "roofline.txt").read_text().splitlines()
    (packed,) = (line for line in lines if line.split()[:2] == ["bf16-packed", "offline"])
    assert "50.0%" in packed


def test_what_does_not_fit_into_the_time_is_left_out_with_the_reason(tmp_path: Path) -> None:
    """Each command takes 100 s here: after two of them 50 s are left, and the third needs 60."""
    now = 0.0

    def run(step: Step, limit_s: float, log: Path) -> int:
        nonlocal now
        del step, log
        now += min(100.0, limit_s)
        return 0

    steps = [Step(name, (name,), 60, 200) for name in ("a", "b", "c")] + [Step("d", ("d",), 20, 200)]
    outcomes = run_steps(steps, tmp_path, 250, run, clock=lambda: now)
    assert [(outcome.code, outcome.seconds) for outcome in outcomes] == [
        (0, 100),
        (0, 100),
        (None, 0),
        (0, 50),
    ]
    assert outcomes[2].reason == "left out: it takes 60 s or more, and 50 s were left"


def test_a_command_is_interrupted_at_its_limit_and_keeps_its_output(tmp_path: Path) -> None:
    """As Ctrl-C does; its own exit code is kept."""
    program = "trap 'echo saved; exit 130' INT; echo started; while :; do sleep 0.05; done"
    log = tmp_path / "log.txt"
    step = Step("wait", (), 0, 1, ("/bin/sh", "-c", program))
    assert run_command(step, 1.0, log) == 130  # time enough for a shell to start on a busy machine
    assert log.read_text().splitlines() == ["started", "saved"]


def test_a_wheel_that_was_brought_along_replaces_onnxruntime_first(tmp_path: Path) -> None:
    """Nothing is uninstalled where the wheel is missing."""
    with pytest.raises(SystemExit, match="holds no wheel of onnxruntime-gpu"):
        board_steps("cuda:0", tmp_path / "results", tmp_path)
    (tmp_path / "onnxruntime_gpu-1.30.0-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    first, second, *_ = board_steps("cuda:0", tmp_path / "results", tmp_path)
    assert (first.program, first.arguments) == (PIP, ("uninstall", "-y", "onnxruntime"))
    assert second.arguments[:2] == ("install", "--no-index")
