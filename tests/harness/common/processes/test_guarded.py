import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.common.errors import MeasurementError
from harness.common.processes.guard import OWN_PID
from harness.common.processes.guarded import GuardedProcess

FAMILY = """
import os, pathlib, subprocess, sys, time
sleep = [sys.executable, '-c', 'import time; time.sleep(600)']
in_group = subprocess.Popen(sleep)
in_session = subprocess.Popen(sleep, start_new_session=True, env={})
quiet = "stdout=subprocess.DEVNULL, start_new_session=True"
forker = f"import subprocess; print(subprocess.Popen({sleep!r}, {quiet}).pid)"
orphan = int(subprocess.run([sys.executable, '-c', forker], stdout=subprocess.PIPE).stdout)
file = pathlib.Path(sys.argv[1])
file.with_suffix('.new').write_text(f'{os.getpid()} {in_group.pid} {in_session.pid} {orphan}')
file.with_suffix('.new').rename(file)
time.sleep(600)
"""
"""A process with a child in its group, one in a session and environment of its own, and an orphan."""


def started(code: str, *arguments: str, scratch: str = "") -> GuardedProcess:
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-c", code, *arguments]
        return GuardedProcess(command, os.environ, log=log, scratch=scratch)


def wait_for(condition: Callable[[], bool]) -> bool:
    """Return whether the condition comes true within ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def pids_in(file: Path) -> list[int]:
    assert wait_for(file.exists)
    return [int(pid) for pid in file.read_text().split()]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_normal_end_leaves_no_child_in_a_session_of_its_own(tmp_path: Path) -> None:
    """Nor one in another environment, nor an orphan, when `end` returns."""
    process = started(FAMILY, str(tmp_path / "pids"))
    pids = pids_in(tmp_path / "pids")
    assert pids[0] == process.pid
    process.end()
    assert len(pids) == 4
    assert all(map(is_gone, pids))
    process.end()  # the second time does nothing


def test_kill_9_of_the_parent_ends_all_and_removes_the_scratch_folder(tmp_path: Path) -> None:
    """Also while the process is stopped with its group."""
    scratch = tmp_path / "scratch"
    (scratch / "folder").mkdir(parents=True)
    program = textwrap.dedent(
        f"""
        import os, signal, sys, tempfile, time
        from harness.common.processes.guarded import GuardedProcess
        command = [sys.executable, "-c", {FAMILY!r}, {str(tmp_path / "pids")!r}]
        process = GuardedProcess(command, os.environ, log=tempfile.TemporaryFile(), scratch={str(scratch)!r})
        while not os.path.exists({str(tmp_path / "pids")!r}):
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        print(flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-P", "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        pids = pids_in(tmp_path / "pids")
        assert not any(map(is_gone, pids))
        parent.kill()
    assert wait_for(lambda: all(map(is_gone, pids)))
    assert wait_for(lambda: not scratch.exists())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(3)", 3),
        ("pass", 0),
        ("import os; os.kill(os.getpid(), 15)", -signal.SIGTERM),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        (
            "import resource, os; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
            -signal.SIGABRT,
        ),
    ],
)
def test_the_end_of_the_process_is_that_of_its_guard(code: str, expected: int) -> None:
    """An exit code, or the same signal."""
    process = started(code)
    assert process.wait(10) == expected
    process.end()


def test_what_a_process_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    """A guard ends what is below it as soon as its process has ended."""
    process = started(FAMILY.replace("time.sleep(600)\n", "", 1), str(tmp_path / "pids"))
    pids = pids_in(tmp_path / "pids")
    assert process.wait(10) == 0
    assert all(map(is_gone, pids))
    process.end()


def test_a_guard_that_is_killed_takes_the_group_of_its_process_with_it(tmp_path: Path) -> None:
    """A process in a session of its own survives: docs/reference/limits.md names this case."""
    process = started(FAMILY, str(tmp_path / "pids"))
    own, in_group, *others = pids_in(tmp_path / "pids")
    (guard,) = [child for child in psutil.Process().children() if child.pid == psutil.Process(own).ppid()]
    guard.kill()
    process.end()
    assert wait_for(lambda: is_gone(own) and is_gone(in_group))
    for pid in others:
        os.kill(pid, signal.SIGKILL)


def test_a_program_that_does_not_exist_cannot_be_started() -> None:
    """The reason is the system's."""
    with tempfile.TemporaryFile() as log, pytest.raises(MeasurementError, match="No such file or directory"):
        GuardedProcess(["/nowhere/python"], os.environ, log=log)


def test_the_process_gets_the_pid_of_its_guard_and_default_signals(tmp_path: Path) -> None:
    """It sets its own death signal by that pid, and no signal is blocked or ignored in it."""
    code = (
        "import os, pathlib, signal, sys\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "blocked = next(line for line in status.splitlines() if line.startswith('SigBlk'))\n"
        "pathlib.Path(sys.argv[2]).write_text(f'{int(sys.argv[1]) == os.getppid()} {blocked.split()[1]}')\n"
    )
    process = started(code, OWN_PID, str(tmp_path / "facts"))
    assert process.wait(10) == 0
    process.end()
    assert (tmp_path / "facts").read_text() == "True 0000000000000000"


def test_stopping_a_process_stops_all_that_is_below_it(tmp_path: Path) -> None:
    """Also in sessions of their own, as the processes of a server are; then all run again."""
    process = started(ADOPTING + FAMILY, str(tmp_path / "pids"))
    pids = pids_in(tmp_path / "pids")
    for number, is_stopped in ((signal.SIGSTOP, True), (signal.SIGCONT, False), (signal.SIGSTOP, True)):
        process.send_signal(number)
        for pid in pids:
            assert wait_for(
                lambda pid=pid, wanted=is_stopped: (state(pid) == psutil.STATUS_STOPPED) is wanted
            )
    process.end()
    assert all(map(is_gone, pids))


ADOPTING = "import ctypes; ctypes.CDLL(None).prctl(36, 1)\n"
"""A worker adopts orphans: what a program leaves behind stays below it."""


def state(pid: int) -> str:
    return psutil.Process(pid).status()
