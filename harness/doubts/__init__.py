"""Reasons to distrust a record, each with the next step that fits it.

A doubt is no error: the number stands, and its reader is told what it is not. Doubts about a whole run say
the same sentence for each of its records, so that a report shows them once. Each module holds the rules of
one subject; a rule looks at one record, or (`GROUP_RULES`) at the records of its group too.
"""

from collections.abc import Callable, Sequence

from harness.doubts import answers, energy, environment, run, timing, window
from harness.doubts.base import Doubt, harness_share, is_null
from harness.doubts.environment import foreign_share, observer_share, steal_share
from harness.record import Record

__all__ = [
    "GROUP_RULES",
    "RULES",
    "Doubt",
    "doubts",
    "foreign_share",
    "harness_share",
    "is_null",
    "observer_share",
    "steal_share",
]

RULES: tuple[Callable[[Record], Doubt | None], ...] = (
    *run.RULES,
    *environment.RULES,
    *energy.RULES,
    *window.RULES,
    *timing.RULES,
    *answers.RULES,
)
"""Every rule about one record, in the order in which doubts are shown."""

GROUP_RULES: tuple[Callable[[Record, Sequence[Record]], Doubt | None], ...] = (*answers.GROUP_RULES,)
"""Every rule about a record and its peers, the records of its group with or without itself."""


def doubts(record: Record, peers: Sequence[Record] = (), others: Sequence[Record] = ()) -> tuple[Doubt, ...]:
    """Return every doubt about a record; `peers` are the records of its group, `others` all at hand.

    The record itself may be among either.
    """
    found = [rule(record) for rule in RULES] + [rule(record, peers) for rule in GROUP_RULES]
    found += [rule(record, others) for rule in timing.RUN_RULES]
    return tuple(doubt for doubt in found if doubt is not None)
