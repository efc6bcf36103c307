"""The messages between parent and worker: a request and an answer for each action, one JSON object a line.

parent  {"do": "visit", ...}                                            the fields of `VisitRequest`
worker  {"progress": "..."}*  then  {"done": {...}}  or  {"failed": {...}}   of `VisitResult`, `FailureReport`

    hello -> resolve -> prepare                      a worker that prepares variants
    hello -> calibrate                               a worker that calibrates a threshold
    hello -> open -> warm -> visit* -> complete      a worker that measures one cell

Names and shapes of the fields hold for other versions of this code, too: `bench gate` drives their workers
(`harness.runs.worker.other_version`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from harness.common import errors
from harness.common.errors import BenchError, MeasurementError
from harness.common.json_types import JsonObject
from harness.records.inputs import DataPlan
from harness.records.journal_entries import (
    FailureReport,
    OperatorTimes,
    PeakMemory,
    VisitResult,
    WarmResult,
)
from harness.systems.interface import Artifact, Checkpoint, Placement, Settings
from harness.workload.tasks import TaskReference
from harness.workload.tasks.multi_label import ThresholdCalibration

PROTOCOL_VERSION = 2
"""Raised when the meaning of a message changes (`harness/runs/worker/handshake.py`)."""

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class WorkerRequest(Generic[AnswerT]):
    """A message to a worker: `action` is its name on the wire, `answer` the type of what comes back."""

    action: ClassVar[str]
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a worker is: the fields it reads of each message, and the code that it runs."""

    protocol: int
    messages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    source: str = ""
    code: str = ""
    software: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HelloRequest(WorkerRequest[Introduction]):
    """Requests the introduction; `protocol` is the parent's version."""

    action: ClassVar[str] = "hello"
    answer: ClassVar[type] = Introduction
    protocol: int


@dataclass(frozen=True, slots=True)
class ResolveRequest(WorkerRequest[Checkpoint]):
    """Requests the checkpoint that a model's name means for a task."""

    action: ClassVar[str] = "resolve"
    answer: ClassVar[type] = Checkpoint
    task: TaskReference
    model: str
    cache: str


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Where the training split lies, and how many of its examples candidates are timed on.

    `reported` is the sha256 of the split that is reported, so that preparation can keep the two apart.
    """

    tier: Literal["embedded", "local", "online"]
    folder: str
    limit: int
    reported: str = ""


@dataclass(frozen=True, slots=True)
class CalibrateRequest(WorkerRequest[ThresholdCalibration]):
    """Requests the threshold of a multi-label task that suits a checkpoint, by training examples."""

    action: ClassVar[str] = "calibrate"
    answer: ClassVar[type] = ThresholdCalibration
    task: TaskReference
    checkpoint: Checkpoint
    training: TrainingData
    settings: Settings
    placement: Placement
    cache: str


@dataclass(frozen=True, slots=True)
class PreparedArtifact(Artifact):
    """A variant's artifact, and the seconds it took to make it or to find it."""

    fresh: bool  # without a default, so that it is always sent: older parents require it
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PrepareRequest(WorkerRequest[PreparedArtifact]):
    """Requests a variant's artifact, made now or found in the cache."""

    action: ClassVar[str] = "prepare"
    answer: ClassVar[type] = PreparedArtifact
    task: TaskReference
    variant: str
    checkpoint: Checkpoint
    trial: TrainingData
    settings: Settings
    placement: Placement
    cache: str
    rung: JsonObject | None = None
    meter: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenResult:
    """What the engine made of its settings, and what loading took; `load_ns` is None for a program."""

    effective: JsonObject
    loop_ns_per_request: float
    counters: str | None = None
    load_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest(WorkerRequest[OpenResult]):
    """Requests that a system is loaded and the timed sample encoded."""

    action: ClassVar[str] = "open"
    answer: ClassVar[type] = OpenResult
    task: TaskReference
    variant: str
    scenario: str
    boundary: str
    data: DataPlan
    artifact: Artifact
    settings: Settings
    placement: Placement
    meter: JsonObject | None
    cache: str
    sample: Sequence[int]
    rung: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class WarmRequest(WorkerRequest[WarmResult]):
    """Requests windows of these examples until times settle: at most so many, or `exactly` so many.

    With `first`, the very first request is answered alone before them.
    """

    action: ClassVar[str] = "warm"
    answer: ClassVar[type] = WarmResult
    indexes: Sequence[int]
    windows: int
    exactly: bool = False
    first: bool = True


@dataclass(frozen=True, slots=True)
class VisitRequest(WorkerRequest[VisitResult]):
    """Requests one timed window over these examples, after `warmup` unrecorded ones.

    The window lasts `window_ms` at least. In scenario `server` requests arrive at `rate` a second (0: all at
    once), at times drawn from `seed`.
    """

    action: ClassVar[str] = "visit"
    answer: ClassVar[type] = VisitResult
    indexes: Sequence[int]
    warmup: int
    window_ms: int = 0
    rate: float = 0.0
    seed: str = ""


@dataclass(frozen=True, slots=True)
class CompleteResult:
    """Untimed answers, and how many examples of the whole split were cut.

    `memory` is that of a program, which is gone when the parent could read it; None for all others.
    """

    answers: Sequence[str]
    truncated: int
    memory: PeakMemory | None = None


@dataclass(frozen=True, slots=True)
class CompleteRequest(WorkerRequest[CompleteResult]):
    """Requests untimed answers to these examples."""

    action: ClassVar[str] = "complete"
    answer: ClassVar[type] = CompleteResult
    indexes: Sequence[int]


@dataclass(frozen=True, slots=True)
class ProfileRequest(WorkerRequest[OperatorTimes]):
    """Requests answers to these examples with the engine's own profiler on."""

    action: ClassVar[str] = "profile"
    answer: ClassVar[type] = OperatorTimes
    indexes: Sequence[int]


@dataclass(frozen=True, slots=True)
class Closed:
    """The system is released."""


@dataclass(frozen=True, slots=True)
class CloseRequest(WorkerRequest[Closed]):
    """Requests that the system is released."""

    action: ClassVar[str] = "close"
    answer: ClassVar[type] = Closed


REQUESTS: dict[str, type[WorkerRequest[Any]]] = {
    kind.action: kind
    for kind in (
        *(HelloRequest, ResolveRequest, CalibrateRequest, PrepareRequest, OpenRequest, WarmRequest),
        *(VisitRequest, CompleteRequest, ProfileRequest, CloseRequest),
    )
}
"""All messages, by action."""


def failure_of(problem: BaseException) -> FailureReport:
    """Return an error as a message; one of another library keeps the name of its class."""
    if isinstance(problem, BenchError):
        return FailureReport(type(problem).__name__, problem.message, problem.where, problem.remedy)
    if isinstance(problem, MemoryError):
        return FailureReport("MemoryError", "out of memory", None, None)
    return FailureReport(type(problem).__name__, str(problem) or "no message", None, None)


def error_from(failure: FailureReport) -> BenchError:
    """Return the error that a message describes: of its own class if it is ours, else a MeasurementError."""
    kind = getattr(errors, failure.kind, None)
    if isinstance(kind, type) and issubclass(kind, BenchError):
        return kind(failure.message, where=failure.where, remedy=failure.remedy)
    return MeasurementError(f"{failure.kind}: {failure.message}", where=failure.where)
