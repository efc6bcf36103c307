"""Energy readings with grade, scope and source, and sums of the readings of several zones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.common.json_types import Count, Signed

Grade = Literal["measured", "modelled", "unavailable"]
Scope = Literal[
    "package",
    "dram",
    "package+dram",
    "board",
    "shared board",
    "process share",
    "machine share",
    "system",
    "board+package",
    "board+package+dram",
    "shared board+package",
    "shared board+package+dram",
]
MODELLED_SHARES = ("process share", "machine share")
"""Scopes of models: the part of one process, and the machine's part of the server that it runs on."""

BOARDS = ("board", "shared board")
"""Scopes of an accelerator board: exclusive, or shared with other processes."""

CPU_TIME = "CPU time in other units"
"""What most modelled joules are: CPU time times a constant."""

_OTHER_MODELS = ("codecarbon", "replay", "power curve")
"""Prefixes of the sources of other models."""


def model_of(source: str) -> str:
    """Return what modelled joules of this source are."""
    return source if source.startswith(_OTHER_MODELS) else CPU_TIME


@dataclass(frozen=True, slots=True)
class Reading:
    """Energy of one zone over one window.

    `microjoules` is null exactly when `grade` is `unavailable`; `reason` then holds the reason. `span_ns` is
    the length of the window on a monotonic clock, `resolution_uj` the uncertainty of the difference of two
    readings (the counter's quantum plus one update period at the edges), `samples` the number of raw values.
    `overlaps` names zones that include this one or are included in it: such zones are never summed.
    `observer_ns` is the CPU time of the meter's thread within the window; one thread serves all zones of a
    meter.
    """

    zone: str
    grade: Grade
    scope: Scope
    source: str
    microjoules: Signed | None
    span_ns: Count
    resolution_uj: Count = 0
    samples: Count = 0
    reason: str | None = None
    overlaps: tuple[str, ...] = ()
    observer_ns: Count = 0

    def __post_init__(self) -> None:
        """Raise ValueError unless the reading has either a value or a reason why it is unavailable."""
        if (self.grade == "unavailable") != (self.microjoules is None):
            raise ValueError(
                f"{self.zone}: microjoules must be None exactly for grade 'unavailable', "
                f"got {self.microjoules} and grade {self.grade!r}"
            )
        if self.grade == "unavailable" and not self.reason:
            raise ValueError(f"{self.zone}: an unavailable reading needs a reason")


@dataclass(frozen=True, slots=True)
class Zone:
    """One counter of a meter: its name, its scope, and the energy in microjoules at which it wraps."""

    name: str
    scope: Scope
    range_uj: Count | None = None


SumReadings = Callable[[Iterable[Reading]], Reading | None]
"""A function that sums the zones of a window: `sum_readings` or `sum_with_processor`."""


def sum_readings(readings: Iterable[Reading]) -> Reading | None:
    """Sum the readings of the boards, or, without boards, those of sockets and DRAM.

    The processor beside a board is left out, so that the energy of a board is the same quantity on machines
    with and without a meter for the processor. `sum_with_processor` includes it.

    Returns None if there are no readings. One unavailable reading makes the sum unavailable: the energy of
    the machine includes all its sockets. Raises ValueError for readings of different grades.
    """
    all_readings = list(readings)
    boards = [reading for reading in all_readings if reading.scope in BOARDS]
    return _sum(boards or all_readings)


def sum_with_processor(readings: Iterable[Reading]) -> Reading | None:
    """Sum the readings of the boards and of the processor; None unless both were read.

    The scope of the sum names both. Readings of different grades, or an unavailable one, make it unavailable.
    """
    all_readings = list(readings)
    boards = [reading for reading in all_readings if reading.scope in BOARDS]
    if len(boards) in (0, len(all_readings)):
        return None
    if len(grades := {reading.grade for reading in all_readings if reading.grade != "unavailable"}) > 1:
        reason = f"readings of different grades ({' and '.join(sorted(grades))}) are never summed"
        return replace(all_readings[0], zone="total", grade="unavailable", microjoules=None, reason=reason)
    return _sum(all_readings)


def _sum(readings: Sequence[Reading]) -> Reading | None:
    if not readings:
        return None
    missing = [reading for reading in readings if reading.grade == "unavailable"]
    if missing:
        return replace(missing[0], zone="total", reason=f"{missing[0].zone}: {missing[0].reason}")
    if len({reading.grade for reading in readings}) > 1:
        raise ValueError("readings of different grades are never summed")
    return Reading(
        zone="total",
        grade=readings[0].grade,
        scope=_scope_of_sum({reading.scope for reading in readings}),
        source=" + ".join(dict.fromkeys(reading.source for reading in readings)),
        microjoules=sum(reading.microjoules or 0 for reading in readings),
        span_ns=max(reading.span_ns for reading in readings),
        resolution_uj=sum(reading.resolution_uj for reading in readings),
        samples=min(reading.samples for reading in readings),
        observer_ns=max(reading.observer_ns for reading in readings),
    )


def _scope_of_sum(scopes: set[Scope]) -> Scope:
    """Return the scope of a sum; one shared board makes it a shared one."""
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
