import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import World

from harness.catalog import load_catalog
from harness.cli.app import call
from harness.cli.context import CliContext
from harness.records.plan import PROFILES
from harness.workload.tasks import TASKS


def completions(
    words: str, context: CliContext, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return what bash is offered for the last word of a command line."""
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit):
        call([], context)
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("bench ro", ["roofline"]),
        ("bench run --profile ", list(PROFILES)),
        ("bench run --task b", ["boolq"]),
        ("bench run --task boolq,", [f"boolq,{name}" for name in (*TASKS, "custom") if name != "boolq"]),
        ("bench run --variants onnx-fp32,native", ["onnx-fp32,native-int8"]),
        ("bench run --variants al", ["all"]),
        ("bench predict --variant onnx-f", ["onnx-fp32", "onnx-fused"]),
        ("bench ladder --ladder paper", ["paper", "paper-gpu"]),
        ("bench ladder --shapes paper", ["paper", "paper-gpu"]),
        ("bench run --scenario batch,off", ["batch,offline"]),
        ("bench run --model shape:4L-312-9", ["shape:4L-312-9h-900"]),
        ("bench run --meter nvml", ["nvml", "nvml-power"]),
        ("bench report --format mark", ["markdown"]),
        ("bench track --format j", ["json"]),
        ("bench report --tables cost,swe", ["cost,sweep"]),
        ("bench run --quality ", ["full", "sample"]),
        ("bench export native", ["native-int8"]),
        ("bench run --variants nothing", []),
    ],
)
def test_a_shell_is_offered_the_names_that_an_option_takes(
    words: str,
    offered: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a list the last name only, and none twice."""
    world = World(tmp_path)
    world.catalog = load_catalog()
    assert completions(words, world.context(), capsys, monkeypatch) == offered


def test_runs_are_completed_from_the_store_the_newest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of BENCH_STORE or of --store; --resume takes those with a journal."""
    world = World(tmp_path)
    for root, names in ((world.store, ("20260101-a", "20260102-b")), (tmp_path / "other", ("20250101-c",))):
        for name in names:
            (root / "runs" / name).mkdir(parents=True)
    (world.store / "runs" / "20260101-a" / "journal").mkdir()
    context = world.context()
    assert completions("bench report 2", context, capsys, monkeypatch) == ["20260102-b", "20260101-a"]
    assert completions("bench compare l", context, capsys, monkeypatch) == ["latest"]
    assert completions("bench gate --run 202601", context, capsys, monkeypatch) == [
        "20260102-b",
        "20260101-a",
    ]
    assert completions("bench run --resume 2", context, capsys, monkeypatch) == ["20260101-a"]
    other = f"bench verify --store {tmp_path / 'other'} 2"
    assert completions(other, context, capsys, monkeypatch) == ["20250101-c"]


def test_completion_loads_nothing_heavy(tmp_path: Path) -> None:
    """A shell waits for it at each press of the key."""
    program = (
        "import sys, json\n"
        "from harness.cli.app import call\n"
        "from harness.cli.context import CliContext\n"
        "try:\n    call([], CliContext())\n"
        "except SystemExit:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "_BENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": "bench run --variants onnx-fp3",
            "COMP_CWORD": "3",
        },
    )
    assert done.stdout.split() == ["onnx-fp32"]
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert not loaded & {"torch", "transformers", "onnxruntime", "pandas", "matplotlib", "scipy"}


def test_help_shows_how_completion_is_installed_and_how_a_traceback_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--debug` is in the help of every command."""
    assert call(["--help"], CliContext()) == 0
    out = capsys.readouterr().out
    assert "--install-completion" in out
    assert "--debug" in out
    assert call(["cache", "list", "--help"], CliContext()) == 0
    assert "--debug" in capsys.readouterr().out
