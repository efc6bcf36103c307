"""How quality changes between two records: the difference of the primary metric, the share of a gain kept.

Both are paired by example where the samples are at hand, since both systems answered the same examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.statistics.estimates import CONFIDENCE
from harness.analysis.statistics.pairing import NotComparable, refusal
from harness.analysis.statistics.round_series import QUALITY_FIELDS
from harness.records.estimate import Estimate
from harness.records.record import Quality, Record
from harness.workload.tasks.base import Task
from harness.workload.tasks.metrics import Counts


@dataclass(frozen=True, slots=True)
class QualityChange:
    """System minus reference in points (hundredths) of the primary metric; `note` says how it came about."""

    metric: str
    points: Estimate
    paired: bool
    note: str


@dataclass(frozen=True, slots=True)
class PairedAnswers:
    """The counts of both systems' answers to the same examples, for a paired change of quality.

    Each is [clusters, counts] as `Scoring.by_cluster` gives it and a record's samples keep it.
    """

    system: Counts
    reference: Counts


def quality_change(
    system: Record, reference: Record, *, answers: PairedAnswers | None = None, task: Task | None = None
) -> QualityChange | NotComparable:
    """Return the difference of the primary metric in points, with its 95 % interval.

    With `answers` and `task` examples are resampled in pairs. Without, equal hashes of answers mean no
    change; otherwise the two intervals are combined as if the systems had answered different examples,
    which is wider.
    """
    if found := refusal(system, reference, QUALITY_FIELDS):
        return found
    scored = _both_scored(system, reference)
    if isinstance(scored, NotComparable):
        return scored
    mine, theirs = scored
    metric = mine.primary
    if mine.answers_sha256 is not None and mine.answers_sha256 == theirs.answers_sha256:
        same = Estimate(0.0, 0.0, 0.0, CONFIDENCE, "equal answers", mine.metrics[metric].count)
        return QualityChange(metric, same, paired=True, note="both gave the same answers")
    if answers is not None and task is not None:
        points = _paired_points(metric, answers, task)
        return QualityChange(metric, points, paired=True, note="paired by example")
    note = "unpaired: the interval is wider than one from answers to the same examples"
    return QualityChange(metric, _unpaired_points(mine.metrics[metric], theirs.metrics[metric]), False, note)


def kept_gain(
    system: Record, reference: Record, *, answers: PairedAnswers | None, task: Task | None
) -> Estimate | NotComparable:
    """Return the share that the system keeps of what the reference gains over the best constant answer.

    1 is all of it and 0 none; more is better than the reference. Examples are resampled in pairs. Refused
    where the reference gains nothing, or its gain is so small that resampling loses it.
    """
    if found := refusal(system, reference, QUALITY_FIELDS):
        return found
    scored = _both_scored(system, reference)
    if isinstance(scored, NotComparable):
        return scored
    least = reference.data.majority
    if least is None or answers is None or task is None:
        return NotComparable("that needs the samples of both, and what a constant answer scores", "samples")
    return _kept(scored[1].primary, least, answers, task)


def _scored(record: Record) -> Quality | NotComparable:
    if record.quality is None:
        return NotComparable(f"{record.cell.variant} has no quality", "quality")
    if record.quality.primary not in record.quality.metrics:
        reason = record.quality.unavailable or "it was not scored"
        return NotComparable(f"the quality of {record.cell.variant} is unavailable: {reason}", "quality")
    return record.quality


def _both_scored(system: Record, reference: Record) -> tuple[Quality, Quality] | NotComparable:
    mine, theirs = _scored(system), _scored(reference)
    if isinstance(mine, NotComparable):
        return mine
    if isinstance(theirs, NotComparable):
        return theirs
    counts = (mine.timed + mine.untimed, theirs.timed + theirs.untimed)
    if counts[0] != counts[1]:
        return NotComparable(
            f"the number of scored examples differs: {counts[0]} and {counts[1]}", "scored examples"
        )
    return mine, theirs


def _unpaired_points(mine: Estimate, theirs: Estimate) -> Estimate:
    """Combine two intervals into one of the difference (R. Newcombe 1998, method 10), in points."""
    value = mine.value - theirs.value
    below = np.hypot(mine.value - mine.low, theirs.high - theirs.value)
    above = np.hypot(mine.high - mine.value, theirs.value - theirs.low)
    low, high = 100 * (value - float(below)), 100 * (value + float(above))
    count = min(mine.count, theirs.count)
    return Estimate(100 * value, low, high, CONFIDENCE, "difference, Newcombe interval, unpaired", count)


def _paired_points(metric: str, answers: PairedAnswers, task: Task) -> Estimate:
    """Bootstrap the difference over examples, each drawn with both answers, in points."""
    (mine, theirs), *resampled = _paired_rates(metric, answers, task)
    changes = [100 * (one - other) for one, other in resampled]
    low, high = _ends(changes)
    value, size = 100 * (mine - theirs), len(answers.system)
    return Estimate(value, low, high, CONFIDENCE, "difference, paired bootstrap over examples", size)


def _kept(metric: str, least: float, answers: PairedAnswers, task: Task) -> Estimate | NotComparable:
    rates = _paired_rates(metric, answers, task)
    gains = [(mine - least, theirs - least) for mine, theirs in rates]
    with_gain = [(mine, theirs) for mine, theirs in gains[1:] if theirs > 0]
    lost = 1 - len(with_gain) / len(gains[1:])
    if gains[0][1] <= 0 or lost > (1 - CONFIDENCE) / 2:
        return NotComparable(
            "the reference's gain over a constant answer is too small to be shared", "majority"
        )
    # the few resamples in which the reference gains nothing have no share, and are left out
    shares = [mine / theirs for mine, theirs in (gains[0], *with_gain)]
    low, high = _ends(shares[1:])
    size = len(answers.system)
    return Estimate(shares[0], low, high, CONFIDENCE, "share kept, paired bootstrap over examples", size)


def _paired_rates(
    metric: str, answers: PairedAnswers, task: Task, *, resamples: int = 1_000, seed: int = 0
) -> list[tuple[float, float]]:
    """Return the metric of system and reference: as they are, then of every resample of both alike."""
    mine, theirs = answers.system, answers.reference
    if mine.shape != theirs.shape:
        raise ValueError("both systems answer every labelled example")

    def rate(counts: Counts) -> float:
        return task.scoring.rates(counts.sum(axis=0))[metric]

    size = len(mine)
    picks = np.random.default_rng(seed).integers(size, size=(resamples, size))
    return [(rate(mine), rate(theirs)), *((rate(mine[pick]), rate(theirs[pick])) for pick in picks)]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
