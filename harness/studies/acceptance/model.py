"""The contents of an acceptance archive: recorded counters, loads, and facts of the machine."""

from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator

from harness.common.json_types import MAX_INTEGER
from harness.common.model import FrozenModel, JsonFacts
from harness.records.reading import Scope


def _relative(path: str) -> str:
    if not path.startswith(("sys/", "proc/")) or ".." in path.split("/") or not path.isprintable():
        raise ValueError("expected the path of a kernel file below the root")
    return path


Number = Annotated[int, Ge(0), Le(MAX_INTEGER)]
Name = Annotated[str, MinLen(1), MaxLen(200)]

KernelFile = Annotated[str, MaxLen(200), AfterValidator(_relative)]
"""The path of a kernel file below the root."""

Row = Annotated[tuple[Number | None, ...], MinLen(2)]
"""Nanoseconds since the recording began, then the microjoules of each zone, or None if it was unreadable."""

Rows = Annotated[tuple[Row, ...], MinLen(1), MaxLen(400_000)]


class CounterZone(FrozenModel):
    """One counter: its zone and the properties that its meter states."""

    name: Name
    scope: Scope
    range_uj: Number | None
    source: str
    update_ns: Number
    quantum_uj: float
    ceiling_watts: Number


class PhaseRows(FrozenModel):
    """The rows of one phase."""

    phase: Name
    rows: Rows


class CounterTrace(FrozenModel):
    """The recorded values of one meter's counters.

    `check` are the rows of the rapid reads: all in which a value changed, all at which the power sensor was
    read, and the last. `power` are nanoseconds and microwatts; None without a sensor. `reasons` holds why
    zones were unreadable.
    """

    meter: Name
    facts: JsonFacts
    update_period_ns: Number
    zones: Annotated[tuple[CounterZone, ...], MinLen(1), MaxLen(1000)]
    check: Rows
    power: tuple[tuple[Number, Number | None], ...] | None
    phases: tuple[PhaseRows, ...]
    reasons: dict[str, str]


class Phase(FrozenModel):
    """A load of known size: busy processes, or the matrix product of a board.

    `cpu_s` is the CPU time of these processes. `reason` is why the phase was not measured, or None.
    """

    name: Name
    about: str
    processes: Number = 0
    cpu_s: float | None = None
    reason: str | None = None


class MissingMeter(FrozenModel):
    """A meter without a readable counter, why, and what would allow it."""

    meter: Name
    reason: str
    remedy: str


class Acceptance(FrozenModel):
    """Everything in an archive but its run; `files` are kernel files below the root, by path.

    A machine without a readable counter has no `counters`; `missing` holds the reasons.
    """

    format: Literal[1] = 1
    version: str
    device: str
    host: JsonFacts
    software: dict[str, str]
    files: dict[KernelFile, str]
    counters: tuple[CounterTrace, ...]
    missing: tuple[MissingMeter, ...]
    phases: tuple[Phase, ...]
    run: str | None = None
    run_reason: str | None = None
    findings: JsonFacts
