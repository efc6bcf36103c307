"""A server that is started to be measured: on a free port, below the worker, until it is ready.

    command, {port} --> process in the worker's group --> ready, within a deadline --> ended with its tree

It runs without a shell, pinned as the worker is. Its CPU time and energy are those of the worker's tree, and
what ends the worker ends it too.
"""

import contextlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import psutil

from harness.common.errors import MeasurementError, UsageError, keep_end, last_lines
from harness.systems.server import ServerDefinition

READY_S = 300.0
"""How long a server may take until it is ready: it loads libraries and a model."""

LOOK_S = 0.1
"""Between two looks at a server that is not ready yet."""

END_S = 5.0
"""How long a server may take to end by itself, before it is killed."""

LOG_BYTES = 2**24
"""Above this size, what the server has printed is dropped but for its end, which is quoted."""

PYTHON = "{python}"
"""Stands for the interpreter that runs `bench`."""

PORTS = ("{port}", "{port2}", "{port3}")
"""Stand for free ports: some servers open one for gRPC and one for metrics too."""

WHERE = "--system-server"


def split_command(command: str) -> list[str]:
    """Split a command into arguments as a shell does; UsageError if it is empty or a quote is not closed."""
    try:
        arguments = shlex.split(command)
    except ValueError as problem:
        raise UsageError(
            f"the command cannot be split into arguments: {problem}.",
            where=WHERE,
            remedy="Close every quotation mark.",
        ) from None
    if not arguments:
        raise UsageError(
            "the command is empty.",
            where=WHERE,
            remedy="For instance --system-server 'python server.py --port {port}'.",
        )
    return arguments


def require_program(command: str) -> None:
    """Raise UsageError if the program of a command does not exist."""
    program = _filled(split_command(command)[0], {PYTHON: sys.executable})
    if shutil.which(program) is None:
        raise UsageError(
            f"there is no program {program!r}.",
            where=WHERE,
            remedy="Give an executable file, with its path if it is not on PATH.",
        )


class ServerProcess:
    """A running server; `url` is where it answers."""

    def __init__(self, definition: ServerDefinition) -> None:
        ports = {mark: str(port) for mark, port in zip(PORTS, _free_ports(len(PORTS)), strict=True)}
        self._name = definition.name
        self.url = _filled(definition.url, ports)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the server
        values = {**ports, PYTHON: sys.executable}
        arguments = [_filled(part, values) for part in split_command(definition.command)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- the user's own command, without a shell
                arguments, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
            )
        except OSError as problem:
            self._log.close()
            raise MeasurementError(
                f"the server cannot be started: {problem.strerror}.", where=self._name
            ) from None

    def wait_until(self, ready: Callable[[], bool], patience_s: float = READY_S) -> None:
        """Wait until the server is ready; MeasurementError if it ends before, or takes too long."""
        deadline = time.monotonic() + patience_s
        while not self._is_ready(ready):
            if (code := self._process.poll()) is not None:
                how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
                raise self.failure(f"it ended {how} before it was ready")
            if time.monotonic() >= deadline:
                raise self.failure(f"it was not ready within {patience_s:g} s")
            self.keep_log_short()
            time.sleep(LOOK_S)

    def keep_log_short(self) -> None:
        """Drop all but the end of what the server has printed, if it is much."""
        keep_end(self._log, LOG_BYTES)

    def failure(self, what: str) -> MeasurementError:
        """Return an error that quotes the end of what the server has printed."""
        quoted = last_lines(self._log)
        remedy = f"Its output ends: {' | '.join(quoted)}" if quoted else "It printed nothing."
        return MeasurementError(f"the server failed: {what}.", where=self._name, remedy=remedy)

    def end(self) -> None:
        """End the server and all that it started: first by SIGTERM, then by force."""
        processes = self._tree()
        with contextlib.suppress(OSError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        for process in {*processes, *self._tree()}:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.wait()
        self._log.close()

    def _is_ready(self, ready: Callable[[], bool]) -> bool:
        if self._process.poll() is not None:
            return False
        try:
            return ready()
        except MeasurementError:
            return False

    def _tree(self) -> set[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            return {process, *process.children(recursive=True)}
        return set()


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now; all are open at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _filled(text: str, values: dict[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
