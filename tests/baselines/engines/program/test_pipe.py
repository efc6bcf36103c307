import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from baselines.engines.program import pipe as program_pipe
from baselines.engines.program.pipe import ProgramPipe
from harness.common.errors import MeasurementError

ECHO = "for line in sys.stdin: print(line.strip().upper(), flush=True)"


@pytest.fixture
def pipes() -> Iterator[list[ProgramPipe]]:
    opened: list[ProgramPipe] = []
    yield opened
    for pipe in opened:
        pipe.close()


def started(pipes: list[ProgramPipe], body: str, timeout_s: float = 60.0) -> ProgramPipe:
    pipes.append(ProgramPipe([sys.executable, "-c", f"import os, subprocess, sys, time\n{body}"], timeout_s))
    return pipes[-1]


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


def test_lines_are_answered_in_order_however_they_are_cut(pipes: list[ProgramPipe]) -> None:
    """More than both pipes hold at once, in both directions, and answers that arrive in pieces."""
    pipe = started(pipes, ECHO)
    lines = [f"line {number} {'x' * (number % 3000)}y".encode() for number in range(500)]
    for _ in range(2):
        answers = list(pipe.exchange([line + b"\n" for line in lines]))
        assert answers == [line.upper() for line in lines]
    slow = "for c in sys.stdin.readline().strip() + '\\n': print(c, end='', flush=True)"
    assert list(started(pipes, slow).exchange([b"abc\n"])) == [b"abc"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os.close(1); time.sleep(600)", "it closed its stdout and went on"),
        ("while True: os.write(1, b'x' * 65536)", "its line is longer than 1,048,576 bytes"),
        ("sys.exit(7)", "it ended with exit code 7"),
        ("os.kill(os.getpid(), 9)", "it ended with exit code -9"),
    ],
)
def test_a_program_that_breaks_a_bound_is_ended_with_a_reason(
    pipes: list[ProgramPipe], body: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for ever, and nothing is read without end."""
    monkeypatch.setattr(program_pipe, "END_S", 0.1 if "went on" in message else 10.0)
    with pytest.raises(MeasurementError, match=message):
        list(started(pipes, body).exchange([b"a\n"]))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("time.sleep(600)", "it gave no answer within 0.3 s"),
        ("while True: time.sleep(0.01); print('.', end='', flush=True)", "it gave no answer within 0.3 s"),
        ("print('a\\nb', flush=True); time.sleep(600)", "it did not read its requests within 0.3 s"),
    ],
)
def test_a_program_that_is_too_late_is_ended(pipes: list[ProgramPipe], body: str, message: str) -> None:
    """One that is silent, one that never ends its line, and one that answers what it has not read."""
    long = b"x" * 300_000 + b"\n"
    with pytest.raises(MeasurementError, match=message):
        list(started(pipes, body, timeout_s=0.3).exchange([long, long]))


def test_a_child_that_holds_the_pipes_of_a_hanging_program_ends_with_it(
    pipes: list[ProgramPipe], tmp_path: Path
) -> None:
    """It used to keep the harness writing: the pipe had a reader that never read."""
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
    body = f"open({str(tmp_path / 'pid')!r}, 'w').write(str({child}.pid))\ntime.sleep(600)"
    with pytest.raises(MeasurementError, match="no answer"):
        list(started(pipes, body, timeout_s=1.5).exchange([b"x" * 300_000 + b"\n"]))
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_endless_stderr_does_not_fill_the_disk_and_its_end_is_quoted(
    pipes: list[ProgramPipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a megabyte is written for each of ten answers, and a hundredth of it is allowed."""
    monkeypatch.setattr(program_pipe, "ERRORS_BYTES", 50_000)
    talk = "sys.stderr.write('y' * 500_000 + '\\n'); sys.stderr.flush()"
    body = (
        f"for line in sys.stdin:\n  {talk}\n  print(line.strip(), flush=True)\n  if 'z' in line: sys.exit(1)"
    )
    pipe = started(pipes, body)
    for _ in range(10):
        list(pipe.exchange([b"a\n"]))
    assert os.fstat(pipe._stderr.fileno()).st_size < 2_000_000
    list(pipe.exchange([b"z\n"]))
    with pytest.raises(MeasurementError) as caught:
        list(pipe.exchange([b"a\n"]))
    assert str(caught.value.remedy) == f"Its stderr ends: {'y' * 300}..."
