"""A running program that is sent lines and answers lines, with bounds on what it may do.

    exchange(lines) --> stdin of the program, stdout --> as many lines

One thread writes and reads, so that neither pipe can fill up. A line has a deadline and a largest length. A
program that keeps to neither is ended with all that it started, and the error quotes the end of its stderr.
"""

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psutil

from harness.common.errors import MeasurementError, keep_end, last_lines

LINE_BYTES = 2**20
"""The longest line that is read: an answer is an id and a label."""

ERRORS_BYTES = 2**24
"""Above this size, what the program has written on stderr is dropped but for its end, which is quoted."""

LOOK_S = 1.0
"""How often the size of stderr is looked at while the program is waited for."""

END_S = 1.0
"""How long a program that has closed its stdout may take to end."""

_CHUNK_BYTES = 2**16


class ProgramPipe:
    """A program with pipes for stdin and stdout; each of its lines may take `timeout_s` seconds."""

    def __init__(self, command: Sequence[str], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._unsent, self._received = bytearray(), bytearray()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the program
        self._process = subprocess.Popen(  # noqa: S603 -- the user's own command, without a shell
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, bufsize=0
        )
        assert self._process.stdin is not None  # both were opened as pipes
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)

    def exchange(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """Send lines, and yield as many; MeasurementError if the program breaks a bound."""
        keep_end(self._stderr, ERRORS_BYTES)
        self._unsent += b"".join(lines)
        for _ in lines:
            yield self._read_line()
        deadline = time.monotonic() + self._timeout_s
        while self._unsent:  # it has answered more than it has read
            self._transfer(deadline, "it did not read its requests")

    def failure(self, what: str) -> MeasurementError:
        """End the program, and return an error that quotes the end of its stderr."""
        self._end()
        quoted = last_lines(self._stderr)
        remedy = f"Its stderr ends: {' | '.join(quoted)}" if quoted else "It wrote nothing on stderr."
        return MeasurementError(f"the program failed: {what}.", where="command", remedy=remedy)

    def close(self) -> None:
        """End the program and all that it started."""
        self._end()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream:
                stream.close()

    def _read_line(self) -> bytes:
        deadline, searched = time.monotonic() + self._timeout_s, 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > LINE_BYTES:
                raise self.failure(f"its line is longer than {LINE_BYTES:,} bytes")
            self._transfer(deadline, "it gave no answer")
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _transfer(self, deadline: float, missed: str) -> None:
        """Write what the program takes now, and read what it has written once there is something."""
        self._write()
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if self._unsent:
            poll.register(self._in, select.POLLOUT)
        left = deadline - time.monotonic()
        ready = dict(poll.poll(1000 * max(0.0, min(left, LOOK_S))))
        if self._out in ready:
            self._read()
        elif not ready:
            keep_end(self._stderr, ERRORS_BYTES)
            if left <= 0:
                raise self.failure(f"{missed} within {self._timeout_s:g} s")

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._in, self._unsent[:_CHUNK_BYTES])]
        except BlockingIOError:
            return
        except OSError:  # it has closed its stdin, or ended, which the reader reports
            self._unsent.clear()

    def _read(self) -> None:
        chunk = os.read(self._out, _CHUNK_BYTES)
        if chunk:
            self._received += chunk
            return
        try:
            how = f"it ended with exit code {self._process.wait(END_S)}"
        except subprocess.TimeoutExpired:
            how = "it closed its stdout and went on"
        raise self.failure(how)

    def _end(self) -> None:
        processes: list[psutil.Process] = []
        with suppress(psutil.Error):
            processes = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
        self._process.wait()
