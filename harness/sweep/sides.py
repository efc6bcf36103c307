"""The sides of a gate: the same variants by two versions of code, or of two models, in one run.

A side's variants are named `onnx-int8@base` and `onnx-int8@head`. Whoever drives the run is one program,
ours; what differs is where a side's workers take their code from, and which checkpoint they are given.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from harness.errors import BenchError, MeasurementError
from harness.record import Facts, Revision
from harness.sweep.wire import PROTOCOL_VERSION

if TYPE_CHECKING:
    from harness.sweep.launch import Told, Worker

MARK = "@"
BASE, HEAD, AGAIN = "base", "head", "base-again"
"""The reference, what is held against it, and the reference once more: how far that differs is noise."""

SIDES = (BASE, HEAD, AGAIN)


class Side(Facts):
    """Where one side's workers take their code, their artifacts and their model from.

    `python` is the interpreter and `source` a folder that goes before all others on its module path; empty
    means ours. `cache` is where its artifacts lie, empty for the run's own; `checkpoint` None for the run's
    own. These stay on this machine. `ref`, `revision` and `software` say in the record what the side is.
    """

    name: str
    ref: str
    python: str = ""
    source: str = ""
    cache: str = ""
    checkpoint: dict[str, Any] | None = None
    revision: Revision | None = None
    software: dict[str, str] = Field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return what a record says of it."""
        return {"name": self.name, "ref": self.ref, "revision": str(self.revision) if self.revision else None}


def plain(variant: str) -> str:
    """Return the variant's own name, without its side."""
    return variant.partition(MARK)[0]


def side_name(variant: str) -> str:
    """Return the side in a variant's name, empty where there is none."""
    return variant.partition(MARK)[2]


class Foreign:
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

    def ask(self, do: str, told: "Told | None" = None, **words: Any) -> dict[str, Any]:  # noqa: ANN401
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
