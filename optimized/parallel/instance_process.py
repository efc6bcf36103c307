"""An instance as its pool sees it: a process, pipes that never block, and a log of its last words."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.common.errors import MeasurementError
from harness.systems.interface import Artifact, Placement, Settings
from harness.workload.tasks import TaskReference
from optimized.parallel.framing import Inbox, Message, frame_of

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
    task: TaskReference
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


class InstanceProcess:
    """A process that loads what it is told and works where it is rung to; `facts` is None until it is ready.

    `place` is its own among the instances, `sheets` are descriptors of what it shares with the pool.
    It dies with the thread that made it (prctl(2), PR_SET_PDEATHSIG): make it in one that stays.
    """

    def __init__(self, inner: Inner, placement: Placement, place: int, sheets: Sequence[int]) -> None:
        self.facts: Mapping[str, Any] | None = None
        self.ending: Ending | None = None
        self.at: tuple[Any, int | None] | None = None
        """What the last look found it at work on: the job and the chunk."""
        self.silent = 0
        """How many looks in a row found it at work on that."""
        self._inbox, self._unsent = Inbox(), bytearray()
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 -- it lives as long as the instance
        theirs, self._out = os.pipe()
        self._in, there = os.pipe()
        for descriptor in (self._in, self._out):
            os.set_blocking(descriptor, False)
        words = {"in": theirs, "out": there, "parent": os.getpid(), "cpus": placement.cpus}
        try:
            self._process = self._started({**words, "place": place, "sheets": sheets}, placement.threads)
        except OSError as problem:
            self._log.close()
            self._hang_up()
            raise MeasurementError(f"an instance could not be started: {problem.strerror}.") from None
        finally:
            os.close(theirs)
            os.close(there)
        self.send(("load", inner.words(placement)))

    def _started(self, words: dict[str, Any], threads: int) -> subprocess.Popen[bytes]:
        limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
        return subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            # -P keeps the user's folder off the module path, so that a module there cannot shadow ours
            [sys.executable, "-P", "-m", "optimized.parallel.instance_main", json.dumps(words)],
            pass_fds=[words["in"], words["out"], *words["sheets"]],
            env={**os.environ, **limits},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def descriptors(self) -> list[int]:
        """What to wait on: where it is heard, and where it is spoken to while something waits to be sent."""
        return [self._in, self._out] if self._unsent else [self._in]

    def send(self, message: Message) -> None:
        """Send as much as it takes now; a dead instance is noticed when it is read from."""
        self._unsent += frame_of(message)
        self.flush()

    def flush(self) -> None:
        """Send more of what waits."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self._out, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent.clear()

    def receive(self) -> list[Message] | None:
        """Return the messages that have arrived; None once the instance has ended."""
        try:
            received = os.read(self._in, _READ_BYTES)
        except BlockingIOError:
            return []
        return list(self._inbox.add(received)) if received else None

    def leave(self) -> None:
        """Tell it that nothing more is coming."""
        if self._out >= 0:
            os.close(self._out)
            self._out = -1

    def _hang_up(self) -> None:
        self.leave()
        os.close(self._in)

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
            self._hang_up()
            self.ending = Ending(_cause(code), words)
        return self.ending


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    often = " (often: the kernel ran out of memory)" if code == -signal.SIGKILL else ""
    return f"signal {signal.Signals(-code).name}{often}"
