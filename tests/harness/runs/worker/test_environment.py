"""Environment variables of a rung: which are refused, and that the process really has the others."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from worlds import World

from harness.cli.app import call
from harness.common.errors import MeasurementError, UsageError
from harness.runs.worker.environment import check, in_force
from harness.runs.worker.messages import HelloRequest
from harness.runs.worker.process import ProcessWorker
from harness.testing.world import altered

TUNED = "GLIBC_TUNABLES"
HUGE = "glibc.malloc.hugetlb=1"
LADDER = f"""
name: mine
rungs:
  - {{name: plain, engine: onnx-int8}}
  - {{name: pages, like: plain, environment: {{{TUNED}: {HUGE}}}}}
"""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OMP_NUM_THREADS": "4"}, "OMP_NUM_THREADS is set by the harness"),
        ({"CUDA_VISIBLE_DEVICES": "0"}, "CUDA_VISIBLE_DEVICES is set by the harness"),
        ({"LD_PRELOAD": "libjemalloc.so.2"}, "LD_PRELOAD names libjemalloc.so.2, which does not exist"),
        ({"LD_PRELOAD": "/nowhere/lib.so"}, "names /nowhere/lib.so, which does not exist"),
    ],
)
def test_what_would_measure_something_else_is_refused(variables: dict[str, str], message: str) -> None:
    """The loader goes on without a library that it does not find."""
    with pytest.raises(UsageError, match=message):
        check(variables, "rung 'a'")


def test_other_variables_and_libraries_that_are_there_are_allowed(tmp_path: Path) -> None:
    """Two libraries, parted by a colon."""
    for name in ("a.so", "b.so"):
        (tmp_path / name).touch()
    check({TUNED: HUGE, "LD_PRELOAD": f"{tmp_path}/a.so:{tmp_path}/b.so"}, "rung 'a'")


def test_a_process_says_what_it_was_started_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By what it finds, not by what it was told."""
    library = tmp_path / "lib.so"
    maps = tmp_path / "maps"
    variables = {TUNED: HUGE, "LD_PRELOAD": str(library)}
    with pytest.raises(MeasurementError, match="started without GLIBC_TUNABLES, LD_PRELOAD"):
        in_force(variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    maps.write_text("7f00-7f10 r--p 00000000 00:00 0 /usr/lib/libc.so.6\n")
    with pytest.raises(MeasurementError, match=r"lib\.so was not loaded"):
        in_force(variables, maps)
    maps.write_text(f"7f00-7f10 r--p 00000000 00:00 0 {library}\n")
    assert in_force(variables, maps) == {TUNED: HUGE, "LD_PRELOAD": "lib.so"}


def test_a_worker_is_started_with_them() -> None:
    """A real process: what the kernel says of its environment."""
    worker = ProcessWorker([], 1, patience_s=60, variables={TUNED: HUGE})
    worker.send(HelloRequest(2))
    found = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
    worker.end()
    assert f"{TUNED}={HUGE}".encode() in found
    assert TUNED not in os.environ


def test_a_rung_is_measured_in_its_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its workers are started with it; the table has a column, the record what was found in the process."""
    world = World(tmp_path)
    asked: list[Mapping[str, str]] = []
    launch = world.machine.launch

    def started(cpus: Sequence[int], threads: int, side: Any = None, variables: Any = None) -> Any:
        if variables:
            asked.append(variables)
        for name, value in (variables or {}).items():
            monkeypatch.setenv(name, value)
        return launch(cpus, threads, side, variables)

    world.machine = altered(world.machine, launch=started)
    path = tmp_path / "mine.yaml"
    path.write_text(LADDER)
    words = ["ladder", "-q", "--ladder", str(path), "--profile", "quick", "-n", "12"]
    assert call(words, world.context()) == 0
    assert asked
    assert all(each == {TUNED: HUGE} for each in asked)
    assert "environment" in capsys.readouterr().out


def test_a_ladder_with_a_library_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is prepared: exit code 2, one message that names the rung."""
    world = World(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(LADDER.replace(TUNED, "LD_PRELOAD"))
    assert call(["ladder", "--ladder", str(path)], world.context()) == 2
    assert "rung 'pages': LD_PRELOAD names" in capsys.readouterr().err
