"""What making a rung cost, once, and after how many requests it has paid for itself.

    steps of a manifest --spent_of--> seconds, joules --break_even--> requests

A step that several rungs share (a teacher's student, a calibrated graph) counts once in each rung's own sum:
each sum is what somebody pays who wants that rung alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.ratios import Ratio, judge
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import Reading, sum_readings
from reports.values.figures import Absent

Kind = tuple[str, str, str]
"""Grade, scope and source: joules are only set against joules of the same."""

_EXACTLY = 1 - 1e-12
"""In floating point 3,600 / 0.018 is a little more than 200,000, which is no further request."""

_BECAUSE = "unavailable, because "


@dataclass(frozen=True, slots=True)
class Joules:
    """Energy of all steps in joules; `kind` is None where there was no step."""

    value: float
    kind: Kind | None

    @property
    def grade(self) -> str:
        """What kind of joules these are, or nothing where there are none."""
        return self.kind[0] if self.kind else ""


@dataclass(frozen=True, slots=True)
class PreparationCost:
    """What preparation took: seconds, and joules."""

    seconds: float | Unavailable
    energy: Joules | Unavailable


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The number of requests after which preparation has paid for itself; None if it never does."""

    requests: int | None


def spent_of(manifest: Mapping[str, Any]) -> PreparationCost:
    """Sum the steps of a rung's preparation, each key once."""
    steps = manifest.get("preparation")
    if not isinstance(steps, list) or not all(isinstance(step, Mapping) for step in steps):
        return not_spent("its preparation was not recorded")
    once = list({step.get("key", place): step for place, step in enumerate(steps)}.values())
    return PreparationCost(_seconds(once), _energy(once))


def not_spent(reason: str) -> PreparationCost:
    """Return a preparation of which nothing is known."""
    return PreparationCost(Unavailable(reason), Unavailable(reason))


def break_even(spent: float, saved_per_request: float) -> BreakEven:
    """Return the least number of requests that save what was spent, in the same unit."""
    if not saved_per_request > 0:
        return BreakEven(None)
    needed = spent / saved_per_request * _EXACTLY
    return BreakEven(math.ceil(needed) if math.isfinite(needed) else None)


def energy_pays(
    spent: PreparationCost,
    own: EnergyEstimate | Unavailable,
    first: EnergyEstimate | Unavailable,
    ratio: Ratio | Absent,
) -> BreakEven | Absent:
    """Return when the joules of preparation are saved over the first rung."""
    if isinstance(spent.energy, Unavailable):
        return spent.energy
    if refusal := _undecided(ratio):
        return refusal
    if isinstance(own, Unavailable):
        return own
    if isinstance(first, Unavailable):
        return first
    return _unlike(spent.energy, own) or break_even(
        spent.energy.value, (first.microjoules.value - own.microjoules.value) / 1e6
    )


def money_pays(
    spent: PreparationCost, own: Estimate | Unavailable, first: Estimate | Unavailable, ratio: Ratio | Absent
) -> BreakEven | Absent:
    """Return when the machine hours of preparation are saved over the first rung; the price cancels out."""
    if isinstance(spent.seconds, Unavailable):
        return spent.seconds
    if refusal := _undecided(ratio):
        return refusal
    if isinstance(own, Unavailable):
        return own
    if isinstance(first, Unavailable):
        return first
    return break_even(spent.seconds, (first.value - own.value) / 1e9)


def _undecided(ratio: Ratio | Absent) -> Absent | None:
    """Return why it is not known whether anything is saved, if so."""
    if not isinstance(ratio, Ratio):
        return ratio
    noisy = judge(ratio).verdict == "too noisy"
    return Unavailable("it is too noisy to say whether it saves anything") if noisy else None


def _unlike(spent: Joules, own: EnergyEstimate) -> NotComparable | None:
    names = ("grade", "scope", "source")
    for name, theirs, mine in zip(names, spent.kind or (), (own.grade, own.scope, own.source), strict=False):
        if theirs != mine:
            reason = f"the {name} of the energy differs: {theirs} in preparation and {mine} per request"
            return NotComparable(reason, name)
    return None


def _seconds(steps: list[Mapping[str, Any]]) -> float | Unavailable:
    found = [step.get("seconds") for step in steps]
    if not all(isinstance(each, int | float) and math.isfinite(each) and each >= 0 for each in found):
        return Unavailable("the time of a step was not recorded")
    return float(sum(each for each in found if each is not None))


def _energy(steps: list[Mapping[str, Any]]) -> Joules | Unavailable:
    found = [_of_step(step) for step in steps]
    for each in found:
        if isinstance(each, Unavailable):
            return each
    known = [each for each in found if isinstance(each, Reading)]
    kinds = {(each.grade, each.scope, each.source) for each in known}
    if len(kinds) > 1:
        return Unavailable("its steps were read by different meters or at different grades")
    return Joules(sum(each.microjoules or 0 for each in known) / 1e6, next(iter(kinds), None))


def _of_step(step: Mapping[str, Any]) -> Reading | Unavailable:
    readings = step.get("energy")
    if isinstance(readings, str):
        return Unavailable(readings.removeprefix(_BECAUSE))
    try:
        found = sum_readings([_reading(each) for each in readings or ()])
    except (TypeError, ValueError):
        return Unavailable("the energy of a step cannot be read")
    if found is None:
        return Unavailable("no meter was read")
    if found.grade == "unavailable":
        return Unavailable(found.reason or "the meter gave no reason")
    spent = found.microjoules
    return (
        found if isinstance(spent, int) and spent >= 0 else Unavailable("the energy of a step cannot be read")
    )


def _reading(facts: Mapping[str, Any]) -> Reading:
    return Reading(**{**facts, "overlaps": tuple(facts.get("overlaps", ()))})
