import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from baselines.servers import process as module
from baselines.servers.process import ServerProcess, require_program
from harness.common.errors import MeasurementError, UsageError
from harness.systems.server import ServerDefinition

TREE = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1], "w").write(json.dumps([child.pid, *sys.argv[2:]]))
time.sleep(600)
"""


def started(tmp_path: Path, body: str, *arguments: str) -> ServerProcess:
    file = tmp_path / "server.py"
    file.write_text(body)
    command = " ".join(["{python}", str(file), *arguments])
    return ServerProcess(ServerDefinition("mine", "http://127.0.0.1:{port}/x", command=command))


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_server_gets_free_ports_and_ends_with_all_that_it_started(tmp_path: Path) -> None:
    """Also what it started in a session of its own."""
    file = tmp_path / "facts"
    process = started(tmp_path, TREE, str(file), "{port}", "{port2}", "{port3}")
    process.wait_until(lambda: file.exists() and file.read_text().endswith("]"), 30)
    child, *ports = json.loads(file.read_text())
    assert len({int(port) for port in ports}) == 3
    assert process.url == f"http://127.0.0.1:{ports[0]}/x"
    process.end()
    deadline = time.monotonic() + 10
    while not is_gone(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(child)


def test_a_server_that_ends_before_it_is_ready_is_reported_with_its_output(tmp_path: Path) -> None:
    """So that the reason is in the record."""
    process = started(tmp_path, "import sys\nprint('no such model')\nsys.exit(3)")
    with pytest.raises(MeasurementError, match="it ended with exit code 3 before it was ready") as caught:
        process.wait_until(lambda: False, 30)
    assert caught.value.remedy == "Its output ends: no such model"
    assert caught.value.where == "mine"
    process.end()


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while it is looked at means that it is not ready yet."""
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    process = started(tmp_path, "import time\ntime.sleep(600)")

    def refuses() -> bool:
        raise MeasurementError("refused")

    with pytest.raises(MeasurementError, match=r"it was not ready within 0\.05 s"):
        process.wait_until(refuses, 0.05)
    process.end()


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while."""
    monkeypatch.setattr(module, "END_S", 0.1)
    ready = tmp_path / "ready"
    body = (
        f"import signal, time\nsignal.signal(15, signal.SIG_IGN)\nopen({str(ready)!r}, 'w')\ntime.sleep(600)"
    )
    process = started(tmp_path, body)
    process.wait_until(ready.exists, 30)
    pid = process._process.pid
    process.end()
    assert is_gone(pid)


def test_a_program_that_does_not_exist_is_refused_before_the_clock_starts() -> None:
    """And a command that cannot be split."""
    with pytest.raises(UsageError, match=r"there is no program '\./nowhere'"):
        require_program("./nowhere {port}")
    with pytest.raises(UsageError, match="cannot be split"):
        require_program("'open")
    with pytest.raises(UsageError, match="the command is empty"):
        require_program(" ")
    require_program(f"{sys.executable} x")
    require_program("{python} x")
