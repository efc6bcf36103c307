"""Which rounds of two records are paired, and what forbids it.

    system, reference --Pair--> the rounds that both have, in order | Refused

Two records are paired that differ in nothing but the system: whatever else differs is named in the refusal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

from harness.analysis.statistics.estimates import MINIMUM_ROUNDS
from harness.analysis.statistics.round_series import FIELDS, Field, RoundSeries
from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class NotComparable:
    """No ratio: `field` names what differs or lacks, `reason` is a clause that continues "because ..."."""

    reason: str
    field: str

    def __str__(self) -> str:
        """Say it as a report prints it."""
        return f"refused, because {self.reason}"


@dataclass(frozen=True, eq=False)
class ComparedPair:
    """A system and the reference it is held against."""

    system: RoundSeries
    reference: RoundSeries

    @property
    def over(self) -> str:
        """The reference's variant."""
        return self.reference.record.cell.variant

    @cached_property
    def shared(self) -> tuple[RoundSeries, RoundSeries] | NotComparable:
        """The rounds that both have, in order of launch and index, or why they cannot be paired."""
        for one in (self.system, self.reference):
            if one.record.status == "failed":
                return NotComparable(f"{one.record.cell.variant} failed", "status")
        if self.system.settings != self.reference.settings and (
            found := mismatch(self.system.record, self.reference.record)
        ):
            return found
        mine, theirs = self.system.in_order, self.reference.in_order
        if mine.turns != theirs.turns or len(theirs.by_turn) < len(theirs.turns):
            mine, theirs = _shared(mine, theirs)
        return _unpaired(mine, theirs) or (mine, theirs)


def pair_of(system: Record, reference: Record) -> ComparedPair:
    """Return a pair of two records with all their rounds."""
    return ComparedPair(RoundSeries(system, system.rounds), RoundSeries(reference, reference.rounds))


def mismatch(system: Record, reference: Record) -> NotComparable | None:
    """Return the first thing that forbids a ratio of these two, or None.

    Threads may differ where instances do, as far as both ran on the same cpus: that is what the variant
    chose.
    """
    if found := refusal(system, reference, FIELDS):
        return found
    if _cpus(system) != _cpus(reference):
        return _differs("cpus", _cpus(system), _cpus(reference))
    mine, theirs = system.cell, reference.cell
    if mine.instances == theirs.instances and mine.threads != theirs.threads:
        return NotComparable(f"the number of threads differs: {mine.threads} and {theirs.threads}", "threads")
    return None


def refusal(system: Record, reference: Record, fields: Sequence[Field]) -> NotComparable | None:
    """Return the first of these fields in which two records differ, by name, or None."""
    read = attrgetter(*(place for _, place in fields))
    mine, theirs = read(system), read(reference)
    if mine == theirs:
        return None
    differing = zip(fields, mine, theirs, strict=True)
    return next(_differs(name, one, other) for (name, _), one, other in differing if one != other)


def _differs(name: str, mine: object, theirs: object) -> NotComparable:
    return NotComparable(f"the {name} differs: {_shown(mine)} and {_shown(theirs)}", name)


def _cpus(record: Record) -> tuple[int, ...] | None:
    return record.placement.cpus if record.placement else None


def _shared(mine: RoundSeries, theirs: RoundSeries) -> tuple[RoundSeries, RoundSeries]:
    rounds = [item for item in mine.rounds if (item.launch, item.index) in theirs.by_turn]
    others = [theirs.by_turn[item.launch, item.index] for item in rounds]
    return RoundSeries(mine.record, rounds), RoundSeries(theirs.record, others)


def _unpaired(mine: RoundSeries, theirs: RoundSeries) -> NotComparable | None:
    if mine.turns != theirs.turns or mine.unusable or theirs.unusable:
        for one, other in zip(mine.rounds, theirs.rounds, strict=True):
            if one.slice != other.slice:
                slices = f"{one.slice} and {other.slice}"
                return NotComparable(f"the slice of round {one.index} differs: {slices}", "slice")
            if min(one.requests, other.requests, one.wall_ns, other.wall_ns) < 1:
                return NotComparable(f"round {one.index} holds no request or no time", "rounds")
    if len(mine.rounds) < MINIMUM_ROUNDS:
        counted = f"{len(mine.rounds)} round{'s' if len(mine.rounds) != 1 else ''}"
        return NotComparable(f"they share {counted}, and an interval needs {MINIMUM_ROUNDS}", "rounds")
    return None


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    text = str(value)
    is_hash = len(text) >= 32 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 -- md5 and longer
    return text[:12] if is_hash else text
