"""Starting, stopping and ending workers, and the messages to them.

Only one worker runs at a time: all others are stopped by signal, and the parent sleeps in a read.
"""

import json
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from harness.common.errors import BenchError, MeasurementError, keep_end, last_lines
from harness.common.json_codec import from_json, to_json
from harness.common.json_types import JsonObject
from harness.common.processes.guard import OWN_PID
from harness.common.processes.guarded import GuardedProcess
from harness.records.journal_entries import FailureReport
from harness.runs.worker.messages import AnswerT, WorkerRequest, error_from

OnProgress = Callable[[str], None]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""What OpenMP, MKL, OpenBLAS and numexpr read once, when they load."""


WORKER = "harness.runs.worker.main"
"""The module that a worker runs."""

CUDA_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""CUDA counts boards by their slots, as the driver and the meters do, instead of the fastest first."""

MESSAGE_BYTES = 2**30
"""The longest line that is read: answers to a large split, and what was measured of each call."""

END_S = 10.0
"""How long a worker that has closed its socket may take to end."""

LOG_BYTES = 2**26
"""Above this size, all but the end of what a worker has printed is dropped before its next message."""

logger = logging.getLogger(__name__)


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
    """A worker in a process and session of its own, below a guard that ends it with all that it started.

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
        # its guard makes and removes its temporary files: a worker or a parent that is killed removes nothing
        self._scratch = str(Path(tempfile.gettempdir()) / f"bench-{secrets.token_hex(8)}")
        try:
            self._process = GuardedProcess(
                [python, "-P", "-m", module, str(theirs.fileno()), OWN_PID, json.dumps(sorted(cpus))],
                {
                    **worker_environment(os.environ, threads),
                    **module_path(os.environ, source),
                    "TMPDIR": self._scratch,
                    **variables,
                },
                log=self._log,
                descriptors=[theirs.fileno()],
                scratch=self._scratch,
            )
        except BaseException:  # an interruption, too
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self._process.pid

    def exchange(self, action: str, fields: JsonObject, on_progress: OnProgress | None = None) -> JsonObject:
        """Send one message and wait, asleep, for its answer."""
        line = json.dumps({"do": action, **fields}, allow_nan=False)
        keep_end(self._log, LOG_BYTES)
        try:
            self._lines.write(f"{line}\n")
            self._lines.flush()
            return self._answer(action, on_progress)
        except TimeoutError:
            raise WorkerLost(f"the worker did not answer {action!r} in time.", remedy=self._tail()) from None
        except OSError as problem:
            raise self._lost(action) from problem
        except (ValueError, LookupError, TypeError, RecursionError) as problem:
            self._process.end()
            raise WorkerLost(
                f"the worker's answer to {action!r} cannot be read: {problem}.",
                remedy=self._tail(),
            ) from problem

    def stop(self) -> None:
        """Stop it; a worker that is gone is noticed at its next message."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill it with all that it started, wait for them, and remove its temporary files."""
        self._process.end()
        shutil.rmtree(self._scratch, ignore_errors=True)  # only where its guard was killed
        self._close()

    def _close(self) -> None:
        for part in (self._lines, self._socket, self._log):
            with suppress(OSError):
                part.close()

    def _answer(self, action: str, on_progress: OnProgress | None) -> JsonObject:
        while line := self._lines.readline(MESSAGE_BYTES):
            message = json.loads(line)
            if "progress" in message:
                if on_progress:
                    on_progress(message["progress"])
            elif "failed" in message:
                logger.debug("The worker's traceback:\n%s", message.get("traceback", "not sent"))
                raise error_from(from_json(FailureReport, message["failed"]))
            else:
                answer: JsonObject = message["done"]
                return answer
        raise self._lost(action)

    def _lost(self, action: str) -> BenchError:
        code = self._process.wait(END_S)
        self._process.end()
        if code is None:
            how = "closed its socket"
        elif code < 0:
            how = f"ended with signal {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        if code == -signal.SIGKILL:
            how += " (often: the kernel ran out of memory)"
        return WorkerLost(f"the worker {how} at {action!r}.", remedy=self._tail())

    def _tail(self) -> str | None:
        lines = last_lines(self._log)
        return "Its log ends: " + " | ".join(lines) if lines else None


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
