"""What a ladder is to a report: the words of its records' configuration, and the figures of its rungs.

Speed, energy, quality and memory are those of `offline`, where each system may batch as it likes; latency is
that of `single-stream`. What is absent keeps its reason.
"""

from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.quality_change import QualityChange
from harness.analysis.statistics.ratios import Ratio
from harness.common.errors import StoreError
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.values.figures import Absent, Figures
from reports.values.preparation import BreakEven, PreparationCost
from reports.values.prices import Price

SCENARIOS = ("offline", "single-stream")
PERCENTILES = ("p50", "p90")

PAPER_REQUESTS = 3270
"""Examples of BoolQ's validation split: what the paper's seconds are of."""


class PaperFigures(BaseModel):
    """A row of the paper's Table 3 as printed: seconds over BoolQ's validation split, a factor, percent."""

    time_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    cumulative: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    quality: float | None = Field(default=None, ge=0, le=100)

    @property
    def ns_per_request(self) -> float | None:
        """Nanoseconds per request."""
        return None if self.time_s is None else self.time_s * 1e9 / PAPER_REQUESTS


class RungDefinition(BaseModel):
    """A rung as the ladder names it: what it is, the rung it builds on, the paper's row if it has one."""

    name: str
    over: str = ""
    about: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    reference: PaperFigures | None = None


class LadderDefinition(BaseModel):
    """A ladder as it was asked for; the first rung is the baseline."""

    name: str
    rungs: list[RungDefinition] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Gain:
    """A ratio over the rung that this one builds on, and over the first."""

    step: Ratio | Absent
    cumulative: Ratio | Absent


@dataclass(frozen=True, slots=True)
class RungFigures:
    """The figures of one rung: nanoseconds, bytes, USD per 100 million requests.

    `status` is that of its offline cell, or `missing`. The keys of `latency` are percentiles; `batch` is how
    many requests the system takes at once, in its own words.
    """

    words: RungDefinition
    status: str
    placement: str | Unavailable
    batch: str | Unavailable
    time: Estimate | Unavailable
    speedup: Gain
    energy: EnergyEstimate | Unavailable
    energy_reduction: Gain
    quality: Estimate | Unavailable
    quality_change: QualityChange | Absent
    kept_gain: Estimate | Absent
    latency: dict[str, Estimate | Unavailable]
    peak_bytes: int | Unavailable
    disk_bytes: int | Unavailable
    usd: Estimate | Unavailable
    spent: PreparationCost
    pays_energy: BreakEven | Absent
    pays_money: BreakEven | Absent


@dataclass(frozen=True, slots=True)
class LadderReport:
    """The rungs in order; `metric` is what quality is told by.

    `offline` and `single` are the figures that the rungs are made of, of those that were measured.
    """

    name: str
    metric: str
    price: Price
    rungs: tuple[RungFigures, ...]
    offline: tuple[Figures, ...]
    single: tuple[Figures, ...]


def words_of(record: Record) -> LadderDefinition | None:
    """Return the ladder that a record is of, or None; StoreError if it cannot be read."""
    if record.configuration.get("ladder") is None:
        return None
    try:
        return LadderDefinition.model_validate(record.configuration["ladder"])
    except ValidationError as problem:
        raise StoreError(
            f"the record's ladder cannot be read: {problem.errors()[0]['msg']}.",
            where=f"{record.run}, {record.cell.id}",
            remedy="Measure the ladder again with `bench ladder`.",
        ) from None


def is_rung(record: Record) -> bool:
    """Say whether a record is shown in a ladder's tables."""
    words = words_of(record)
    if words is None or record.cell.scenario not in SCENARIOS:
        return False
    return any(record.cell.variant == step.name for step in words.rungs)
