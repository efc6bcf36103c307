"""Which rounds of two records are paired, and what forbids a comparison.

    system, reference --ComparedPair--> the rounds that both have, in order | NotComparable

Two records are paired only if they differ in nothing but the system; any other difference is named as the
reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from harness.analysis.statistics.estimates import MINIMUM_ROUNDS
from harness.analysis.statistics.round_series import FIELDS, Field, RoundSeries
from harness.records.record import Record

_SHORTEST_HASH = 32
"""Hexadecimal digits from which on a value is a hash: those of md5."""


@dataclass(frozen=True, slots=True)
class NotComparable:
    """Two records without a ratio: `field` names the difference, `reason` is a clause after "because"."""

    reason: str
    field: str

    def __str__(self) -> str:
        """Format it for a report."""
        return f"refused, because {self.reason}"


@dataclass(frozen=True, eq=False)
class ComparedPair:
    """A system and the reference that it is compared with."""

    system: RoundSeries
    reference: RoundSeries

    @property
    def over(self) -> str:
        """The variant of the reference."""
        return self.reference.record.cell.variant

    @cached_property
    def shared(self) -> tuple[RoundSeries, RoundSeries] | NotComparable:
        """The rounds that both have, in order of launch and index, or why they cannot be paired."""
        for series in (self.system, self.reference):
            if series.record.status == "failed":
                return NotComparable(f"{series.record.cell.variant} failed", "status")
        if self.system.settings != self.reference.settings and (
            difference := mismatch(self.system.record, self.reference.record)
        ):
            return difference
        system, reference = self.system.in_order, self.reference.in_order
        if system.turns != reference.turns or len(reference.by_turn) < len(reference.turns):
            system, reference = _shared(system, reference)
        return _pairing_problem(system, reference) or (system, reference)


def pair_of(system: Record, reference: Record) -> ComparedPair:
    """Return a pair of two records with all their rounds."""
    return ComparedPair(RoundSeries(system, system.rounds), RoundSeries(reference, reference.rounds))


def mismatch(system: Record, reference: Record) -> NotComparable | None:
    """Return the first difference that forbids a ratio of these two, or None.

    Threads may differ if instances do, as long as both ran on the same CPUs: the variant determines how it
    uses them.
    """
    if difference := refusal(system, reference, FIELDS):
        return difference
    if _cpus(system) != _cpus(reference):
        return _differs("cpus", _cpus(system), _cpus(reference))
    first, second = system.cell, reference.cell
    if first.instances == second.instances and first.threads != second.threads:
        reason = f"the number of threads differs: {first.threads} and {second.threads}"
        return NotComparable(reason, "threads")
    return None


def refusal(system: Record, reference: Record, fields: Sequence[Field]) -> NotComparable | None:
    """Return the first of these fields that differs between two records, by name, or None."""
    read = attrgetter(*(path for _, path in fields))
    first, second = read(system), read(reference)
    if first == second:
        return None
    pairs = zip(fields, first, second, strict=True)
    return next(_differs(name, before, after) for (name, _), before, after in pairs if before != after)


def _differs(name: str, first: object, second: object) -> NotComparable:
    return NotComparable(f"the {name} differs: {as_text(first)} and {as_text(second)}", name)


def _cpus(record: Record) -> tuple[int, ...] | None:
    return record.placement.cpus if record.placement else None


def _shared(system: RoundSeries, reference: RoundSeries) -> tuple[RoundSeries, RoundSeries]:
    rounds = [item for item in system.rounds if (item.launch, item.index) in reference.by_turn]
    others = [reference.by_turn[item.launch, item.index] for item in rounds]
    return RoundSeries(system.record, rounds), RoundSeries(reference.record, others)


def _pairing_problem(system: RoundSeries, reference: RoundSeries) -> NotComparable | None:
    if system.turns != reference.turns or system.unusable or reference.unusable:
        for first, second in zip(system.rounds, reference.rounds, strict=True):
            if first.slice != second.slice:
                slices = f"{first.slice} and {second.slice}"
                return NotComparable(f"the slice of round {first.index} differs: {slices}", "slice")
            if min(first.requests, second.requests, first.wall_ns, second.wall_ns) < 1:
                return NotComparable(f"round {first.index} has no requests or no duration", "rounds")
    if (count := len(system.rounds)) < MINIMUM_ROUNDS:
        rounds = f"{count} round{'s' if count != 1 else ''}"
        return NotComparable(f"they share {rounds}, and an interval needs {MINIMUM_ROUNDS}", "rounds")
    return None


def as_text(value: object) -> str:
    """Return a value of a record as text: a hash as its first 12 digits, an empty value as `none`."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    text = str(value)
    is_hash = len(text) >= _SHORTEST_HASH and set(text) <= set("0123456789abcdef")
    return text[:12] if is_hash else text
