"""Warnings: reasons to distrust a record, each with a next step.

A warning is not an error: the figure stays valid within the limits that the warning names. Warnings about a
whole run have the same sentence for each of its records, so that a report shows them once. Each module holds
the rules of one subject: rules on one record, on the energies of its rounds (`ENERGY_RULES`), or on its group
(`GROUP_RULES`).
"""

from collections.abc import Sequence

from harness.analysis.diagnostics import answers, energy, environment, run, timing
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
ENERGY_RULES: tuple[EnergyRule, ...] = (*energy.RULES,)
LATER_RULES: tuple[Rule, ...] = (*timing.RULES, *answers.RULES)
"""All rules on one record, in the order in which warnings are shown."""

GROUP_RULES: tuple[GroupRule, ...] = (*answers.GROUP_RULES,)
"""All rules on a record and its peers: the records of its group, which may include the record itself."""


def warnings_of(
    record: Record,
    peers: Sequence[Record] = (),
    others: Sequence[Record] = (),
    windows: EnergyWindows | Unavailable | None = None,
) -> tuple[ResultWarning, ...]:
    """Return every warning about a record.

    `peers` are the records of its group and `others` all available records; both may include the record
    itself. `windows` are the energies of its rounds, if they are already computed.
    """
    energies = energy_windows(record.rounds) if windows is None else windows
    results = [rule(record) for rule in RULES]
    results += [rule(record, energies) for rule in ENERGY_RULES]
    results += [rule(record) for rule in LATER_RULES]
    results += [rule(record, peers) for rule in GROUP_RULES]
    results += [rule(record, others) for rule in timing.RUN_RULES]
    return tuple(warning for warning in results if warning is not None)
