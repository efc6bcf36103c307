"""The type of a warning, and functions that its rules share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.analysis.statistics.estimates import EnergyWindows, times_of, unusable
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class ResultWarning:
    """A reason to distrust a record: `sentence` states which record and why, `next_step` what to do."""

    code: str
    sentence: str
    next_step: str


Rule = Callable[[Record], ResultWarning | None]
EnergyRule = Callable[[Record, EnergyWindows | Unavailable], ResultWarning | None]
"""A rule on a record and the energies of its rounds, or the reason why they are unavailable."""

GroupRule = Callable[[Record, Sequence[Record]], ResultWarning | None]
"""A rule on a record and other records."""


def harness_share(record: Record) -> float | None:
    """Return the share of the time per request that the timed loop itself takes, or None if unknown."""
    if record.observer is None or unusable(record.rounds):
        return None
    median_ns: float = median(times_of(record.rounds).tolist())
    return record.observer.loop_ns_per_request / median_ns


def is_null(record: Record) -> bool:
    """Return whether this system does not read its input, so that it measures the overhead of the harness."""
    effective = record.placement.effective if record.placement else {}
    return record.cell.variant == "null" or effective.get("reads_input") is False


def name_of(record: Record) -> str:
    """Return the name of the cell as sentences state it."""
    return record.cell.variant


def run_of(record: Record) -> str:
    """Return the name of the run; a warning about a whole run has one sentence, and is shown once."""
    return f"Run {record.run}"


def stop(text: str) -> str:
    """End a clause or sentence with exactly one full stop."""
    return f"{text.rstrip('. ')}."


def more_requests(record: Record) -> str:
    """Return, as a sentence, how this run could time more distinct requests."""
    data = record.data
    if data.sample < data.examples and record.profile == "quick":
        return "Time more examples: --profile default, or --limit."
    if data.sample < data.examples:
        return f"Time more examples: raise --limit, up to the {data.examples:,} of this split."
    split = f"{data.name}/{data.split}"
    return f"All {data.examples:,} examples of {split} are timed: use a larger split or more data."


def manifest_part(record: Record, name: str) -> Mapping[str, Any]:
    """Return a part of the artifact's manifest; empty if it is missing or was not measured."""
    part = record.artifact.manifest.get(name) if record.artifact else None
    return part if isinstance(part, Mapping) else {}


def primary_of(record: Record) -> Estimate | None:
    """Return the estimate of the primary metric, if there is one."""
    return record.quality.metrics.get(record.quality.primary) if record.quality else None
