"""Estimates become ratios, and ratios become judgements.

    record, record --compare--> Ratio | Refused --judge--> Judgement

A ratio is only made of two records that differ in nothing but the system: whatever else differs is named in
the refusal. Ratios are paired: both systems visited the same slice in the same round, minutes of heat and
neighbours apart at most, so what slows a round down slows both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from harness.estimate import (
    CONFIDENCE,
    MINIMUM_ROUNDS,
    Estimate,
    Floats,
    Unavailable,
    Windows,
    energy_windows,
    median_over_rounds,
)
from harness.record import Quality, Record, Round
from harness.tasks.base import Task
from harness.tasks.scoring import Counts

BASELINE = "pytorch-fixed"
UNPADDED = "pytorch-dynamic"
REFERENCES = (BASELINE, UNPADDED)
"""What every report compares with: PyTorch as people first meet it, and the same without padding, because
padding flatters every rival of it."""

TOLERANCE = 0.02
"""Changes of the median within this share are no change in practice, however narrow the interval."""

Quantity = Literal["speed-up", "energy reduction"]
Verdict = Literal["faster", "slower", "less energy", "more energy", "no change", "too noisy"]

_VERDICTS: dict[Quantity, tuple[Verdict, Verdict]] = {
    "speed-up": ("faster", "slower"),
    "energy reduction": ("less energy", "more energy"),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Reference over system, so that above 1 is better; `over` names the reference variant.

    The other fields are those of `Estimate`.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str
    count: int
    over: str
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class Refused:
    """No ratio: `field` names what differs or lacks, `reason` is a clause that continues "because ..."."""

    reason: str
    field: str

    def __str__(self) -> str:
        """Say it as a report prints it."""
        return f"refused, because {self.reason}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one quantity, with the tolerance it was reached under."""

    verdict: Verdict
    ratio: Ratio
    tolerance: float


@dataclass(frozen=True, slots=True)
class QualityChange:
    """System minus reference in points (hundredths) of the primary metric; `note` says how it came about."""

    metric: str
    points: Estimate
    paired: bool
    note: str


@dataclass(frozen=True, slots=True)
class Answers:
    """The counts of both systems' answers to the same examples, for a paired change of quality.

    Each is [clusters, counts] as `Scoring.by_cluster` gives it and a record's samples keep it.
    """

    system: Counts
    reference: Counts


def speedup(system: Record, reference: Record, *, confidence: float = CONFIDENCE) -> Ratio | Refused:
    """Return the reference's time per request over the system's: the median over paired rounds."""
    pairs = _pairs(system, reference)
    if isinstance(pairs, Refused):
        return pairs
    times = np.array([[item.wall_ns / item.requests for item in pair] for pair in pairs])
    ratios = times[:, 1] / times[:, 0]
    return _ratio(ratios, pairs, reference, "speed-up", confidence)


def energy_reduction(system: Record, reference: Record, *, confidence: float = CONFIDENCE) -> Ratio | Refused:
    """Return the reference's energy per request over the system's, widened by the resolution of both meters.

    The bounds take every reading of one system too high, and of the other too low, by its resolution.
    """
    pairs = _pairs(system, reference)
    if isinstance(pairs, Refused):
        return pairs
    energies = _energies(pairs, system, reference)
    if isinstance(energies, Refused):
        return energies
    middle, least, most = (
        _ratio(ratios, pairs, reference, "energy reduction", confidence)
        for ratios in _energy_ratios(*energies)
    )
    method = f"{middle.method}, widened by the meter's resolution"
    return replace(middle, low=least.low, high=most.high, method=method)


def quality_change(
    system: Record, reference: Record, *, answers: Answers | None = None, task: Task | None = None
) -> QualityChange | Refused:
    """Return the difference of the primary metric in points, with its 95 % interval.

    With `answers` and `task` examples are resampled in pairs. Without, equal hashes of answers mean no
    change; otherwise the two intervals are combined as if the systems had answered different examples,
    which is wider.
    """
    if refusal := _refusal(system, reference, _QUALITY_FIELDS):
        return refusal
    scored = _both_scored(system, reference)
    if isinstance(scored, Refused):
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
    system: Record, reference: Record, *, answers: Answers | None, task: Task | None
) -> Estimate | Refused:
    """Return the share that the system keeps of what the reference gains over the best constant answer.

    1 is all of it and 0 none; more is better than the reference. Examples are resampled in pairs. Refused
    where the reference gains nothing, or its gain is so small that resampling loses it.
    """
    if refusal := _refusal(system, reference, _QUALITY_FIELDS):
        return refusal
    scored = _both_scored(system, reference)
    if isinstance(scored, Refused):
        return scored
    least = reference.data.majority
    if least is None or answers is None or task is None:
        return Refused("that needs the samples of both, and what a constant answer scores", "samples")
    return _kept(scored[1].primary, least, answers, task)


def judge(ratio: Ratio, *, tolerance: float = TOLERANCE) -> Judgement:
    """Judge by two conditions: the interval excludes 1, and the change exceeds the tolerance.

    No change needs evidence too: an interval within the tolerance, or one that excludes 1 by less than it.
    All else, a NaN included, is too noisy to say. Changes count as ratios: 1.02 and 1 / 1.02 are equally
    far from 1.
    """
    better, worse = _VERDICTS[ratio.quantity]
    limit = 1 + tolerance
    excludes_one = ratio.low > 1 or ratio.high < 1
    verdict: Verdict = "too noisy"
    if excludes_one and ratio.value > limit:
        verdict = better
    elif excludes_one and ratio.value < 1 / limit:
        verdict = worse
    elif 1 / limit <= ratio.value <= limit and (
        excludes_one or (1 / limit <= ratio.low and ratio.high <= limit)
    ):
        verdict = "no change"
    return Judgement(verdict, ratio, tolerance)


def mismatch(system: Record, reference: Record) -> Refused | None:
    """Return the first thing that forbids a ratio of these two, or None.

    Threads may differ where instances do, as far as both ran on the same cpus: that is what the variant
    chose.
    """
    if refusal := _refusal(system, reference, _FIELDS):
        return refusal
    mine, theirs = system.cell, reference.cell
    if mine.instances == theirs.instances and mine.threads != theirs.threads:
        return Refused(f"the number of threads differs: {mine.threads} and {theirs.threads}", "threads")
    return None


Field = tuple[str, Callable[[Record], Any]]

_QUALITY_FIELDS: tuple[Field, ...] = (
    ("schema version", lambda record: record.schema_version),
    ("task", lambda record: record.cell.task),
    ("data fingerprint", lambda record: record.data.fingerprint),
    ("split", lambda record: record.data.split),
    ("maximum length", lambda record: record.cell.max_length),
)

_FIELDS: tuple[Field, ...] = (
    *_QUALITY_FIELDS,
    ("device", lambda record: record.cell.device),
    ("scenario", lambda record: record.cell.scenario),
    ("boundary", lambda record: record.cell.boundary),
    ("batch", lambda record: record.cell.batch),
    ("host fingerprint", lambda record: record.host.fingerprint),
    ("run", lambda record: record.run),
    ("group", lambda record: record.cell.group),
    ("seed", lambda record: record.seed),
    ("profile", lambda record: record.profile),
    ("sample", lambda record: record.data.sample),
    ("cpus", lambda record: record.placement and record.placement.cpus),
)


def _refusal(system: Record, reference: Record, fields: Sequence[Field]) -> Refused | None:
    for name, read in fields:
        mine, theirs = read(system), read(reference)
        if mine != theirs:
            return Refused(f"the {name} differs: {_shown(mine)} and {_shown(theirs)}", name)
    return None


def _pairs(system: Record, reference: Record) -> list[tuple[Round, Round]] | Refused:
    """Return (system's round, reference's round) in order, or why they cannot be paired."""
    for record in (system, reference):
        if record.status == "failed":
            return Refused(f"{record.cell.variant} failed", "status")
    if refusal := mismatch(system, reference):
        return refusal
    theirs = {(item.launch, item.index): item for item in reference.rounds}
    pairs = [
        (item, theirs[item.launch, item.index])
        for item in sorted(system.rounds, key=lambda item: (item.launch, item.index))
        if (item.launch, item.index) in theirs
    ]
    return _unpaired(pairs) or pairs


def _unpaired(pairs: Sequence[tuple[Round, Round]]) -> Refused | None:
    for mine, other in pairs:
        if mine.slice != other.slice:
            slices = f"{mine.slice} and {other.slice}"
            return Refused(f"the slice of round {mine.index} differs: {slices}", "slice")
        if min(mine.requests, other.requests, mine.wall_ns, other.wall_ns) < 1:
            return Refused(f"round {mine.index} holds no request or no time", "rounds")
    if len(pairs) < MINIMUM_ROUNDS:
        counted = f"{len(pairs)} round{'s' if len(pairs) != 1 else ''}"
        return Refused(f"they share {counted}, and an interval needs {MINIMUM_ROUNDS}", "rounds")
    return None


def _ratio(
    ratios: Floats,
    pairs: Sequence[tuple[Round, Round]],
    reference: Record,
    quantity: Quantity,
    confidence: float,
) -> Ratio:
    launches = [first.launch for first, _ in pairs]
    found = median_over_rounds(ratios, launches, what="paired rounds", confidence=confidence)
    return Ratio(
        found.value,
        found.low,
        found.high,
        found.confidence,
        found.method,
        found.count,
        over=reference.cell.variant,
        quantity=quantity,
    )


def _energies(
    pairs: Sequence[tuple[Round, Round]], system: Record, reference: Record
) -> tuple[Windows, Windows] | Refused:
    mine = energy_windows([first for first, _ in pairs])
    if isinstance(mine, Unavailable):
        return Refused(f"the energy of {system.cell.variant} is unavailable: {mine.reason}", "energy")
    theirs = energy_windows([second for _, second in pairs])
    if isinstance(theirs, Unavailable):
        return Refused(f"the energy of {reference.cell.variant} is unavailable: {theirs.reason}", "energy")
    return _unlike_energy(mine, theirs) or (mine, theirs)


def _unlike_energy(mine: Windows, theirs: Windows) -> Refused | None:
    for name in ("grade", "scope", "source"):
        one, other = getattr(mine, name), getattr(theirs, name)
        if one != other:
            return Refused(f"the {name} of the energy differs: {one} and {other}", name)
    if np.any(mine.microjoules <= mine.resolution_uj) or np.any(theirs.microjoules <= theirs.resolution_uj):
        return Refused("a window holds no more energy than the meter's resolution", "resolution")
    return None


def _energy_ratios(mine: Windows, theirs: Windows) -> tuple[Floats, Floats, Floats]:
    """Return the ratio of every round as read, at its least, and at its most."""
    middle = theirs.microjoules / mine.microjoules
    least = (theirs.microjoules - theirs.resolution_uj) / (mine.microjoules + mine.resolution_uj)
    most = (theirs.microjoules + theirs.resolution_uj) / (mine.microjoules - mine.resolution_uj)
    return middle, least, most


def _scored(record: Record) -> Quality | Refused:
    if record.quality is None:
        return Refused(f"{record.cell.variant} has no quality", "quality")
    if record.quality.primary not in record.quality.metrics:
        reason = record.quality.unavailable or "it was not scored"
        return Refused(f"the quality of {record.cell.variant} is unavailable: {reason}", "quality")
    return record.quality


def _both_scored(system: Record, reference: Record) -> tuple[Quality, Quality] | Refused:
    mine, theirs = _scored(system), _scored(reference)
    if isinstance(mine, Refused):
        return mine
    if isinstance(theirs, Refused):
        return theirs
    counts = (mine.timed + mine.untimed, theirs.timed + theirs.untimed)
    if counts[0] != counts[1]:
        return Refused(
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


def _paired_points(metric: str, answers: Answers, task: Task) -> Estimate:
    """Bootstrap the difference over examples, each drawn with both answers, in points."""
    (mine, theirs), *resampled = _paired_rates(metric, answers, task)
    changes = [100 * (one - other) for one, other in resampled]
    low, high = _ends(changes)
    value, size = 100 * (mine - theirs), len(answers.system)
    return Estimate(value, low, high, CONFIDENCE, "difference, paired bootstrap over examples", size)


def _kept(metric: str, least: float, answers: Answers, task: Task) -> Estimate | Refused:
    rates = _paired_rates(metric, answers, task)
    gains = [(mine - least, theirs - least) for mine, theirs in rates]
    with_gain = [(mine, theirs) for mine, theirs in gains[1:] if theirs > 0]
    lost = 1 - len(with_gain) / len(gains[1:])
    if gains[0][1] <= 0 or lost > (1 - CONFIDENCE) / 2:
        return Refused("the reference's gain over a constant answer is too small to be shared", "majority")
    # the few resamples in which the reference gains nothing have no share, and are left out
    shares = [mine / theirs for mine, theirs in (gains[0], *with_gain)]
    low, high = _ends(shares[1:])
    size = len(answers.system)
    return Estimate(shares[0], low, high, CONFIDENCE, "share kept, paired bootstrap over examples", size)


def _paired_rates(
    metric: str, answers: Answers, task: Task, *, resamples: int = 1_000, seed: int = 0
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


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    text = str(value)
    is_hash = len(text) >= 32 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 -- md5 and longer
    return text[:12] if is_hash else text
