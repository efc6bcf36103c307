"""The parent's side of a guard: a process that never outlives its parent, with all that it starts."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.common import procfs
from harness.common.errors import MeasurementError
from harness.common.json_types import JsonObject
from harness.common.processes import guard

MOST_READS = 10
"""Reads of a process tree that grows while it is stopped."""

START_S = 60.0
"""How long a guard may take to start its process."""


class GuardedProcess:
    """A process in a session of its own, below a guard (`harness.common.processes.guard`).

    `command` may hold `guard.OWN_PID` for the pid of its parent. What it prints goes to `log`; `descriptors`
    are open in it. The guard makes the folder `scratch` unless it exists, and removes it at the end, also if
    this process is killed. MeasurementError if it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        log: IO[bytes],
        descriptors: Sequence[int] = (),
        scratch: str = "",
    ) -> None:
        fields = {
            "command": list(command),
            "environment": dict(environment),
            "scratch": scratch,
            "descriptors": list(descriptors),
        }
        try:
            self._guard = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                # -I and -S: neither the user's folder nor installed packages are on the module path
                [sys.executable, "-I", "-S", str(Path(guard.__file__)), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,  # a signal to the parent's group must not reach it
            )
        except OSError as problem:
            raise MeasurementError(f"a worker cannot be started: {problem.strerror}.") from None
        self._ended = False
        try:
            started = self._started(fields)
        except BaseException:  # an interruption: its guard must not start what nobody would end
            self._guard.terminate()
            self._guard.wait()
            raise
        self.pid: int = started.get("pid", 0)
        if not self.pid:
            self._guard.kill()
            self._guard.wait()
            reason = started.get("error", "its guard did not start")
            raise MeasurementError(f"a worker cannot be started: {reason}.")

    def _started(self, fields: JsonObject) -> JsonObject:
        """Send the guard what it starts, and return what became of it."""
        line, source, target = b"", self._guard.stdin, self._guard.stdout
        assert source is not None  # both were opened as pipes
        assert target is not None
        with suppress(OSError), source, target:  # a guard that has ended reads nothing
            source.write(json.dumps(fields).encode() + b"\n")
            source.flush()
            if select.select([target], [], [], START_S)[0]:
                line = target.readline()
        started: JsonObject = json.loads(line or b"{}")
        return started

    def wait(self, timeout_s: float) -> int | None:
        """Return how the process ended, as `Popen.returncode`; None if it is still there after a time."""
        with suppress(subprocess.TimeoutExpired):
            return self._guard.wait(timeout_s)
        return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its process group and to all below it in other groups, unless it has ended."""
        if self._guard.poll() is None:  # while the guard lives, nobody else has the pid
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            self._signal_other_groups(number)

    def _signal_other_groups(self, number: signal.Signals) -> None:
        """Signal what has a group or session of its own, such as the processes of a server.

        One may start another before the signal reaches it, so the tree is read until it has nothing new.
        """
        signalled: set[int] = set()
        for _ in range(MOST_READS):
            others = {pid for pid in procfs.children(self.pid) if _group_of(pid) not in (self.pid, None)}
            if others <= signalled:
                return
            for pid in others - signalled:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            signalled |= others

    def end(self) -> None:
        """Kill it and all that it started, and wait until they are gone; does nothing the second time."""
        if self._ended:
            return
        self._ended = True
        self._guard.terminate()
        self._guard.send_signal(signal.SIGCONT)  # somebody may have stopped the guard
        if self._guard.wait() == -signal.SIGKILL:  # a guard that was killed itself has ended nothing
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
