"""A ladder's definition, from the records' configuration, and the figures of its rungs.

Speed, energy, quality and memory come from `offline`, where each system chooses its batches; latency comes
from `single-stream`. An absent value keeps its reason.
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
"""Examples in BoolQ's validation split, which the paper's seconds cover."""


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
    """A rung as the ladder defines it: what it is, the rung it builds on, the paper's row if it has one."""

    name: str
    over: str = ""
    about: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    reference: PaperFigures | None = None


class LadderDefinition(BaseModel):
    """A ladder as it was requested; the first rung is the baseline."""

    name: str
    rungs: list[RungDefinition] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Gain:
    """The ratio over the rung that a rung builds on, and the ratio over the first rung."""

    step: Ratio | Absent
    cumulative: Ratio | Absent


@dataclass(frozen=True, slots=True)
class RungFigures:
    """The figures of one rung: nanoseconds, bytes, USD per 100 million requests.

    `status` is that of the rung's offline cell, or `missing`. The keys of `latency` are percentiles. `batch`
    is how many requests the system processes at once, as the system reports it.
    """

    definition: RungDefinition
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
    preparation: PreparationCost
    break_even_energy: BreakEven | Absent
    break_even_money: BreakEven | Absent


@dataclass(frozen=True, slots=True)
class LadderReport:
    """The rungs in order; `metric` is the primary metric of the task.

    `offline` and `single_stream` are the figures of the records that the rungs are made of.
    """

    name: str
    metric: str
    price: Price
    rungs: tuple[RungFigures, ...]
    offline: tuple[Figures, ...]
    single_stream: tuple[Figures, ...]

    @property
    def record(self) -> Record | None:
        """One of its records, which share run, model and host."""
        return next((figures.record for figures in (*self.offline, *self.single_stream)), None)


def ladder_definition(record: Record) -> LadderDefinition | None:
    """Return the ladder that a record belongs to, or None; raises StoreError if it cannot be read."""
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
    """Return whether a record is shown in the tables of a ladder."""
    ladder = ladder_definition(record)
    if ladder is None or record.cell.scenario not in SCENARIOS:
        return False
    return any(record.cell.variant == rung.name for rung in ladder.rungs)
