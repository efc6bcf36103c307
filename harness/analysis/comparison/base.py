"""What a contrast is, the quantities that have one, and the rule that says whether a change is real."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.analysis.statistics.multiple_testing import holm
from harness.analysis.statistics.ratios import FAMILY_LEVEL
from harness.common.errors import unknown_name
from harness.records.estimate import Estimate

Verdict = Literal["better", "worse", "no change", "too noisy"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that can change: its name in rules, its heading, the unit of its value and of its change.

    Changes are percent of the value before; those of a quality are points, hundredths of the metric.
    `tolerance`, in the unit of the change, is the least change that matters in practice; `unpaired` that of
    records that did not run side by side, where whatever else moved between the two is in the change as well.
    """

    name: str
    heading: str
    unit: str
    higher_is_better: bool
    tolerance: float
    unpaired: float
    change_unit: Literal["%", "points"] = "%"


_SPEED = (2.0, 5.0)
"""The tolerance of a ratio, and by how much the same work differs from run to run on a quiet machine."""

QUANTITIES: dict[str, Quantity] = {
    each.name: each
    for each in (
        Quantity("throughput", "throughput", "1/s", True, *_SPEED),
        Quantity("latency_p50", "latency p50", "ns", False, *_SPEED),
        # tails move more than medians do
        Quantity("latency_p90", "latency p90", "ns", False, 5.0, 10.0),
        Quantity("latency_p95", "latency p95", "ns", False, 5.0, 10.0),
        Quantity("latency_p99", "latency p99", "ns", False, 10.0, 20.0),
        Quantity("energy", "energy per request", "uJ", False, *_SPEED),
        Quantity("memory", "peak memory", "B", False, 5.0, 5.0),
        Quantity("quality", "quality", "share", True, 0.5, 0.5, "points"),
        Quantity("size", "size on disk", "B", False, 1.0, 1.0),
    )
}
"""Every quantity by its name in a rule."""

PERCENTILES = {"latency_p50": 50, "latency_p90": 90, "latency_p95": 95, "latency_p99": 99}


@dataclass(frozen=True, slots=True)
class QuantityChange:
    """How one quantity changed: its values before and after, and the change with its interval.

    `before` and `after` are in the quantity's unit, `change` in that of its change; above 0 is more. `paired`
    says whether both were measured side by side; `grade` is that of joules; `note` says how the change came
    about. `p` is the probability that two equal things seem to differ so clearly, None where that is not
    known: of one reading, say. `in_family` corrects it.
    """

    quantity: Quantity
    before: Estimate
    after: Estimate
    change: Estimate
    paired: bool
    note: str = ""
    grade: str = ""
    p: float | None = None

    @property
    def worse(self) -> tuple[float, float, float]:
        """The change towards the worse, and its interval: value, low, high; below 0 is an improvement."""
        change = self.change
        if self.quantity.higher_is_better:
            return -change.value, -change.high, -change.low
        return change.value, change.low, change.high

    @property
    def tolerance(self) -> float:
        """The least change that matters here, in the unit of the change."""
        return self.quantity.tolerance if self.paired else self.quantity.unpaired


@dataclass(frozen=True, slots=True)
class MissingChange:
    """A quantity that has no contrast; `reason` is a clause that continues "because ..."."""

    quantity: Quantity
    reason: str


def change_verdict(found: QuantityChange, tolerance: float | None = None) -> Verdict:
    """Judge by two conditions: the interval excludes no change, and the change exceeds the tolerance.

    This is the rule of `harness.analysis.statistics.ratios.judge`, `p` included. No change needs evidence
    too: an interval
    within the tolerance, or one that excludes 0 by less than it. All else, a NaN included, is too noisy to
    say.
    """
    limit = found.tolerance if tolerance is None else tolerance
    value, low, high = found.worse
    excludes_none = low > 0 or high < 0
    surely = excludes_none and (found.p is None or found.p <= FAMILY_LEVEL)
    if surely and value > limit:
        return "worse"
    if surely and value < -limit:
        return "better"
    within = abs(value) <= limit and (excludes_none or (-limit <= low and high <= limit))
    return "no change" if within else "too noisy"


def in_family(found: Sequence[QuantityChange]) -> list[QuantityChange]:
    """Return the contrasts of one report with their p-values corrected for one another, in their order."""
    corrected = iter(holm([each.p for each in found if each.p is not None]))
    return [each if each.p is None else replace(each, p=next(corrected)) for each in found]


def quantity_named(name: str) -> Quantity:
    """Return the quantity; UsageError with the nearest names if there is none."""
    if name not in QUANTITIES:
        raise unknown_name("quantity", name, QUANTITIES)
    return QUANTITIES[name]
