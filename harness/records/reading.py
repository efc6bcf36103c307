"""Joules as values: a reading with its grade, scope and source, and how readings of zones add up."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Grade = Literal["measured", "modelled", "unavailable"]
Scope = Literal[
    "package",
    "dram",
    "package+dram",
    "board",
    "shared board",
    "process share",
    "system",
    "board+package",
    "board+package+dram",
    "shared board+package",
    "shared board+package+dram",
]
BOARDS = ("board", "shared board")


@dataclass(frozen=True, slots=True)
class Reading:
    """Energy of one zone over one window.

    `microjoules` is None exactly when `grade` is `unavailable`; then `reason` says why. `span_ns` is the
    window's length on a monotonic clock, `resolution_uj` the uncertainty of the difference of two readings
    in microjoules (quantum plus one update period at the edges), `samples` how many raw values were used.
    `overlaps` names zones whose energy is part of this one or the other way round: such zones are never
    summed. `observer_ns` is CPU time that the meter's own thread spent within the window; it is the same
    thread for all zones of a meter.
    """

    zone: str
    grade: Grade
    scope: Scope
    source: str
    microjoules: int | None
    span_ns: int
    resolution_uj: int = 0
    samples: int = 0
    reason: str | None = None
    overlaps: tuple[str, ...] = ()
    observer_ns: int = 0

    def __post_init__(self) -> None:
        """Hold the rule that absence has a reason and presence has a value."""
        if (self.grade == "unavailable") != (self.microjoules is None):
            raise ValueError(f"{self.zone}: a reading without joules is unavailable, and only such a reading")
        if self.grade == "unavailable" and not self.reason:
            raise ValueError(f"{self.zone}: an unavailable reading says why")


@dataclass(frozen=True, slots=True)
class Zone:
    """One counter of a meter: its name, what it covers, and the energy at which it wraps (microjoules)."""

    name: str
    scope: Scope
    range_uj: int | None = None


SumReadings = Callable[[Iterable[Reading]], Reading | None]
"""Which zones of a window are added up: `sum_readings` or `sum_with_processor`."""


def sum_readings(readings: Iterable[Reading]) -> Reading | None:
    """Sum the zones that may be summed: boards, or else sockets and DRAM, all of one grade, none in another.

    Where a board is read, the processor beside it is left out: a board's energy is the same quantity on
    machines that report their processor's energy and on those that do not. `sum_with_processor` adds both.
    Returns None if there is nothing to sum. One unavailable part makes the sum unavailable: a sum without a
    socket is not the machine.
    """
    every = list(readings)
    boards = [part for part in every if part.scope in BOARDS]
    return _summed(boards or every)


def sum_with_processor(readings: Iterable[Reading]) -> Reading | None:
    """Sum boards and the processor beside them, under a scope that names both; None unless both were read.

    Parts of different grades have no sum, nor has one with a part that is unavailable.
    """
    every = list(readings)
    boards = [part for part in every if part.scope in BOARDS]
    if len(boards) in (0, len(every)):
        return None
    if len(grades := {part.grade for part in every if part.grade != "unavailable"}) > 1:
        reason = f"its parts are {' and '.join(sorted(grades))}, and such joules are never added"
        return replace(every[0], zone="total", grade="unavailable", microjoules=None, reason=reason)
    return _summed(every)


def _summed(parts: Sequence[Reading]) -> Reading | None:
    if not parts:
        return None
    missing = [part for part in parts if part.grade == "unavailable"]
    if missing:
        return replace(missing[0], zone="total", reason=f"{missing[0].zone}: {missing[0].reason}")
    if len({part.grade for part in parts}) > 1:
        raise ValueError("readings of different grades are never summed")
    return Reading(
        zone="total",
        grade=parts[0].grade,
        scope=_joined({part.scope for part in parts}),
        source=" + ".join(dict.fromkeys(part.source for part in parts)),
        microjoules=sum(part.microjoules or 0 for part in parts),
        span_ns=max(part.span_ns for part in parts),
        resolution_uj=sum(part.resolution_uj for part in parts),
        samples=min(part.samples for part in parts),
        observer_ns=max(part.observer_ns for part in parts),
    )


def _joined(scopes: set[Scope]) -> Scope:
    """Return what a sum covers: one board that others share makes the sum one that others share."""
    if len(scopes) == 1:
        return next(iter(scopes))
    board = next((name for name in reversed(BOARDS) if name in scopes), None)
    rest = scopes - {*BOARDS}
    if board is None:
        return "package+dram"
    if not rest:
        return "shared board"
    return _WITH_PROCESSOR[board, "dram" in str(rest)]


_WITH_PROCESSOR: dict[tuple[str, bool], Scope] = {
    ("board", False): "board+package",
    ("board", True): "board+package+dram",
    ("shared board", False): "shared board+package",
    ("shared board", True): "shared board+package+dram",
}
