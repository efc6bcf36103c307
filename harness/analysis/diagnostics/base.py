"""What a warning is, and what its rules need to speak of a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.analysis.statistics.estimates import EnergyWindows, unusable
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class ResultWarning:
    """A reason to distrust: `sentence` says which record and why, `next_step` what to do about it."""

    code: str
    sentence: str
    next_step: str


Rule = Callable[[Record], ResultWarning | None]
EnergyRule = Callable[[Record, EnergyWindows | Unavailable], ResultWarning | None]
"""Looks at the energies of the record's rounds, or at why there are none, too."""

GroupRule = Callable[[Record, Sequence[Record]], ResultWarning | None]


def harness_share(record: Record) -> float | None:
    """Return the share of the time per request that the timed loop itself takes, or None if not known."""
    if record.observer is None or unusable(record.rounds):
        return None
    times = [item.wall_ns / item.requests for item in record.rounds]
    return record.observer.loop_ns_per_request / median(times)


def is_null(record: Record) -> bool:
    """Say whether this is a system that does not read its input: it measures the harness, and is no model."""
    effective = record.placement.effective if record.placement else {}
    return record.cell.variant == "null" or effective.get("reads_input") is False


def name_of(record: Record) -> str:
    """Name the cell that a sentence is about."""
    return record.cell.variant


def run_of(record: Record) -> str:
    """Name the run: a warning about all its records says the same of each, and is shown once."""
    return f"Run {record.run}"


def stop(text: str) -> str:
    """End a clause or sentence with exactly one full stop."""
    return f"{text.rstrip('. ')}."


def more_requests(record: Record) -> str:
    """Return, as a sentence, how this run could ask more different requests."""
    data = record.data
    if data.sample < data.examples and record.profile == "quick":
        return "Time more examples: --profile default, or --limit."
    if data.sample < data.examples:
        return f"Time more examples: raise --limit, up to the {data.examples:,} of this split."
    split = f"{data.name}/{data.split}"
    return f"All {data.examples:,} examples of {split} are timed: name a larger split, or more data."


def of_manifest(record: Record, name: str) -> Mapping[str, Any]:
    """Return a part of the artifact's manifest, empty where there is none or it was not measured."""
    found = record.artifact.manifest.get(name) if record.artifact else None
    return found if isinstance(found, Mapping) else {}


def primary_of(record: Record) -> Estimate | None:
    """Return the estimate of the metric that leads the table, if there is one."""
    return record.quality.metrics.get(record.quality.primary) if record.quality else None
