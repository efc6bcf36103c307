"""Drives workers of another version of this code: it asks what they understand, and sends nothing else."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import BenchError, MeasurementError
from harness.runs.worker.messages import PROTOCOL_VERSION
from harness.runs.worker.process import WORKER

if TYPE_CHECKING:
    from harness.runs.worker.process import OnProgress, Worker

OLDER_WORKER = "harness.sweep.worker"


def worker_module(python: str, source: str) -> str:
    """Return the module that starts a worker of other code: a folder's, or else an interpreter's.

    Until November 2026 workers were at `harness.sweep.worker`; that code can still be a gate's base.
    """
    if source:
        moved = not Path(source, *OLDER_WORKER.split(".")).with_suffix(".py").is_file()
    elif python != sys.executable:
        package = OLDER_WORKER.rpartition(".")[0]
        ask = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        moved = subprocess.run([python, "-P", "-c", ask], capture_output=True, check=False).returncode != 0  # noqa: S603
    else:
        moved = True
    return WORKER if moved else OLDER_WORKER


class OtherVersionWorker:
    """A worker of other code: it is asked what it understands first, and told nothing that it does not.

    A word that the other side does not know is left out where it says nothing (0, empty, none); anything else
    is refused, for it would measure something else than was asked.
    """

    def __init__(self, worker: "Worker", ref: str) -> None:
        self._worker, self._ref = worker, ref
        self.known = introduced(worker, ref)

    @property
    def pid(self) -> int:
        """The process that does the work."""
        return self._worker.pid

    def ask(self, do: str, told: "OnProgress | None" = None, **words: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send one message in the words that the other side knows, and return its answer."""
        return self._worker.ask(do, told, **understood(do, words, self.known["messages"], self._ref))

    def stop(self) -> None:
        """Stop it until `go`."""
        self._worker.stop()

    def go(self) -> None:
        """Let it run."""
        self._worker.go()

    def end(self) -> None:
        """End it."""
        self._worker.end()


def introduced(worker: "Worker", ref: str) -> dict[str, Any]:
    """Return what a worker says of itself; MeasurementError where it speaks another version, or none."""
    try:
        said = worker.ask("hello", protocol=PROTOCOL_VERSION)
    except BenchError as problem:
        worker.end()
        if "hello" in problem.message and "KeyError" in problem.message:
            raise _other_version(ref, "1") from None
        raise MeasurementError(
            f"its workers cannot be asked: {problem.message}", where=ref, remedy=problem.remedy
        ) from None
    if said["protocol"] != PROTOCOL_VERSION:
        worker.end()
        raise _other_version(ref, str(said["protocol"]))
    return said


def understood(do: str, words: Mapping[str, Any], messages: Mapping[str, Any], ref: str) -> dict[str, Any]:
    """Return the words that the other side knows; MeasurementError where it would have to do without one."""
    known = messages.get(do, ())
    lost = [name for name, value in words.items() if name not in known and not _says_nothing(value)]
    if lost:
        raise MeasurementError(
            f"its code does not know {', '.join(sorted(lost))} of the message {do!r}.",
            where=ref,
            remedy="Leave out the option that this comes from, or compare with a newer version.",
        )
    return {name: value for name, value in words.items() if name in known}


def _says_nothing(value: Any) -> bool:  # noqa: ANN401 -- a JSON value
    return value in (None, "", 0, False, [], {})


def _other_version(ref: str, version: str) -> MeasurementError:
    return MeasurementError(
        f"its workers speak version {version} of the protocol, and this program {PROTOCOL_VERSION}.",
        where=ref,
        remedy="Compare with a version that speaks it too; older ones cannot be driven by this program.",
    )
