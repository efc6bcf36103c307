"""Differences between two records: those that forbid a comparison, and those that a report lists."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.analysis.statistics.pairing import NotComparable, as_text
from harness.records.record import Record

Kind = Literal["environment", "software", "model", "data", "settings", "revision"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: its kind, the name of the field, and both values as text."""

    kind: Kind
    name: str
    before: str
    after: str

    def __str__(self) -> str:
        """Format it for a report."""
        return f"{self.name}: {self.before}, then {self.after}"


Field = tuple[str, Callable[[Record], Any]]

_FORBIDDING: tuple[Field, ...] = (
    ("schema version", lambda record: record.schema_version),
    ("task", lambda record: record.cell.task),
    ("data fingerprint", lambda record: record.data.fingerprint),
    ("split", lambda record: record.data.split),
    ("maximum length", lambda record: record.cell.max_length),
    ("device", lambda record: record.cell.device),
    ("scenario", lambda record: record.cell.scenario),
    ("boundary", lambda record: record.cell.boundary),
    ("batch", lambda record: record.cell.batch),
    ("rate", lambda record: record.cell.rate),
)
"""Fields that must be equal for a comparison."""

_LISTED: tuple[tuple[Kind, str, Callable[[Record], Any]], ...] = (
    ("model", "model", lambda record: record.model.name),
    ("model", "model fingerprint", lambda record: record.model.fingerprint),
    ("settings", "variant", lambda record: record.cell.variant.partition("@")[0]),
    ("settings", "threads", lambda record: record.cell.threads * record.cell.instances),
    ("settings", "instances", lambda record: record.cell.instances),
    ("settings", "cpus", lambda record: record.placement and record.placement.cpus),
    ("settings", "profile", lambda record: record.profile),
    ("settings", "seed", lambda record: record.seed),
    ("settings", "rounds", lambda record: record.rounds_planned),
    ("settings", "timed examples", lambda record: record.data.sample),
    ("settings", "meter", lambda record: record.energy.meter),
    ("settings", "artifact", lambda record: record.artifact.key if record.artifact else None),
)


def refused(before: Record, after: Record) -> NotComparable | None:
    """Return the first difference that forbids a comparison of these two, or None."""
    for name, read in _FORBIDDING:
        old, new = read(before), read(after)
        if old != new:
            return NotComparable(f"the {name} differs: {as_text(old)} and {as_text(new)}", name)
    for record in (before, after):
        if record.status == "failed":
            return NotComparable(f"{record.cell.variant} failed in {record.run}", "status")
    return None


_MACHINE = (
    "cpu_model",
    "architecture",
    "family",
    "model",
    "logical_cpus",
    "usable_physical_cpus",
    "virtualisation",
    "gpus",
)
"""Facts of a host that make two machines unlike: speeds of one say nothing about changes on the other."""


def unlike_machines(before: Record, after: Record) -> str:
    """Return how the machines of two records differ, or an empty text for machines of one kind."""
    if before.host.fingerprint == after.host.fingerprint:
        return ""
    pairs = [(name, before.host.facts.get(name), after.host.facts.get(name)) for name in _MACHINE]
    # a fact that an older record does not hold is not a difference
    return "; ".join(
        f"{name}: {as_text(old)}, then {as_text(new)}" for name, old, new in pairs if _differ(old, new)
    )


def _differ(before: object, after: object) -> bool:
    return before is not None and after is not None and before != after


def differences(before: Record, after: Record) -> tuple[Difference, ...]:
    """Return every difference that does not forbid a comparison, in a fixed order."""
    return (
        *_environment(before, after),
        *_of_mappings("software", before.software, after.software),
        *_of_values("revision", "revision", before.revision, after.revision),
        *(
            difference
            for kind, name, read in _LISTED
            for difference in _of_values(kind, name, read(before), read(after))
        ),
    )


def _environment(before: Record, after: Record) -> Iterator[Difference]:
    if before.host.fingerprint == after.host.fingerprint:
        return
    yield from _of_values("environment", "host", before.host.name_sha256, after.host.name_sha256)
    facts = list(_of_mappings("environment", before.host.facts, after.host.facts))
    fingerprints = before.host.fingerprint, after.host.fingerprint
    yield from facts or _of_values("environment", "host fingerprint", *fingerprints)


def _of_mappings(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*before, *after)):
        yield from _of_values(kind, name, before.get(name), after.get(name))


def _of_values(kind: Kind, name: str, before: object, after: object) -> Iterator[Difference]:
    if before != after:
        yield Difference(kind, name, as_text(before), as_text(after))
