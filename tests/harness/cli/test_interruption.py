import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.common.errors import ExitCode

HEAD = """
import os, signal, sys
from harness.cli.interruption import INTERRUPTION
number = int(sys.argv[1])
INTERRUPTION.watch()
"""
COMMAND = """
try:
    with INTERRUPTION.command():
        {body}
except KeyboardInterrupt:
    print("in order", INTERRUPTION.signal == number, flush=True)
    {after}
    sys.exit(INTERRUPTION.exit_code)
"""
DEFAULTS = """
import signal  # whoever runs the tests may ignore signals, as `nohup` and a job in the background do
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
"""
DROPPED = """
class Late:
    def __del__(self):
        os.kill(os.getpid(), number)
        sum(range(10))
"""
CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def run(program: str, number: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-c", DEFAULTS + program, str(int(number))],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_while_modules_load_ends_the_process_without_a_traceback(number: int, code: int) -> None:
    """Nothing has begun, so nothing needs to be put in order."""
    done = run(HEAD + "os.kill(os.getpid(), number)\nprint('went on')", number)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "Interrupted.\n")


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_while_a_command_runs_ends_it_in_order(number: int, code: int) -> None:
    """As Ctrl-C: a KeyboardInterrupt, with the exit code of the signal."""
    done = run(HEAD + COMMAND.format(body="os.kill(os.getpid(), number)", after=""), number)
    assert (done.returncode, done.stdout, done.stderr) == (code, "in order True\n", "")


def test_a_second_signal_ends_the_process_at_once() -> None:
    """Also while it cleans up after the first."""
    after = "os.kill(os.getpid(), signal.SIGTERM); print('cleaned up')"
    done = run(HEAD + COMMAND.format(body="os.kill(os.getpid(), number)", after=after), signal.SIGINT)
    assert (done.returncode, done.stdout, done.stderr) == (143, "in order True\n", "Interrupted.\n")


def test_a_signal_that_python_drops_is_raised_again() -> None:
    """One that arrives in a destructor used to be lost, with a traceback."""
    program = HEAD + DROPPED + COMMAND.format(body="del [Late()][:]; import time; time.sleep(60)", after="")
    done = run(program, signal.SIGTERM)
    assert (done.returncode, done.stdout, done.stderr) == (143, "in order True\n", "")


def test_a_command_that_does_not_end_in_order_is_ended_after_its_grace() -> None:
    """A library may swallow the interruption, or never return."""
    head = HEAD.replace("number =", "import harness.cli.interruption as own\nown.GRACE_S = 0.1\nnumber =")
    body = "[os.kill(os.getpid(), number)] if not INTERRUPTION.signal else None"
    swallow = f"try: {body}\n        except BaseException: pass\n        import time; time.sleep(60)"
    done = run(head + COMMAND.format(body=swallow, after=""), signal.SIGTERM)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "Interrupted.\n")


def test_a_signal_that_is_ignored_at_the_start_stays_ignored() -> None:
    """`nohup bench run` goes on when the terminal is closed."""
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    done = run(ignored + HEAD + "os.kill(os.getpid(), number); print('went on')", signal.SIGHUP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_the_documents_list_every_exit_code() -> None:
    """The table of docs/explanation/design.md has a row for each, and no other."""
    text = (Path(__file__).parents[3] / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(ExitCode)
