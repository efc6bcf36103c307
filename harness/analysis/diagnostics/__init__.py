"""Reasons to distrust a record, each with the next step that fits it.

A warning is not an error: the number stands, and its reader learns what it is not. Warnings about a whole
run have the same sentence for each of its records, so that a report shows them once. Each module holds the
rules of one subject: about one record, the energies of its rounds (`ENERGY_RULES`), or its whole group
(`GROUP_RULES`).
"""

from collections.abc import Sequence

from harness.analysis.diagnostics import answers, energy, energy_window, environment, run, timing
from harness.analysis.diagnostics.base import (
    EnergyRule,
    GroupRule,
    ResultWarning,
    Rule,
    harness_share,
    is_null,
)
from harness.analysis.diagnostics.environment import exchange_ends, foreign_share, observer_share, steal_share
from harness.analysis.statistics.estimates import EnergyWindows, energy_windows
from harness.records.estimate import Unavailable
from harness.records.record import Record

__all__ = [
    "ENERGY_RULES",
    "GROUP_RULES",
    "LATER_RULES",
    "RULES",
    "ResultWarning",
    "exchange_ends",
    "foreign_share",
    "harness_share",
    "is_null",
    "observer_share",
    "steal_share",
    "warnings",
]

RULES: tuple[Rule, ...] = (*run.RULES, *environment.RULES)
ENERGY_RULES: tuple[EnergyRule, ...] = (*energy.RULES, *energy_window.RULES)
LATER_RULES: tuple[Rule, ...] = (*timing.RULES, *answers.RULES)
"""Every rule about one record, in the order in which warnings are shown."""

GROUP_RULES: tuple[GroupRule, ...] = (*answers.GROUP_RULES,)
"""Every rule about a record and its peers, the records of its group with or without itself."""


def warnings_of(
    record: Record,
    peers: Sequence[Record] = (),
    others: Sequence[Record] = (),
    windows: EnergyWindows | Unavailable | None = None,
) -> tuple[ResultWarning, ...]:
    """Return every warning about a record; `peers` are the records of its group, `others` all at hand.

    The record itself may be among either. `windows` are its energies where they are known already.
    """
    known = energy_windows(record.rounds) if windows is None else windows
    found = [rule(record) for rule in RULES]
    found += [rule(record, known) for rule in ENERGY_RULES]
    found += [rule(record) for rule in LATER_RULES]
    found += [rule(record, peers) for rule in GROUP_RULES]
    found += [rule(record, others) for rule in timing.RUN_RULES]
    return tuple(warning for warning in found if warning is not None)
