"""The gate: rules applied to the changes between a reference and a new measurement.

    before, after --quantity_change--> changes --rules, noise--> checks --> one outcome, one exit code

A regression, a quantity that could not be measured, and noise are three different results and are never
reported as one another: users switch off a gate that confuses them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.analysis.comparison import (
    CellKey,
    Difference,
    MissingChange,
    QuantityChange,
    SampleAccess,
    differences,
    in_family,
    key_of,
    quantity_change,
    refused,
)
from harness.analysis.gate.rules import MODELLED, GateRule
from harness.records.record import Record

Status = Literal["holds", "regression", "could not measure", "too noisy"]

EXIT_CODES: Mapping[Status, int] = {"holds": 0, "regression": 3, "could not measure": 4, "too noisy": 6}

MOST_LEARNT = 10.0
"""The largest tolerance that is derived from noise, in percent: a noisier machine cannot gate anything."""

ALL_OF = {"host": "environment", "software": "software"}
"""Names in `--allow-changed` that stand for all differences of a kind."""


@dataclass(frozen=True, slots=True)
class AllowedDifferences:
    """Names of differences from the reference that are allowed; see `ALL_OF` for names of a whole kind."""

    names: frozenset[str] = frozenset()

    def holds(self, difference: Difference) -> bool:
        """Return whether this difference is allowed."""
        kinds = {kind for name, kind in ALL_OF.items() if name in self.names}
        return difference.name in self.names or difference.kind in kinds


@dataclass(frozen=True, slots=True)
class GatedCell:
    """One cell at the gate: the reference, the record compared with it, and the reference measured again.

    `again` is None if the reference was measured once. `noise` is that of earlier null tests, in percent by
    quantity. Differences of the kinds in `strict` are errors unless they are allowed.
    """

    before: Record
    after: Record
    again: Record | None = None
    noise: Mapping[str, float] = field(default_factory=dict)
    strict: tuple[str, ...] = ("environment", "software")


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """One rule applied to one cell: the change, its limit, the result, and what to do next."""

    cell: CellKey | None
    rule: GateRule | None
    status: Status
    reason: str
    next_step: str = ""
    change: QuantityChange | None = None
    limit: float | None = None
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """All checks; `also_changed` are the differences that are allowed."""

    checks: tuple[RuleCheck, ...]
    also_changed: tuple[Difference, ...] = ()

    @property
    def status(self) -> Status:
        """The worst status of all checks: a regression, then what could not be measured, then noise."""
        statuses = {check.status for check in self.checks}
        order: tuple[Status, ...] = ("regression", "could not measure", "too noisy")
        return next((status for status in order if status in statuses), "holds")

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return EXIT_CODES[self.status]

    @property
    def only_noise(self) -> bool:
        """Whether every failed check is noise of the machine.

        A loss of quality is not noise: the same examples were answered worse.
        """
        noisy = [check for check in self.checks if check.status == "too noisy"]
        of_quality = any(check.change and check.change.quantity.name == "quality" for check in noisy)
        return self.status == "too noisy" and not of_quality


def check_gate(
    pairings: Sequence[GatedCell],
    rules: Sequence[GateRule],
    *,
    allowed: AllowedDifferences | None = None,
    raw: SampleAccess | None = None,
    absent: Iterable[tuple[CellKey, str]] = (),
) -> GateOutcome:
    """Apply every rule to every cell; `absent` are missing cells with the reason why each is missing."""
    access = raw or SampleAccess()
    checks = [_not_measured(key, None, reason, _ADD_OR_REMOVE) for key, reason in absent]
    listed: dict[str, Difference] = {}
    changes: list[tuple[GatedCell, GateRule, QuantityChange]] = []
    for pairing in pairings:
        forbidden = _forbidden(pairing, allowed or AllowedDifferences(), listed)
        checks += forbidden
        if not forbidden:
            changes += _changes(pairing, rules, access, checks)
    corrected = in_family([change for *_, change in changes])
    checks += [
        _judged(pairing, rule, change, access)
        for (pairing, rule, _), change in zip(changes, corrected, strict=True)
    ]
    checks += _unapplied(rules, checks, pairings)
    return GateOutcome(tuple(checks), tuple(listed.values()))


_ADD_OR_REMOVE = "Measure the cell, or remove it from the reference."


def _not_measured(
    cell: CellKey | None, rule: GateRule | None, reason: str, step: str, change: QuantityChange | None = None
) -> RuleCheck:
    return RuleCheck(cell, rule, "could not measure", reason, step, change=change)


def _forbidden(
    pairing: GatedCell, allowed: AllowedDifferences, listed: dict[str, Difference]
) -> list[RuleCheck]:
    """Return a check for each reason why a cell cannot be compared; add all differences to `listed`."""
    before, after = pairing.before, pairing.after
    key = key_of(after)
    for record in (before, after):
        if record.status != "complete":
            failure = record.failure.message if record.failure else "rounds are missing"
            reason = f"{record.cell.variant} of {record.run} is {record.status}: {failure}"
            remedy = record.failure.remedy if record.failure else None
            return [_not_measured(key, None, reason, remedy or "Run it alone: `bench run --debug`.")]
    if refusal := refused(before, after):
        step = "Measure both with the same settings, or pin a new reference (`bench gate --pin RUN`)."
        return [_not_measured(key, None, str(refusal), step)]
    all_differences = differences(before, after)
    listed.update({str(difference): difference for difference in all_differences})
    return [
        _not_measured(key, None, f"the {difference.kind} changed: {difference}", _allow(difference))
        for difference in all_differences
        if difference.kind in pairing.strict and not allowed.holds(difference)
    ]


def _allow(difference: Difference) -> str:
    return (
        "Measure on the machine and with the software of the reference, pin a new reference, or allow this "
        f"difference: --allow-changed {difference.name!r}."
    )


def _changes(
    pairing: GatedCell, rules: Sequence[GateRule], raw: SampleAccess, checks: list[RuleCheck]
) -> list[tuple[GatedCell, GateRule, QuantityChange]]:
    """Return the changes that rules apply to; what could not be measured is added to `checks`."""
    changes = []
    for rule in rules:
        if _is_inapplicable(rule, pairing):
            continue
        change = quantity_change(rule.quantity.name, pairing.before, pairing.after, raw=raw)
        reason = _unusable(rule, change, pairing.after)
        if reason or isinstance(change, MissingChange):
            measured = None if isinstance(change, MissingChange) else change
            step = _measuring_step(rule, measured, reason or "")
            checks.append(_not_measured(key_of(pairing.after), rule, reason or "", step, measured))
        else:
            changes.append((pairing, rule, change))
    return changes


def _is_inapplicable(rule: GateRule, pairing: GatedCell) -> bool:
    """Return whether a rule is about latencies, which the scenario of this cell does not have."""
    is_latency = rule.quantity.name.startswith("latency")
    return is_latency and not pairing.before.latency and not pairing.after.latency


def _unusable(rule: GateRule, change: QuantityChange | MissingChange, record: Record) -> str | None:
    if isinstance(change, MissingChange):
        return change.reason
    if change.unlike:
        return f"the machines are unlike ({change.unlike})"
    if any(map(math.isnan, change.worse)):
        return "the change is not a number"
    if change.grade == MODELLED and not rule.modelled:
        return "its joules are modelled, not measured"
    if rule.metric and record.quality and record.quality.primary != rule.metric:
        return f"{record.cell.task} is scored by {record.quality.primary}, not by {rule.metric}"
    return None


def _measuring_step(rule: GateRule, change: QuantityChange | None, reason: str) -> str:
    if change is not None and change.grade == MODELLED:
        return "Measure where a meter can be read (`bench doctor`), or add `allow: modelled` to the rule."
    if change is not None and change.unlike:
        return "Measure both on one machine, or pin a reference of this one (`bench gate --pin RUN`)."
    if rule.metric:
        return "Write `quality` in place of the metric: it applies to the primary metric of any task."
    if " needs " in reason:
        return "Time more examples: raise --limit."
    return "Remove the rule where this quantity cannot be measured."


def _judged(pairing: GatedCell, rule: GateRule, change: QuantityChange, raw: SampleAccess) -> RuleCheck:
    """Apply one rule to one change: its interval, its p-value, the limit, and the noise."""
    noise = _noise(pairing, rule, raw)
    limit = max(change.tolerance, noise or 0.0) if rule.limit is None else rule.limit
    status = _status(change, limit, noise or 0.0, learnt=rule.limit is None and noise is not None)
    check = RuleCheck(key_of(pairing.after), rule, status, "", change=change, limit=limit, noise=noise)
    if status == "holds" and rule.limit is None and limit > max(MOST_LEARNT, change.tolerance):
        reason = f"{change.quantity.heading} of the reference differs from itself by up to {noise:.1f} %"
        return replace(check, status="too noisy", reason=reason, next_step=_QUIETER)
    return replace(check, reason=_reason(status, change, limit), next_step=_STEPS[status])


_QUIETER = "Stop other work on the machine, measure more rounds (--rounds), or set a limit: max-degradation."

_STEPS: dict[Status, str] = {
    "holds": "",
    "regression": "Find its cause (`bench track`); if it is intended, raise the limit or pin a reference.",
    "too noisy": "Measure more rounds (--rounds 44) or more examples (--limit), on a quieter machine.",
    "could not measure": "",
}


def _noise(pairing: GatedCell, rule: GateRule, raw: SampleAccess) -> float | None:
    """Return how far the reference differs from itself: measured again, or in earlier null tests."""
    earlier = pairing.noise.get(rule.quantity.name)
    if pairing.again is None or pairing.again.status != "complete":
        return earlier
    null = quantity_change(rule.quantity.name, pairing.before, pairing.again, raw=raw)
    if isinstance(null, MissingChange):
        return earlier
    return max(*map(abs, null.worse), earlier or 0.0)


def _status(change: QuantityChange, limit: float, noise: float, *, learnt: bool) -> Status:
    """Return the status of one change; `learnt` is True for a limit that is derived from noise."""
    value, _, high = change.worse
    # both answered the same examples, while the interval of a quality covers the choice of examples
    if value <= limit and (learnt or change.quantity.change_unit == "points"):
        return "holds"
    if value > limit:
        return "regression" if change.significant and value > noise else "too noisy"
    return "holds" if high <= limit or change.excludes_zero else "too noisy"


def _reason(status: Status, change: QuantityChange, limit: float) -> str:
    value, low, high = change.worse
    unit = "%" if change.quantity.change_unit == "%" else "points"
    exact = low == value == high
    low, high = (low, high) if value > 0 else (-high, -low)
    interval = "" if exact else f" [{low:.1f}, {high:.1f}]"
    size = f"{abs(value):.1f} {unit} {'worse' if value > 0 else 'better'}" if value else "unchanged"
    noise = "; noise alone may cause such a change" if status == "too noisy" else ""
    return f"{change.quantity.heading} is {size}{interval}; the limit is {limit:.3g} {unit}{noise}"


def _unapplied(
    rules: Sequence[GateRule], checks: Sequence[RuleCheck], pairings: Sequence[GatedCell]
) -> list[RuleCheck]:
    """Return a check for each rule that applied to no cell: its quantity was not measured."""
    if not pairings and not checks:
        return [_not_measured(None, None, "there is nothing to compare", _ADD_OR_REMOVE)]
    if any(check.rule is None for check in checks):
        return []
    applied = {check.rule for check in checks}
    reason, step = "no cell has this quantity", "Add the scenario that has it, or remove the rule."
    return [_not_measured(None, rule, reason, step) for rule in rules if rule not in applied]
