"""Changes of quantities between two records, and the rule for their verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.analysis.statistics.multiple_testing import holm
from harness.analysis.statistics.ratios import FAMILY_LEVEL
from harness.records.estimate import Estimate

Verdict = Literal["better", "worse", "no change", "too noisy", "not judged"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity that can change: its name in rules, its heading, the unit of its value and of its change.

    Changes are percent of the value before; those of a quality are points, hundredths of the metric.
    `tolerance`, in the unit of the change, is the smallest change that matters in practice; `unpaired` is
    that of records that did not run side by side, whose change includes all that differed between the two
    runs.
    """

    name: str
    heading: str
    unit: str
    higher_is_better: bool
    tolerance: float
    unpaired: float
    change_unit: Literal["%", "points"] = "%"


_SPEED = (2.0, 5.0)
"""The tolerance of a ratio, and the difference from run to run of the same work on a quiet machine."""

QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity("throughput", "throughput", "1/s", True, *_SPEED),
        Quantity("latency_p50", "latency p50", "ns", False, *_SPEED),
        # high percentiles vary more than medians
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

OF_THE_MACHINE = frozenset(QUANTITIES) - {"quality", "size"}
"""Quantities whose change between unlike machines is not judged."""

PERCENTILES = {"latency_p50": 50, "latency_p90": 90, "latency_p95": 95, "latency_p99": 99}


@dataclass(frozen=True, slots=True)
class QuantityChange:
    """How one quantity changed: its values before and after, and the change with its interval.

    `before` and `after` are in the unit of the quantity, `change` in that of its change; above 0 is more.
    `paired` is True if both were measured side by side; `grade` is that of the joules; `note` names the
    method. `p` is the p-value of the change, None where it cannot be computed (of single readings, for
    instance); `in_family` corrects it. `unlike` names how the two machines differ: such a change has no
    verdict.
    """

    quantity: Quantity
    before: Estimate
    after: Estimate
    change: Estimate
    paired: bool
    note: str = ""
    grade: str = ""
    p: float | None = None
    unlike: str = ""

    @property
    def worse(self) -> tuple[float, float, float]:
        """The degradation and its interval: value, low, high; below 0 is an improvement."""
        change = self.change
        if self.quantity.higher_is_better:
            return -change.value, -change.high, -change.low
        return change.value, change.low, change.high

    @property
    def tolerance(self) -> float:
        """The smallest change that matters, in the unit of the change."""
        return self.quantity.tolerance if self.paired else self.quantity.unpaired

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of the change excludes 0."""
        return self.change.low > 0 or self.change.high < 0

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0 and `p`, where there is one, is at most the level of the family."""
        return self.excludes_zero and (self.p is None or self.p <= FAMILY_LEVEL)


@dataclass(frozen=True, slots=True)
class MissingChange:
    """A quantity that cannot be compared; `reason` is a clause after "because"."""

    quantity: Quantity
    reason: str


def change_verdict(change: QuantityChange, tolerance: float | None = None) -> Verdict:
    """Return better or worse if the change is significant and exceeds the tolerance.

    This is the rule of `harness.analysis.statistics.ratios.judge`. "No change" also needs evidence: an
    interval within the tolerance, or one that excludes 0 by less than it. Everything else, including NaN, is
    too noisy. Measurements of unlike machines are not judged.
    """
    if change.unlike:
        return "not judged"
    limit = change.tolerance if tolerance is None else tolerance
    value, low, high = change.worse
    if change.significant and value > limit:
        return "worse"
    if change.significant and value < -limit:
        return "better"
    within = abs(value) <= limit and (change.excludes_zero or (-limit <= low and high <= limit))
    return "no change" if within else "too noisy"


def in_family(changes: Sequence[QuantityChange]) -> list[QuantityChange]:
    """Return the changes of one report with p-values corrected for one another, in their order."""
    corrected = iter(holm([change.p or 0.0 for change in changes if _is_tested(change)]))
    return [replace(change, p=next(corrected)) if _is_tested(change) else change for change in changes]


def _is_tested(change: QuantityChange) -> bool:
    return change.p is not None and not change.unlike
