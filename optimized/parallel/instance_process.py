"""The pool's side of one instance: its process, non-blocking pipes and the log of its output."""

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

from harness.common.errors import MeasurementError, last_lines
from harness.common.json_types import JsonObject, JsonValue
from harness.systems.interface import Artifact, Placement, Settings
from harness.workload.tasks import TaskReference
from optimized.parallel.framing import Message, MessageBuffer, encode_message
from optimized.parallel.scheduler import AnyCall

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""The variables that OpenMP, MKL, OpenBLAS and numexpr read once, when they load."""

_READ_BYTES = 1 << 16
_LOG_LINES = 3


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """What every instance of a pool loads.

    `loader` is "module:function"; the function makes a Variant from `variant`, a JSON value.
    """

    loader: str
    variant: JsonValue
    task: TaskReference
    artifact: Artifact
    settings: Settings

    def load_message(self, placement: Placement) -> JsonObject:
        """Return the body of the message that makes an instance load at this placement."""
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
class ProcessExit:
    """How a process ended: its exit code or signal, and the last lines of its output."""

    cause: str
    last_lines: Sequence[str]


class InstanceProcess:
    """A process that loads a variant and answers the calls in slots; `facts` is None until it is ready.

    `index` is its own among the instances; `slots` are descriptors of the memory it shares with the pool.
    It dies with the thread that made it (prctl(2), PR_SET_PDEATHSIG), so that thread must outlive it.
    """

    def __init__(
        self, config: InstanceConfig, placement: Placement, index: int, slots: Sequence[int]
    ) -> None:
        self.facts: Mapping[str, JsonValue] | None = None
        self.exit: ProcessExit | None = None
        self.work: tuple[AnyCall, int | None] | None = None
        """Its call and chunk at the last health check."""
        self.unchanged_checks = 0
        """How many health checks in a row found it at that work."""
        self._messages, self._unsent = MessageBuffer(), bytearray()
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 -- it lives as long as the instance
        instance_in, self._out = os.pipe()
        self._in, instance_out = os.pipe()
        for descriptor in (self._in, self._out):
            os.set_blocking(descriptor, False)
        pipes = {"in": instance_in, "out": instance_out}
        arguments = {**pipes, "parent": os.getpid(), "cpus": placement.cpus, "index": index, "slots": slots}
        try:
            self._process = self._start(arguments, placement.threads)
        except OSError as problem:
            self._log.close()
            self._close_pipes()
            raise MeasurementError(f"an instance could not be started: {problem.strerror}.") from None
        finally:
            os.close(instance_in)
            os.close(instance_out)
        self.send(("load", config.load_message(placement)))

    def _start(self, arguments: JsonObject, threads: int) -> subprocess.Popen[bytes]:
        limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
        return subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            # -P keeps the user's folder off the module path, so that a module there cannot shadow ours
            [sys.executable, "-P", "-m", "optimized.parallel.instance_main", json.dumps(arguments)],
            pass_fds=[arguments["in"], arguments["out"], *arguments["slots"]],
            env={**os.environ, **limits},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def descriptors(self) -> list[int]:
        """What to wait on: the pipe it writes, and the pipe it reads while bytes for it are unsent."""
        return [self._in, self._out] if self._unsent else [self._in]

    def send(self, message: Message) -> None:
        """Send as much as the pipe takes now; a dead instance is noticed at the next read."""
        self._unsent += encode_message(message)
        self.flush()

    def flush(self) -> None:
        """Send more of the unsent bytes."""
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
        return list(self._messages.feed(received)) if received else None

    def close_input(self) -> None:
        """Close the pipe it reads, which makes it close its system and exit."""
        if self._out >= 0:
            os.close(self._out)
            self._out = -1

    def _close_pipes(self) -> None:
        self.close_input()
        os.close(self._in)

    def end(self, timeout_s: float = 0.0) -> ProcessExit:
        """Wait up to `timeout_s` for its exit, then kill it; return how it ended. May be called again."""
        if self.exit is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
            self._process.kill()
            code = self._process.wait()
            lines = last_lines(self._log, _LOG_LINES)
            self._log.close()
            self._close_pipes()
            self.exit = ProcessExit(_cause(code), lines)
        return self.exit


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    hint = " (often: the kernel ran out of memory)" if code == -signal.SIGKILL else ""
    return f"signal {signal.Signals(-code).name}{hint}"
