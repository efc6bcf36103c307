"""The gate: rules held over what changed between a reference and what is measured now.

    before, after --contrast--> changes --rules, noise--> checks --> one outcome, one exit code

A regression, something that could not be measured, and noise are three different things, and never stand in
for one another: a gate that takes one for the other is switched off soon after.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.analysis.comparison import (
    CellKey,
    Difference,
    MissingChange,
    QuantityChange,
    SampleAccess,
    contrast,
    differences,
    in_family,
    key_of,
    refused,
)
from harness.analysis.gate.rules import MODELLED, GateRule
from harness.analysis.statistics.ratios import FAMILY_LEVEL
from harness.records.record import Record

Status = Literal["holds", "regression", "could not measure", "too noisy"]

EXIT_CODES: Mapping[Status, int] = {"holds": 0, "regression": 3, "could not measure": 4, "too noisy": 6}

MOST_LEARNT = 10.0
"""The largest tolerance that is learnt from noise, in percent: a noisier machine can hold nothing."""

ALL_OF = {"host": "environment", "software": "software"}
"""Words of `--allow-changed` that stand for everything of a kind."""


@dataclass(frozen=True, slots=True)
class AllowedDifferences:
    """What may differ from the reference, by name; `host` and `software` stand for all of their kind."""

    names: frozenset[str] = frozenset()

    def holds(self, found: Difference) -> bool:
        """Say whether this difference is allowed."""
        kinds = {kind for word, kind in ALL_OF.items() if word in self.names}
        return found.name in self.names or found.kind in kinds


@dataclass(frozen=True, slots=True)
class GatedCell:
    """One cell at the gate: the reference, what is held against it, and the reference measured again.

    `again` is None where it was not. `noise` is that of earlier null tests, in percent by quantity. `strict`
    are the kinds of difference that are refused unless allowed.
    """

    before: Record
    after: Record
    again: Record | None = None
    noise: Mapping[str, float] = field(default_factory=dict)
    strict: tuple[str, ...] = ("environment", "software")


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """One rule on one cell: what was found, the limit it was held to, how that went, and what to do next."""

    cell: CellKey | None
    rule: GateRule | None
    status: Status
    reason: str
    next_step: str = ""
    found: QuantityChange | None = None
    limit: float | None = None
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """All checks; `told` is what else differs, allowed or not to be forbidden."""

    checks: tuple[RuleCheck, ...]
    told: tuple[Difference, ...] = ()

    @property
    def status(self) -> Status:
        """The worst there is: a regression, then what could not be measured, then noise."""
        found = {check.status for check in self.checks}
        order: tuple[Status, ...] = ("regression", "could not measure", "too noisy")
        return next((status for status in order if status in found), "holds")

    @property
    def exit_code(self) -> int:
        """Return what the command exits with."""
        return EXIT_CODES[self.status]

    @property
    def only_noise(self) -> bool:
        """Say whether all that is wrong is noise of the machine.

        A loss of quality is none: the same examples were answered worse, whatever others would show.
        """
        noisy = [check for check in self.checks if check.status == "too noisy"]
        of_quality = any(check.found and check.found.quantity.name == "quality" for check in noisy)
        return self.status == "too noisy" and not of_quality


def check_gate(
    pairings: Sequence[GatedCell],
    rules: Sequence[GateRule],
    *,
    allowed: AllowedDifferences | None = None,
    raw: SampleAccess | None = None,
    absent: Iterable[tuple[CellKey, str]] = (),
) -> GateOutcome:
    """Hold every rule over every cell; `absent` are cells that should be there and are not, and why."""
    checks = [RuleCheck(key, None, "could not measure", why, _MEASURE_AGAIN) for key, why in absent]
    told: dict[str, Difference] = {}
    changes: list[tuple[GatedCell, GateRule, QuantityChange]] = []
    for pairing in pairings:
        forbidden = _forbidden(pairing, allowed or AllowedDifferences(), told)
        checks += forbidden
        if not forbidden:
            changes += _changes(pairing, rules, raw or SampleAccess(), checks)
    corrected = in_family([found for *_, found in changes])
    checks += [
        _judged(pairing, rule, found, raw or SampleAccess())
        for (pairing, rule, _), found in zip(changes, corrected, strict=True)
    ]
    checks += _unheld(rules, checks, pairings)
    return GateOutcome(tuple(checks), tuple(told.values()))


_MEASURE_AGAIN = "Measure it, or take it out of the reference."


def _forbidden(
    pairing: GatedCell, allowed: AllowedDifferences, told: dict[str, Difference]
) -> list[RuleCheck]:
    """Return why nothing of a cell can be held, one check a reason; note what differs besides."""
    before, after = pairing.before, pairing.after
    key = key_of(after)
    for record in (before, after):
        if record.status != "complete":
            why = record.failure.message if record.failure else "rounds are missing"
            reason = f"{record.cell.variant} of {record.run} is {record.status}: {why}"
            step = (record.failure.remedy if record.failure else None) or "Run it alone: `bench run --debug`."
            return [RuleCheck(key, None, "could not measure", reason, step)]
    if refusal := refused(before, after):
        step = "Measure both alike, or pin a new reference (`bench gate --pin RUN`)."
        return [RuleCheck(key, None, "could not measure", str(refusal), step)]
    found = differences(before, after)
    told.update({str(each): each for each in found})
    return [
        RuleCheck(key, None, "could not measure", f"the {each.kind} changed: {each}", _allow(each))
        for each in found
        if each.kind in pairing.strict and not allowed.holds(each)
    ]


def _allow(found: Difference) -> str:
    return (
        f"Measure on the machine and with the software of the reference, pin a new one, or allow this by "
        f"name: --allow-changed {found.name!r}."
    )


def _changes(
    pairing: GatedCell, rules: Sequence[GateRule], raw: SampleAccess, checks: list[RuleCheck]
) -> list[tuple[GatedCell, GateRule, QuantityChange]]:
    """Return the changes that rules are held over; what could not be measured goes to the checks."""
    changes = []
    for rule in rules:
        if _is_foreign(rule, pairing):
            continue
        found = contrast(rule.quantity.name, pairing.before, pairing.after, raw=raw)
        reason = _unusable(rule, found, pairing.after)
        if reason or isinstance(found, MissingChange):
            checks.append(_not_measured(rule, found, reason or "", pairing))
        else:
            changes.append((pairing, rule, found))
    return changes


def _is_foreign(rule: GateRule, pairing: GatedCell) -> bool:
    """Say whether a rule is about something that this cell's scenario does not have at all."""
    is_latency = rule.quantity.name.startswith("latency")
    return is_latency and not pairing.before.latency and not pairing.after.latency


def _unusable(rule: GateRule, found: QuantityChange | MissingChange, record: Record) -> str | None:
    if isinstance(found, MissingChange):
        return found.reason
    if any(number != number for number in found.worse):  # noqa: PLR0124 -- a NaN is not itself
        return "the change is not a number"
    if found.grade == MODELLED and not rule.modelled:
        return "its joules are modelled, not measured"
    if rule.metric and record.quality and record.quality.primary != rule.metric:
        return f"{record.cell.task} is scored by {record.quality.primary}, not by {rule.metric}"
    return None


def _not_measured(
    rule: GateRule, found: QuantityChange | MissingChange, reason: str, pairing: GatedCell
) -> RuleCheck:
    step = "Leave the rule out where this cannot be measured."
    if isinstance(found, QuantityChange) and found.grade == MODELLED:
        step = "Measure where a meter can be read (`bench doctor`), or say `allow: modelled` in the rule."
    elif rule.metric:
        step = "Write `quality` for the first metric of whatever task."
    elif " needs " in reason:
        step = "Time more examples: raise --limit."
    shown = found if isinstance(found, QuantityChange) else None
    return RuleCheck(key_of(pairing.after), rule, "could not measure", reason, step, found=shown)


def _judged(pairing: GatedCell, rule: GateRule, found: QuantityChange, raw: SampleAccess) -> RuleCheck:
    """Hold one rule over one change: the interval, how likely it is by chance, the limit, and the noise."""
    noise = _noise(pairing, rule, raw)
    limit = max(found.tolerance, noise or 0.0) if rule.limit is None else rule.limit
    status = _status(found, limit, noise or 0.0, learnt=rule.limit is None and noise is not None)
    check = RuleCheck(key_of(pairing.after), rule, status, "", found=found, limit=limit, noise=noise)
    if status == "holds" and rule.limit is None and limit > max(MOST_LEARNT, found.tolerance):
        reason = f"{found.quantity.heading} of the reference differs from itself by up to {noise:.1f} %"
        return replace(check, status="too noisy", reason=reason, next_step=_QUIETER)
    return replace(check, reason=_reason(status, found, limit), next_step=_STEPS[status])


_QUIETER = "Stop other work on the machine, measure more rounds (--rounds), or give a limit: max-degradation."

_STEPS: dict[Status, str] = {
    "holds": "",
    "regression": "Find what brought it (`bench track`), or, if it is meant, raise the limit or pin anew.",
    "too noisy": "Measure more rounds (--rounds 44) or more examples (--limit), on a quieter machine.",
    "could not measure": "",
}


def _noise(pairing: GatedCell, rule: GateRule, raw: SampleAccess) -> float | None:
    """Return how far the reference differs from itself: measured again, or in earlier null tests."""
    known = pairing.noise.get(rule.quantity.name)
    if pairing.again is None or pairing.again.status != "complete":
        return known
    null = contrast(rule.quantity.name, pairing.before, pairing.again, raw=raw)
    if isinstance(null, MissingChange):
        return known
    return max(*map(abs, null.worse), known or 0.0)


def _status(found: QuantityChange, limit: float, noise: float, *, learnt: bool) -> Status:
    """Judge one change; within a limit that is `learnt` from noise, it is no worse than the noise."""
    value, low, high = found.worse
    # both answered the same examples: the interval of a quality is about other examples
    if value <= limit and (learnt or found.quantity.change_unit == "points"):
        return "holds"
    surely = (low > 0 or high < 0) and (found.p is None or found.p <= FAMILY_LEVEL)
    if value > limit:
        return "regression" if surely and value > noise else "too noisy"
    return "holds" if high <= limit or low > 0 or high < 0 else "too noisy"


def _reason(status: Status, found: QuantityChange, limit: float) -> str:
    value, low, high = found.worse
    unit = "%" if found.quantity.change_unit == "%" else "points"
    exact = low == value == high
    low, high = (low, high) if value > 0 else (-high, -low)
    within = "" if exact else f" [{low:.1f}, {high:.1f}]"
    side = f"{abs(value):.1f} {unit} {'worse' if value > 0 else 'better'}" if value else "unchanged"
    warning = ", which noise alone may do" if status == "too noisy" else ""
    return f"{found.quantity.heading} is {side}{within}; the limit is {limit:.3g} {unit}{warning}"


def _unheld(
    rules: Sequence[GateRule], checks: Sequence[RuleCheck], pairings: Sequence[GatedCell]
) -> list[RuleCheck]:
    """Return a check for each rule that was held over no cell at all: it was not measured."""
    if not pairings and not checks:
        return [RuleCheck(None, None, "could not measure", "there is nothing to compare", _MEASURE_AGAIN)]
    if any(check.rule is None for check in checks):
        return []
    held = {check.rule for check in checks}
    reason, step = "no cell has this quantity", "Add the scenario that has it, or leave the rule out."
    return [RuleCheck(None, rule, "could not measure", reason, step) for rule in rules if rule not in held]
