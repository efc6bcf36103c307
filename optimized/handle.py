"""An instance as its pool sees it: a process, a socket that never blocks, and a log of its last words."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.errors import MeasurementError
from harness.system import Artifact, Placement, Settings
from harness.tasks import TaskWords
from optimized.frames import Inbox, frame_of

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""What OpenMP, MKL, OpenBLAS and numexpr read once, when they load."""

_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Inner:
    """What each instance loads, in words that cross to another process.

    `loader` is "module:function"; the function makes a Variant of `variant`, a JSON value.
    """

    loader: str
    variant: Any
    task: TaskWords
    artifact: Artifact
    settings: Settings

    def words(self, placement: Placement) -> dict[str, Any]:
        """Return what one instance at this placement is told."""
        artifact = self.artifact
        return {
            "loader": self.loader,
            "variant": self.variant,
            "task": self.task,
            "artifact": (str(artifact.folder), artifact.key, dict(artifact.manifest)),
            "placement": dataclasses.asdict(placement),
            "settings": dataclasses.asdict(self.settings),
        }


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended: exit code or signal, and the last lines it wrote."""

    cause: str
    words: Sequence[str]


class Handle:
    """A process that loads what it is told and answers in order; `facts` is None until it is ready.

    It dies with the thread that made it (prctl(2), PR_SET_PDEATHSIG): make it in one that stays.
    """

    def __init__(self, inner: Inner, placement: Placement) -> None:
        self.placement = placement
        self.facts: Mapping[str, Any] | None = None
        self.ending: Ending | None = None
        self.silent = 0
        """How many looks in a row found it at work without a word."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket, self._inbox, self._unsent = ours, Inbox(), bytearray()
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 -- it lives as long as the instance
        with theirs:
            try:
                self._process = self._started(theirs.fileno())
            except OSError as problem:
                ours.close()
                self._log.close()
                raise MeasurementError(f"an instance could not be started: {problem.strerror}.") from None
        self.send(("load", inner.words(placement)))

    def _started(self, descriptor: int) -> subprocess.Popen[bytes]:
        words = [str(descriptor), str(os.getpid()), json.dumps(self.placement.cpus)]
        limits = dict.fromkeys(THREAD_VARIABLES, str(self.placement.threads))
        return subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            # -P keeps the user's folder off the module path, so that a module there cannot shadow ours
            [sys.executable, "-P", "-m", "optimized.instance", *words],
            pass_fds=[descriptor],
            env={**os.environ, **limits},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Whether something waits until the instance reads on."""
        return bool(self._unsent)

    def send(self, message: tuple[str, Any]) -> None:
        """Send as much as it takes now; a dead instance is noticed when it is read from."""
        self._unsent += frame_of(message)
        self.flush()

    def flush(self) -> None:
        """Send more of what waits."""
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]

    def receive(self) -> list[tuple[str, Any]] | None:
        """Return the messages that have arrived; None once the instance has ended."""
        try:
            received = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        self.silent = 0
        return list(self._inbox.add(received)) if received else None

    def leave(self) -> None:
        """Tell it that nothing more is coming."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def end(self, parting_s: float = 0.0) -> Ending:
        """Wait a while for it to end, end it, and say how it ended; once it has, only say it again."""
        if self.ending is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(parting_s)
            self._process.kill()
            code = self._process.wait()
            self._log.seek(0)
            words = self._log.read().decode("utf-8", "replace").strip().splitlines()[-3:]
            self._log.close()
            self._socket.close()
            self.ending = Ending(_cause(code), words)
        return self.ending


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    often = " (often: the kernel ran out of memory)" if code == -signal.SIGKILL else ""
    return f"signal {signal.Signals(-code).name}{often}"
