"""The lines of a run's journal, one type for each kind.

{"kind": "opened",    "cell", "launch", ...}            what loading and warming up a cell's worker showed
{"kind": "round",     "group", "index", "slice", "launch", "elapsed_ns", "indexes", "visits": {cell: {...}}}
{"kind": "completed", "cell", "indexes", "answers", "truncated"}
{"kind": "searched",  "cell", "highest_rate", "capacity", "trials"}   where an SLO was given
{"kind": "failed",    "cell", "failure": {...}}
{"kind": "memory",    "cell", "peak_bytes", "counted_as"}
{"kind": "operators", "cell", "seconds", "requests" or "unavailable"} where the compute limit was requested
{"kind": "idle",      "cell", "when", "readings" or "unavailable"}    before the first round, after the last
{"kind": "stopped",   "cell", "reason", "rounds", "half_width"}       where rounds are added for precision

`to_line` and `from_line` are the only places that read or write these objects as JSON. A line of an older
version reads the same: a field that it lacks has its default, a field that is gone is skipped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal

from pydantic import TypeAdapter

from harness.common.errors import StoreError
from harness.common.json_codec import to_json
from harness.common.json_types import JsonObject, JsonValue
from harness.records.facts import RateTrial, TextLoss, Traffic
from harness.records.reading import Reading

StopCause = Literal["precision", "time budget", "rounds", "nothing to compare"]


@dataclass(frozen=True, slots=True)
class FailureReport:
    """An error as it crosses processes and as the journal keeps it; `kind` is the name of its class."""

    kind: str
    message: str
    where: str | None
    remedy: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitResult:
    """What a worker measured in one visit: the answer to the message `visit`.

    `requests` to `instructions` are totals of the window, over all `passes` of the slice. `call_ns` holds the
    nanoseconds of each call, pass after pass, and `gap_ns` those before each call
    (`measurement.timing.loop`); `readings` one reading for each zone of the meter. `answers` and `costs` are
    those of the first pass, one for each example; `changed` lists the examples that a later pass answered
    differently. `offered_ns` and `late_ns` belong to scenario `server`, `traffic` to a model server. Units
    and further meanings: `harness.records.record.Round`.
    """

    requests: int
    sequences: int
    tokens: int
    token_squares: int | None = None
    passes: int = 1
    wall_ns: int
    cpu_ns: int
    cycles: int | None = None
    instructions: int | None = None
    call_ns: Sequence[int]
    gap_ns: Sequence[int] = ()
    readings: Sequence[Reading]
    answers: Sequence[str]
    costs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    changed: Sequence[int] = ()
    offered_ns: int | None = None
    late_ns: int | None = None
    traffic: Traffic | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitEntry(VisitResult):
    """A visit in a round: what the worker measured, and what the parent observed around it.

    `position` is the cell's turn in the shuffled round. The rest is None where the kernel hides it.
    """

    position: int
    watched_ns: int | None = None
    foreign_cpu_ns: int | None = None
    elsewhere_cpu_ns: int | None = None
    steal_ns: int | None = None
    parent_cpu_ns: int | None = None
    exchange_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEntry:
    """One pass of all cells of a group over a slice; `elapsed_ns` includes the start of a launch."""

    kind: ClassVar[str] = "round"
    group: str
    index: int
    slice: int
    launch: int
    elapsed_ns: int = 0
    indexes: Sequence[int]
    visits: Mapping[str, VisitEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmResult:
    """How warming up went: the answer to the message `warm`; fields as in `harness.records.record.Startup`.

    `first_request_ns` is None for a program that is started anew for each visit. Such a program reports its
    `effective` settings only once it has run.
    """

    warmup_requests: int
    windows: int | None = None
    steady: bool | None = None
    first_request_ns: int | None = None
    lengths: int = 0
    first_length_ns: int | None = None
    repeat_length_ns: int | None = None
    effective: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(WarmResult):
    """What loading and warming up a cell's worker showed; `load_ns` is None for a program."""

    effective: JsonObject
    loop_ns_per_request: float
    counters: str | None = None
    load_ns: int | None = None
    loaded_per_visit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEntry(Opening):
    """The opening of a cell's worker in one launch."""

    kind: ClassVar[str] = "opened"
    cell: str
    launch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedEntry:
    """The untimed answers; `truncated` examples of the whole split were cut, `losses` is what they lost."""

    kind: ClassVar[str] = "completed"
    cell: str
    indexes: Sequence[int]
    answers: Sequence[str]
    truncated: int
    losses: Sequence[TextLoss] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSearch:
    """The highest rate within an SLO (None if no rate was), the capacity above it, and every trial."""

    highest_rate: float | None
    capacity: float
    trials: Sequence[RateTrial]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedEntry(RateSearch):
    """The rate search of a cell."""

    kind: ClassVar[str] = "searched"
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedEntry:
    """A cell that cannot go on, and why."""

    kind: ClassVar[str] = "failed"
    cell: str
    failure: FailureReport


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakMemory:
    """Peak memory of a worker or program; both fields are None where it could not be read."""

    peak_bytes: int | None = None
    counted_as: Literal["PSS", "RSS"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEntry(PeakMemory):
    """The peak memory of a cell; the last entry of a cell that is complete."""

    kind: ClassVar[str] = "memory"
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTimes:
    """Seconds by class of operator over some requests, from the engine's profiler, or why there are none."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    requests: int = 0
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorsEntry(OperatorTimes):
    """The operator times of a cell."""

    kind: ClassVar[str] = "operators"
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleEntry:
    """The readings of a window in which all workers are stopped, or why there are none."""

    kind: ClassVar[str] = "idle"
    cell: str
    when: Literal["before", "after"]
    readings: Sequence[Reading] = ()
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedEntry:
    """Why no more rounds were added, after how many, and the group's widest half-width then."""

    kind: ClassVar[str] = "stopped"
    cell: str
    reason: StopCause
    rounds: int
    half_width: float | None


CellEntry = (
    OpenedEntry
    | CompletedEntry
    | SearchedEntry
    | FailedEntry
    | MemoryEntry
    | OperatorsEntry
    | IdleEntry
    | StoppedEntry
)
"""An entry about one cell."""

JournalEntry = RoundEntry | CellEntry

_KINDS: dict[str, type[JournalEntry]] = {
    kind.kind: kind
    for kind in (
        *(OpenedEntry, RoundEntry, CompletedEntry, SearchedEntry, FailedEntry),
        *(MemoryEntry, OperatorsEntry, IdleEntry, StoppedEntry),
    )
}


def to_line(entry: JournalEntry) -> JsonObject:
    """Return an entry as the journal holds it."""
    return {"kind": entry.kind, **to_json(entry)}


def from_lines(lines: Iterable[Mapping[str, JsonValue]]) -> list[JournalEntry]:
    """Return the entries of a journal; those of a kind that this version does not read are skipped.

    Raises StoreError for an entry that lacks a field, or has one of another type.
    """
    return [
        _entry(number, line)
        for number, line in enumerate(lines, 1)
        if not isinstance(kind := line.get("kind"), str) or kind in _KINDS
    ]


def _entry(number: int, line: Mapping[str, JsonValue]) -> JournalEntry:
    try:
        return _adapter(line["kind"]).validate_python(line)
    except (KeyError, TypeError, ValueError) as problem:
        reason = " ".join(str(problem).splitlines()[:3])
        raise StoreError(
            f"entry {number} of the journal cannot be read: {reason}.",
            remedy="Delete that line and resume the run: what it held is measured again.",
        ) from None


@cache
def _adapter(kind: str) -> TypeAdapter[JournalEntry]:
    return TypeAdapter(_KINDS[kind])
