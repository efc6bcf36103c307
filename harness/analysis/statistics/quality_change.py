"""Change of quality between two records: difference of the primary metric, and share of a gain that is kept.

Both are paired by example if the samples are available, because both systems answered the same examples.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.analysis.statistics.estimates import CONFIDENCE, percentile_interval
from harness.analysis.statistics.pairing import NotComparable, refusal
from harness.analysis.statistics.round_series import QUALITY_FIELDS
from harness.records.estimate import Estimate
from harness.records.record import Quality, Record
from harness.workload.tasks.base import Task
from harness.workload.tasks.metrics import Counts


@dataclass(frozen=True, slots=True)
class QualityChange:
    """System minus reference in points (hundredths) of the primary metric; `note` names the method."""

    metric: str
    points: Estimate
    paired: bool
    note: str


@dataclass(frozen=True, slots=True)
class PairedAnswers:
    """Counts of the answers of both systems to the same examples, for a paired change of quality.

    Each is [clusters, counts], as `Scoring.by_cluster` returns it and the samples of a record hold it.
    """

    system: Counts
    reference: Counts


def quality_change(
    system: Record, reference: Record, *, answers: PairedAnswers | None = None, task: Task | None = None
) -> QualityChange | NotComparable:
    """Return the difference of the primary metric in points, with its 95 % interval.

    Equal hashes of the answers mean no change. With `answers` and `task`, examples are resampled in pairs.
    Otherwise the two intervals are combined as if the systems had answered different examples, which gives a
    wider interval.
    """
    scored = _both_scored(system, reference)
    if isinstance(scored, NotComparable):
        return scored
    first, second = scored
    metric = first.primary
    if first.answers_sha256 is not None and first.answers_sha256 == second.answers_sha256:
        same = Estimate(0.0, 0.0, 0.0, CONFIDENCE, "equal answers", first.metrics[metric].count)
        return QualityChange(metric, same, paired=True, note="both gave the same answers")
    if answers is not None and task is not None:
        points = _paired_points(metric, answers, task)
        return QualityChange(metric, points, paired=True, note="paired by example")
    note = "unpaired: the interval is wider than one from answers to the same examples"
    points = _unpaired_points(first.metrics[metric], second.metrics[metric])
    return QualityChange(metric, points, paired=False, note=note)


def kept_gain(
    system: Record, reference: Record, *, answers: PairedAnswers | None, task: Task | None
) -> Estimate | NotComparable:
    """Return the share that the system keeps of the reference's gain over the best constant answer.

    1 is the whole gain and 0 none of it; above 1 the system is better than the reference. Examples are
    resampled in pairs. NotComparable if the reference has no gain, or one so small that resamples lose it.
    """
    scored = _both_scored(system, reference)
    if isinstance(scored, NotComparable):
        return scored
    baseline = reference.data.majority
    if baseline is None or answers is None or task is None:
        return NotComparable(
            "it needs the samples of both and the score of the best constant answer", "samples"
        )
    return _kept(scored[1].primary, baseline, answers, task)


def _scored(record: Record) -> Quality | NotComparable:
    if record.quality is None:
        return NotComparable(f"{record.cell.variant} has no quality", "quality")
    if record.quality.primary not in record.quality.metrics:
        reason = record.quality.unavailable or "it was not scored"
        return NotComparable(f"the quality of {record.cell.variant} is unavailable: {reason}", "quality")
    return record.quality


def _both_scored(system: Record, reference: Record) -> tuple[Quality, Quality] | NotComparable:
    if difference := refusal(system, reference, QUALITY_FIELDS):
        return difference
    first, second = _scored(system), _scored(reference)
    if isinstance(first, NotComparable):
        return first
    if isinstance(second, NotComparable):
        return second
    counts = (first.timed + first.untimed, second.timed + second.untimed)
    if counts[0] != counts[1]:
        return NotComparable(
            f"the number of scored examples differs: {counts[0]} and {counts[1]}", "scored examples"
        )
    return first, second


def _unpaired_points(system: Estimate, reference: Estimate) -> Estimate:
    """Combine two intervals into that of the difference (R. Newcombe 1998, method 10), in points."""
    value = system.value - reference.value
    below = np.hypot(system.value - system.low, reference.high - reference.value)
    above = np.hypot(system.high - system.value, reference.value - reference.low)
    low, high = 100 * (value - float(below)), 100 * (value + float(above))
    count = min(system.count, reference.count)
    return Estimate(100 * value, low, high, CONFIDENCE, "difference, Newcombe interval, unpaired", count)


def _paired_points(metric: str, answers: PairedAnswers, task: Task) -> Estimate:
    """Bootstrap the difference over examples, each drawn with both answers, in points."""
    (system, reference), *resampled = _paired_rates(metric, answers, task)
    low, high = percentile_interval([100 * (first - second) for first, second in resampled])
    value, size = 100 * (system - reference), len(answers.system)
    return Estimate(value, low, high, CONFIDENCE, "difference, paired bootstrap over examples", size)


def _kept(metric: str, baseline: float, answers: PairedAnswers, task: Task) -> Estimate | NotComparable:
    rates = _paired_rates(metric, answers, task)
    gains = [(system - baseline, reference - baseline) for system, reference in rates]
    with_gain = [(system, reference) for system, reference in gains[1:] if reference > 0]
    lost = 1 - len(with_gain) / len(gains[1:])
    if gains[0][1] <= 0 or lost > (1 - CONFIDENCE) / 2:
        return NotComparable(
            "the reference's gain over a constant answer is too small to be shared", "majority"
        )
    # the few resamples in which the reference has no gain have no share and are left out
    shares = [system / reference for system, reference in (gains[0], *with_gain)]
    low, high = percentile_interval(shares[1:])
    size = len(answers.system)
    return Estimate(shares[0], low, high, CONFIDENCE, "share kept, paired bootstrap over examples", size)


def _paired_rates(
    metric: str, answers: PairedAnswers, task: Task, *, resamples: int = 1_000, seed: int = 0
) -> list[tuple[float, float]]:
    """Return the metric of system and reference: of all examples, then of every paired resample."""
    system, reference = answers.system, answers.reference
    if system.shape != reference.shape:
        raise ValueError(f"counts must have the same shape, got {system.shape} and {reference.shape}")

    def rate(total: Counts) -> float:
        return task.scoring.rates(total)[metric]

    both, width = np.hstack([system, reference]), system.shape[1]
    totals = [both.sum(axis=0), *(_weights(len(system), resamples, seed) @ both)]
    return [(rate(total[:width]), rate(total[width:])) for total in totals]


@lru_cache(maxsize=1)
def _weights(size: int, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """Return how often each resample has each cluster; all variants of a group have the same, drawn once."""
    picks = np.random.default_rng(seed).integers(size, size=(resamples, size))
    return np.stack([np.bincount(pick, minlength=size) for pick in picks]).astype(np.float64)
