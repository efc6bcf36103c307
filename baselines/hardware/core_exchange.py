"""The round trip of a cache line between two CPUs, measured by a small C program (exchange.c).

Python could not measure it: the interpreter takes longer between two reads of a byte than the round trip.
"""

import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from baselines.hardware.c_program import build, compiler


class Pair:
    """A process with a thread on each of two CPUs, which sleep between measurements."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def measure(self) -> int | None:
        """Measure one round trip, and return its nanoseconds; None once the process has ended."""
        requests, responses = self._process.stdin, self._process.stdout
        if requests is None or responses is None:
            return None
        try:
            requests.write(b"?")
            requests.flush()
            return int(responses.readline())
        except (OSError, ValueError):  # a broken pipe, a closed pipe, an empty response
            return None

    def close(self) -> None:
        """End the process by closing its input, and wait for it."""
        with suppress(OSError, ValueError):
            self._process.communicate()


def start(first: int, last: int) -> Pair | None:
    """Start a pair on these CPUs; None if there is no compiler or the program does not run."""
    compiler_path = compiler()
    if compiler_path is None:
        return None
    try:
        with tempfile.TemporaryDirectory() as scratch:
            program = build(compiler_path, "exchange", Path(scratch))
            command, pipe = [str(program), str(first), str(last)], subprocess.PIPE
            return Pair(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL))  # noqa: S603 -- our own
    except (subprocess.SubprocessError, OSError):
        return None
