"""The one-time cost of preparing a rung, and the number of requests after which it has paid for itself.

    steps of a manifest --preparation_cost--> seconds, joules --break_even--> requests

A step that several rungs share (a teacher for a student, a calibrated graph) counts once in the sum of each
rung: each sum is the cost for somebody who wants that rung alone.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.ratios import Ratio, judge
from harness.common.json_types import JsonValue
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import Reading, sum_readings
from reports.values.figures import Absent

EnergyKind = tuple[str, str, str]
"""Grade, scope and source: only joules of the same kind are compared."""

Cost = TypeVar("Cost")
PerRequest = TypeVar("PerRequest")

_ROUNDING = 1 - 1e-12
"""In floating point 3,600 / 0.018 is slightly above 200,000, which must not count as one more request."""

_BECAUSE = "unavailable, because "


@dataclass(frozen=True, slots=True)
class Joules:
    """The energy of all steps in joules; `kind` is None where there was no step."""

    value: float
    kind: EnergyKind | None

    @property
    def grade(self) -> str:
        """The grade of the joules; empty where there was no step."""
        return self.kind[0] if self.kind else ""


@dataclass(frozen=True, slots=True)
class PreparationCost:
    """The seconds and joules of a preparation."""

    seconds: float | Unavailable
    energy: Joules | Unavailable


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The number of requests after which preparation has paid for itself; None if it never does."""

    requests: int | None


def preparation_cost(manifest: Mapping[str, JsonValue]) -> PreparationCost:
    """Sum the steps of a rung's preparation, each key once."""
    steps = manifest.get("preparation")
    if not isinstance(steps, list) or not all(isinstance(step, Mapping) for step in steps):
        return unknown_cost("its preparation was not recorded")
    distinct = list({step.get("key", index): step for index, step in enumerate(steps)}.values())
    return PreparationCost(_seconds(distinct), _energy(distinct))


def unknown_cost(reason: str) -> PreparationCost:
    """Return the cost of a preparation whose seconds and joules are both unknown."""
    return PreparationCost(Unavailable(reason), Unavailable(reason))


def break_even(cost: float, saved_per_request: float) -> BreakEven:
    """Return the least number of requests that save the cost, which is in the same unit."""
    if not saved_per_request > 0:
        return BreakEven(None)
    requests = cost / saved_per_request * _ROUNDING
    return BreakEven(math.ceil(requests) if math.isfinite(requests) else None)


def energy_break_even(
    preparation: PreparationCost,
    own: EnergyEstimate | Unavailable,
    first: EnergyEstimate | Unavailable,
    ratio: Ratio | Absent,
) -> BreakEven | Absent:
    """Return when the saving over the first rung equals the joules of preparation."""

    def compute(joules: Joules, own: EnergyEstimate, first: EnergyEstimate) -> BreakEven | NotComparable:
        saved = (first.microjoules.value - own.microjoules.value) / 1e6
        return _different_kind(joules, own) or break_even(joules.value, saved)

    return _break_even(preparation.energy, own, first, ratio, compute)


def money_break_even(
    preparation: PreparationCost,
    own: Estimate | Unavailable,
    first: Estimate | Unavailable,
    ratio: Ratio | Absent,
) -> BreakEven | Absent:
    """Return when the saving over the first rung equals the machine time of preparation; prices cancel."""

    def compute(seconds: float, own: Estimate, first: Estimate) -> BreakEven:
        return break_even(seconds, (first.value - own.value) / 1e9)

    return _break_even(preparation.seconds, own, first, ratio, compute)


def _break_even(
    cost: Cost | Unavailable,
    own: PerRequest | Unavailable,
    first: PerRequest | Unavailable,
    ratio: Ratio | Absent,
    compute: Callable[[Cost, PerRequest, PerRequest], BreakEven | NotComparable],
) -> BreakEven | Absent:
    if isinstance(cost, Unavailable):
        return cost
    if not isinstance(ratio, Ratio):
        return ratio
    if judge(ratio).verdict == "too noisy":
        return Unavailable("it is too noisy to say whether it saves anything")
    if isinstance(own, Unavailable):
        return own
    return first if isinstance(first, Unavailable) else compute(cost, own, first)


def _different_kind(joules: Joules, own: EnergyEstimate) -> NotComparable | None:
    names = ("grade", "scope", "source")
    for name, prepared, request in zip(
        names, joules.kind or (), (own.grade, own.scope, own.source), strict=False
    ):
        if prepared != request:
            reason = f"the {name} of the energy differs: {prepared} in preparation and {request} per request"
            return NotComparable(reason, name)
    return None


def _seconds(steps: list[Mapping[str, JsonValue]]) -> float | Unavailable:
    seconds = [step.get("seconds") for step in steps]
    if not all(isinstance(value, int | float) and math.isfinite(value) and value >= 0 for value in seconds):
        return Unavailable("the time of a step was not recorded")
    return float(sum(value for value in seconds if value is not None))


def _energy(steps: list[Mapping[str, JsonValue]]) -> Joules | Unavailable:
    readings: list[Reading] = []
    for step in steps:
        reading = _step_energy(step)
        if isinstance(reading, Unavailable):
            return reading
        readings.append(reading)
    kinds = {(reading.grade, reading.scope, reading.source) for reading in readings}
    if len(kinds) > 1:
        return Unavailable("its steps were read by different meters or at different grades")
    return Joules(sum(reading.microjoules or 0 for reading in readings) / 1e6, next(iter(kinds), None))


def _step_energy(step: Mapping[str, JsonValue]) -> Reading | Unavailable:
    readings = step.get("energy")
    if isinstance(readings, str):
        return Unavailable(readings.removeprefix(_BECAUSE))
    try:
        total = sum_readings([_reading(fields) for fields in readings or ()])
    except (TypeError, ValueError):
        return Unavailable("the energy of a step cannot be read")
    if total is None:
        return Unavailable("no meter was read")
    if total.grade == "unavailable":
        return Unavailable(total.reason or "the meter gave no reason")
    if not isinstance(total.microjoules, int) or total.microjoules < 0:
        return Unavailable("the energy of a step cannot be read")
    return total


def _reading(fields: Mapping[str, JsonValue]) -> Reading:
    return Reading(**{**fields, "overlaps": tuple(fields.get("overlaps", ()))})
