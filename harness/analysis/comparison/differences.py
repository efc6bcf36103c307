"""What is not the same in two records: what forbids a comparison, and what its reader must be told."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.analysis.statistics.pairing import NotComparable
from harness.records.record import Record

Kind = Literal["environment", "software", "model", "data", "settings", "revision"]

ABSENT = "none"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same: what kind of thing, its name, and both values in words."""

    kind: Kind
    name: str
    before: str
    after: str

    def __str__(self) -> str:
        """Say it as a report prints it."""
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
    ("rate", lambda record: getattr(record.cell, "rate", 0.0)),
)
"""What makes two records answers to different questions."""

_TOLD: tuple[tuple[Kind, str, Callable[[Record], Any]], ...] = (
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
    """Return the first thing that forbids a comparison of these two, or None."""
    for name, read in _FORBIDDING:
        one, other = read(before), read(after)
        if one != other:
            return NotComparable(f"the {name} differs: {said(one)} and {said(other)}", name)
    for record in (before, after):
        if record.status == "failed":
            return NotComparable(f"{record.cell.variant} failed in {record.run}", "status")
    return None


def differences(before: Record, after: Record) -> tuple[Difference, ...]:
    """Return everything that is not the same and does not forbid a comparison, in a fixed order."""
    return (*_environment(before, after), *_software(before, after), *_others(before, after))


def said(value: object) -> str:
    """Return a value in words; a hash by its beginning."""
    if value is None:
        return ABSENT
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or ABSENT
    text = str(value)
    is_hash = len(text) >= 32 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 -- md5 and longer
    return text[:12] if is_hash else text


def _environment(before: Record, after: Record) -> Iterator[Difference]:
    if before.host.fingerprint == after.host.fingerprint:
        return
    named = list(_of_mapping("environment", before.host.facts, after.host.facts))
    if not named:
        pair = said(before.host.fingerprint), said(after.host.fingerprint)
        named = [Difference("environment", "host fingerprint", *pair)]
    if before.host.name_sha256 != after.host.name_sha256:
        pair = said(before.host.name_sha256), said(after.host.name_sha256)
        named.insert(0, Difference("environment", "host", *pair))
    yield from named


def _software(before: Record, after: Record) -> Iterator[Difference]:
    yield from _of_mapping("software", before.software, after.software)
    one, other = _revision(before), _revision(after)
    if one != other:
        yield Difference("revision", "revision", one, other)


def _revision(record: Record) -> str:
    revision: Any = getattr(record, "revision", None)
    return ABSENT if revision is None else str(revision)


def _of_mapping(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one != other:
            yield Difference(kind, name, said(one), said(other))


def _others(before: Record, after: Record) -> Iterator[Difference]:
    for kind, name, read in _TOLD:
        one, other = read(before), read(after)
        if one != other:
            yield Difference(kind, name, said(one), said(other))
