"""The types of a verdict: its outcome, the chosen variant, its factors and quality, what was passed over."""

from dataclasses import dataclass
from typing import Literal

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio
from harness.analysis.verdict.intervals import examples_needed
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record

DEFAULT_QUALITY_LOSS = 1.0
"""Points (hundredths) of the primary metric that a variant may lose where the user names no other figure."""

Outcome = Literal[
    "faster",
    "quality uncertain",
    "quality lost",
    "quality unknown",
    "speed uncertain",
    "not faster",
    "only references",
    "no reference",
    "nothing measured",
    "offered rate",
    "null test",
]
"""`faster`: a variant is surely faster, and surely within the permitted loss. The others: what is missing."""

ReferenceKind = Literal["unpadded", "padded", "first rung", "compiled"]
Fit = Literal["within", "beyond", "uncertain"]
Absent = Unavailable | NotComparable


@dataclass(frozen=True, slots=True)
class Reference:
    """A system that variants are compared with: PyTorch, or a ladder's first rung.

    `compiled` is PyTorch's own compiler without padding, a candidate as well.
    """

    record: Record
    kind: ReferenceKind

    @property
    def name(self) -> str:
        """The variant."""
        return self.record.cell.variant


@dataclass(frozen=True, slots=True)
class QualityLoss:
    """A change of quality with the interval that holds for all candidates, and the loss that is permitted."""

    change: QualityChange
    permitted: float

    @property
    def fit(self) -> Fit:
        """Whether the loss is surely within what is permitted, surely beyond it, or neither."""
        if self.change.points.low >= -self.permitted:
            return "within"
        return "beyond" if self.change.points.high < -self.permitted else "uncertain"

    @property
    def same_answers(self) -> bool:
        """Whether both systems gave the same answers."""
        return self.change.points.method.startswith("equal answers")

    @property
    def needed(self) -> int | None:
        """How many examples would show that a change like this one is within what is permitted."""
        return examples_needed(self.change, self.permitted)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A faster variant that was not chosen, because of its quality."""

    variant: str
    factor: Ratio
    loss: QualityLoss


@dataclass(frozen=True, slots=True)
class ServedRate:
    """What a variant does at an offered rate: the highest rate that keeps the objective, or its latency."""

    variant: str
    rate: float | None
    percentile: str
    latency_ns: Estimate | Unavailable


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """The verdict on the records of a group.

    `factors` are those of `variant` over each of `references`, in their order, and the intervals of these,
    of `loss` and of `energy` hold together for all `candidates`. `tied` names variants within the permitted
    loss whose speed cannot be told from that of `variant`. `reason` says why there is no figure, where an
    outcome needs one.
    """

    outcome: Outcome
    record: Record
    """The first record of the group: what the group shares."""
    permitted: float
    references: tuple[Reference, ...] = ()
    candidates: int = 0
    variant: str | None = None
    chosen: Record | None = None
    factors: tuple[Ratio, ...] = ()
    loss: QualityLoss | Absent | None = None
    energy: Ratio | Absent | None = None
    energy_of: EnergyEstimate | None = None
    tied: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    failed: tuple[str, ...] = ()
    rates: tuple[ServedRate, ...] = ()
    reason: str = ""
    command: str | Unavailable | None = None
