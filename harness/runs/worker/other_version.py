"""Drives workers of another version of this code: it sends only the fields that they have."""

import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from harness.common.errors import BenchError, MeasurementError
from harness.common.json_types import JsonObject, JsonValue
from harness.runs.worker.messages import PROTOCOL_VERSION, HelloRequest, Introduction
from harness.runs.worker.process import WORKER, OnProgress, Worker

OLDER_WORKER = "harness.sweep.worker"


def worker_module(python: str, source: str) -> str:
    """Return the module that starts a worker of other code: that of a folder, or else of an interpreter.

    Until November 2026 workers were at `harness.sweep.worker`; that code can still be a gate's base.
    """
    if source:
        moved = not Path(source, *OLDER_WORKER.split(".")).with_suffix(".py").is_file()
    elif python != sys.executable:
        package = OLDER_WORKER.rpartition(".")[0]
        probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        moved = subprocess.run([python, "-P", "-c", probe], capture_output=True, check=False).returncode != 0  # noqa: S603
    else:
        moved = True
    return WORKER if moved else OLDER_WORKER


class OtherVersionWorker(Worker):
    """A worker of other code; it is sent only the fields that it has introduced itself with.

    A field that the other side does not have is left out where it is empty (0, "", None); anything else is
    refused, for the other side would measure something else.
    """

    def __init__(self, worker: Worker, ref: str) -> None:
        self._worker, self._ref = worker, ref
        self.introduction = introduction_of(worker, ref)

    @property
    def pid(self) -> int:
        """The process that does the work."""
        return self._worker.pid

    def exchange(self, action: str, fields: JsonObject, on_progress: OnProgress | None = None) -> JsonObject:
        """Send one message with the fields that the other side has, and return its answer."""
        if action != HelloRequest.action:
            known = self.introduction.messages.get(action, ())
            fields = known_fields(action, fields, known, self._ref)
        return self._worker.exchange(action, fields, on_progress)

    def stop(self) -> None:
        """Stop it until `resume`."""
        self._worker.stop()

    def resume(self) -> None:
        """Let it run."""
        self._worker.resume()

    def end(self) -> None:
        """End it."""
        self._worker.end()


def introduction_of(worker: Worker, ref: str) -> Introduction:
    """Return what a worker is; MeasurementError where its version of the protocol is not ours."""
    try:
        introduction = worker.send(HelloRequest(PROTOCOL_VERSION))
    except BenchError as problem:
        worker.end()
        if "hello" in problem.message and "KeyError" in problem.message:
            raise _other_protocol(ref, "1") from None
        raise MeasurementError(
            f"its workers do not introduce themselves: {problem.message}", where=ref, remedy=problem.remedy
        ) from None
    if introduction.protocol != PROTOCOL_VERSION:
        worker.end()
        raise _other_protocol(ref, str(introduction.protocol))
    return introduction


def known_fields(
    action: str, fields: Mapping[str, JsonValue], known: Collection[str], ref: str
) -> JsonObject:
    """Return the fields that the other side has; MeasurementError for another one that is not empty."""
    lost = [name for name, value in fields.items() if name not in known and not _is_empty(value)]
    if lost:
        raise MeasurementError(
            f"its code does not have the field {', '.join(sorted(lost))} of the message {action!r}.",
            where=ref,
            remedy="Leave out the option that needs it, or compare with a newer version.",
        )
    return {name: value for name, value in fields.items() if name in known}


def _is_empty(value: JsonValue) -> bool:
    return value in (None, "", 0, False, [], {})


def _other_protocol(ref: str, version: str) -> MeasurementError:
    return MeasurementError(
        f"its workers use version {version} of the protocol, and this program {PROTOCOL_VERSION}.",
        where=ref,
        remedy="Compare with a newer version: workers of that protocol cannot be driven by this program.",
    )
