"""Other operating systems, simulated: `sys.platform` is theirs, and what they lack is gone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from records import three_variants

from harness.common.platforms import why_not_here
from harness.records.store import RunFolder

NO_PROC = """
import os, sys
def refuse(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(("/proc", "/sys")):
        raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))
sys.addaudithook(refuse)
del os.sched_getaffinity, os.sched_setaffinity
"""

MACOS = f"""{NO_PROC}
import psutil, sysconfig
sysconfig.get_config_vars()  # of this build of Python and of psutil, before the name changes
sys.platform = 'darwin'
"""

WINDOWS = f"""{NO_PROC}
import signal
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None
del signal.SIGHUP, signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL, os.killpg, os.statvfs, os.fork
sys.platform = 'win32'
"""

ONE_CALL = {
    "call_ns": np.array([5_000_000]),
    "call_round": np.array([0]),
    "timed_example": np.array([0]),
    "timed_round": np.array([0]),
    "timed_answer": np.array(["True"]),
    "answer": np.array(["True"]),
    "answered": np.array([True]),
    "counts": np.array([[1.0, 1.0]]),
}

COMMAND = "from harness.cli import main\nsys.argv = ['bench', *sys.argv[1:]]\nmain()"


def run(system: str, program: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", system + program, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin", "HOME": str(folder), "BENCH_STORE": str(folder), "BENCH_CACHE": str(folder)},
    )


@pytest.mark.parametrize("words", [["run"], ["report"], ["--help"], []])
def test_windows_gets_one_sentence(words: list[str], tmp_path: Path) -> None:
    """With every command, before anything is imported that is not there."""
    done = run(WINDOWS, COMMAND, *words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("bench: bench needs Linux, and this is Windows: use ")


@pytest.mark.parametrize("words", [["run"], ["-q", "ladder"], ["doctor"], ["gate", "--base", "main"]])
def test_measuring_on_macos_gets_one_sentence(words: list[str], tmp_path: Path) -> None:
    """Which names what works there."""
    done = run(MACOS, COMMAND, *words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("bench: measuring needs Linux, and this is macOS: ")
    assert "report, compare, track and verify work here" in line


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--help"], "Usage: bench"),
        (["run", "--help"], "Usage: bench run"),
        (["list"], "pytorch-fixed*"),
        (["report", "r1"], "onnx-int8"),
        (["report", "r1", "--format", "markdown"], "onnx-int8"),
        (["compare", "r1", "r2"], "onnx-int8"),
        (["track", "--quantity", "throughput"], "onnx-int8"),
        (["verify", "r1"], "onnx-int8"),
    ],
)
def test_what_reads_records_works_on_macos(words: list[str], shown: str, tmp_path: Path) -> None:
    """Without /proc, /sys and affinities."""
    for name in ("r1", "r2"):
        folder = RunFolder(tmp_path / "runs" / name)
        folder.path.mkdir(parents=True)
        for record in three_variants():
            folder.seal(record.model_copy(update={"run": name}), ONE_CALL)
    done = run(MACOS, COMMAND, *words, folder=tmp_path)
    assert "Traceback" not in done.stderr
    assert "a bug in bench" not in done.stderr
    assert shown in done.stdout


@pytest.mark.parametrize(("system", "name"), [(WINDOWS, "read"), (WINDOWS, "run"), (MACOS, "run")])
def test_the_api_raises_the_same_sentence(system: str, name: str, tmp_path: Path) -> None:
    """`import harness` itself works everywhere."""
    program = f"""import harness
try:
    harness.{name}
except Exception as error:
    print(type(error).__name__, error)"""
    done = run(system, program, folder=tmp_path)
    assert done.stdout.startswith("UsageError ")
    assert "Linux" in done.stdout
    assert done.stderr == ""


def test_linux_and_what_is_unknown() -> None:
    """A name that is unknown is shown as Python has it."""
    assert why_not_here("linux", ["run"]) is None
    assert why_not_here("darwin", ["gate", "--run", "r1"]) is None
    assert "this is freebsd14" in str(why_not_here("freebsd14", ["run"]))
