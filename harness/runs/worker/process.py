"""Starting, stopping and ending workers, and the messages to them.

Only one worker runs at a time: all others are stopped by signal, and the parent sleeps in a read.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from harness.common.errors import BenchError, MeasurementError
from harness.common.json_codec import from_json, to_json
from harness.common.json_types import JsonObject
from harness.records.journal_entries import FailureReport
from harness.runs.worker.messages import AnswerT, WorkerRequest, error_from

OnProgress = Callable[[str], None]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""What OpenMP, MKL, OpenBLAS and numexpr read once, when they load."""


WORKER = "harness.runs.worker.main"
"""The module that a worker runs."""

CUDA_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""CUDA counts boards by their slots, as the driver and the meters do, instead of the fastest first."""


class WorkerLost(MeasurementError):
    """The worker died or did not answer in time."""


class Worker(ABC):
    """A process that answers requests, one at a time."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process that does the work."""

    @abstractmethod
    def exchange(self, action: str, fields: JsonObject, on_progress: OnProgress | None = None) -> JsonObject:
        """Send one message and return the fields of its answer.

        Raises the error that the worker reports, or WorkerLost.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop it until `resume`."""

    @abstractmethod
    def resume(self) -> None:
        """Let it run."""

    @abstractmethod
    def end(self) -> None:
        """End it, and whatever it started."""

    def send(self, request: WorkerRequest[AnswerT], on_progress: OnProgress | None = None) -> AnswerT:
        """Send a request, wait for its answer and return it; errors as for `exchange`."""
        fields = self.exchange(request.action, to_json(request), on_progress)
        try:
            answer: AnswerT = from_json(request.answer, fields)
        except (TypeError, ValueError) as problem:
            raise MeasurementError(
                f"the worker's answer to {request.action!r} cannot be read: {problem}."
            ) from None
        return answer


class ProcessWorker(Worker):
    """A worker in a process and session of its own.

    `python -P` keeps the user's folder off the module path, so that a `harness.py` there cannot shadow ours.
    `python`, the folder `source` and `module` choose the code that it runs, where that is not ours;
    `variables` are added to its environment. `patience_s` is how long an answer may take.
    """

    def __init__(
        self,
        cpus: Sequence[int],
        threads: int,
        *,
        patience_s: float = 3600.0,
        python: str = sys.executable,
        source: str = "",
        module: str = WORKER,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(patience_s)
        self._lines = self._socket.makefile("rw", encoding="utf-8")
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 -- it lives as long as the worker
        # the parent removes its temporary files: a worker that is killed removes nothing
        self._scratch = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        arguments = [str(theirs.fileno()), str(os.getpid()), json.dumps(sorted(cpus))]
        self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            [python, "-P", "-m", module, *arguments],
            pass_fds=[theirs.fileno()],
            env={
                **worker_environment(os.environ, threads),
                **module_path(os.environ, source),
                "TMPDIR": self._scratch.name,
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        theirs.close()

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self._process.pid

    def exchange(self, action: str, fields: JsonObject, on_progress: OnProgress | None = None) -> JsonObject:
        """Send one message and wait, asleep, for its answer."""
        try:
            self._lines.write(json.dumps({"do": action, **fields}, allow_nan=False) + "\n")
            self._lines.flush()
            return self._answer(action, on_progress)
        except TimeoutError:
            raise WorkerLost(f"the worker did not answer {action!r} in time.", remedy=self._tail()) from None
        except (OSError, ValueError) as problem:
            raise self._lost(action) from problem

    def stop(self) -> None:
        """Stop it; a worker that is gone is noticed at its next message."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill its whole process group, wait for it, and remove its temporary files."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._scratch.cleanup()
        for part in (self._lines, self._socket, self._log):
            try:
                part.close()
            except OSError:
                continue

    def _answer(self, action: str, on_progress: OnProgress | None) -> JsonObject:
        while line := self._lines.readline():
            message = json.loads(line)
            if "progress" in message:
                if on_progress:
                    on_progress(message["progress"])
            elif "failed" in message:
                raise error_from(from_json(FailureReport, message["failed"]))
            else:
                answer: JsonObject = message["done"]
                return answer
        raise self._lost(action)

    def _lost(self, action: str) -> BenchError:
        self._process.wait()
        code = self._process.returncode
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            cause += " (often: the kernel ran out of memory)"
        return WorkerLost(f"the worker ended with {cause} at {action!r}.", remedy=self._tail())

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _tail(self) -> str | None:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return "Its log ends: " + " | ".join(lines[-3:]) if lines else None


def module_path(base: Mapping[str, str], source: str) -> dict[str, str]:
    """Return the variable that puts the code of another version before what is installed; empty for ours."""
    if not source:
        return {}
    return {"PYTHONPATH": os.pathsep.join([source, *filter(None, [base.get("PYTHONPATH")])])}


def worker_environment(base: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the worker's environment: thread limits for every library, hubs and telemetry off."""
    limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONWARNINGS": "ignore",
    }
    return {**base, **limits, **quiet, **CUDA_ORDER}
