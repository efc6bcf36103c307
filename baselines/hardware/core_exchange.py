"""Two CPUs that are asked how fast they answer each other, by a small C program (exchange.c).

A library could not do it: what the interpreter does between two looks at a byte takes longer than the answer.
"""

import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from baselines.hardware.c_program import build, compiler


class CorePair:
    """A thread on each of two CPUs, asleep between questions, in a process of their own."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def ask(self) -> int | None:
        """Return the nanoseconds of one round trip now; None once the process has ended."""
        asked, answered = self._process.stdin, self._process.stdout
        if asked is None or answered is None:
            return None
        try:
            asked.write(b"?")
            asked.flush()
            return int(answered.readline())
        except (OSError, ValueError):  # a broken pipe, a closed one, nothing on it
            return None

    def end(self) -> None:
        """Close its input, which ends it, and wait for it."""
        with suppress(OSError, ValueError):
            self._process.communicate()


def start(first: int, last: int) -> CorePair | None:
    """Start a pair on these CPUs; None without a compiler, or where the program does not run."""
    command = compiler()
    if command is None:
        return None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            words = [str(build(command, "exchange", Path(scratch))), str(first), str(last)]
            pipe = subprocess.PIPE
            return CorePair(subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL))  # noqa: S603 -- our own
    except (subprocess.SubprocessError, OSError):
        return None
