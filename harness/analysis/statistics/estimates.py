"""Estimates from samples: a number with its interval, by a named estimator.

    samples --estimate--> Estimate --speedup--> Ratio --judge--> Judgement

Every function is pure, and resampling is seeded. A quantity that cannot be estimated is `Unavailable` with
the reason: never None, NaN or zero.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from harness.analysis.statistics.binomial import quantile, wilson_interval
from harness.analysis.statistics.variance.intervals import (
    ends_around,
    ends_of,
    method_over,
    on_log_scale,
    widened_method,
)
from harness.analysis.statistics.variance.model import (
    Floats,
    KnownVariance,
    Location,
    Locations,
    locations,
)
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import Grade, Reading, Scope, SumReadings, sum_readings, sum_with_processor

if TYPE_CHECKING:
    from harness.records.record import Round
    from harness.workload.tasks.base import Task
    from harness.workload.tasks.example import Example
    from harness.workload.tasks.metrics import Scoring

CONFIDENCE = 0.95
"""Level of intervals by default."""

MINIMUM_ROUNDS = 3
"""Rounds that an interval needs."""

MINIMUM_REQUESTS: dict[float, int] = {50: 11, 90: 64, 95: 130, 97: 219, 99: 662, 99.9: 6636}
"""Requests that a percentile (in percent) needs, with confidence 99 % and one request slower than the claimed
bound: the smallest n for which Binomial(n, 1 - p) is at most 1 with a probability of at most 0.01. MLPerf's
published minima, 64 for p90 and 662 for p99, are two of them."""

PERCENTILE_METHOD = "nearest rank, interval by order statistics"

RESAMPLES_OF_EXAMPLES = 1_000
NOT_SHARES = ("mcc",)
"""Metrics for which 0 does not mean that all answers are wrong."""


class PercentileFacts(TypedDict):
    """The fields of `record.Percentile`; values in nanoseconds, None where `have` is below `needed`."""

    value_ns: float | None
    low_ns: float | None
    high_ns: float | None
    needed: int
    have: int


@dataclass(frozen=True, slots=True)
class EnergyEstimate:
    """Energy per request in microjoules, with grade, scope and source of its readings."""

    microjoules: Estimate
    grade: Grade
    scope: Scope
    source: str


@dataclass(frozen=True, eq=False)
class EnergyWindows:
    """Energy per request and its uncertainty, one value per round, both in microjoules: float64 [rounds]."""

    microjoules: Floats
    resolution_uj: Floats
    grade: Grade
    scope: Scope
    source: str

    @property
    def lowest(self) -> Floats:
        """Every reading reduced by its resolution, but not below 0."""
        return np.maximum(self.microjoules - self.resolution_uj, 0.0)

    @property
    def highest(self) -> Floats:
        """Every reading increased by its resolution."""
        return self.microjoules + self.resolution_uj

    @cached_property
    def is_below_resolution(self) -> bool:
        """Whether a reading is no larger than its resolution."""
        return bool((self.microjoules <= self.resolution_uj).any())


def percentile(samples_ns: Sequence[float], p: float, *, distinct: int | None = None) -> PercentileFacts:
    """Return the percentile `p`, in percent, of per-request latencies with its 95 % interval.

    `distinct` counts the distinct examples among the samples: repeats of an example are not further requests,
    so both the minimum and the interval depend on it. The value is the sample of rank ceil(p n). The interval
    lies between two order statistics whose ranks are quantiles of Binomial(distinct, p), so it assumes no
    distribution. With too few requests the values are None. KeyError for a `p` that is not in
    `MINIMUM_REQUESTS`.
    """
    count, needed = len(samples_ns), MINIMUM_REQUESTS[p]
    have = count if distinct is None else min(distinct, count)
    if have < needed:
        return PercentileFacts(value_ns=None, low_ns=None, high_ns=None, needed=needed, have=have)
    ordered = np.sort(np.asarray(samples_ns, dtype=np.float64))
    tail, share = (1 - CONFIDENCE) / 2, p / 100
    # ranks from 1: `low` is the highest with P(B < low) <= tail, `high` the lowest with P(B >= high) <= tail;
    # with repeats, rank i of the examples is ranks (i - 1) n / have + 1 to i n / have of the samples
    low = max(1, quantile(tail, have, share))
    high = min(have, quantile(1 - tail, have, share) + 1)
    rank = math.ceil(round(share * count, 9))  # rounded: 0.9 * 70 is 63.00000000000001 in floating point
    ranks = (rank, (low - 1) * count // have + 1, -(-high * count // have))
    value_ns, low_ns, high_ns = (float(ordered[at - 1]) for at in ranks)
    return PercentileFacts(value_ns=value_ns, low_ns=low_ns, high_ns=high_ns, needed=needed, have=have)


def time_per_request(rounds: Sequence["Round"], known: KnownVariance | None = None) -> Estimate | Unavailable:
    """Return nanoseconds of the window per request: the mean over rounds (`mean_over_rounds`)."""
    launches = [item.launch for item in rounds]
    return unusable(rounds) or mean_over_rounds(times_of(rounds), launches, known=known)


def throughput(rounds: Sequence["Round"], known: KnownVariance | None = None) -> Estimate | Unavailable:
    """Return requests per second: the mean over rounds (`mean_over_rounds`)."""
    launches = [item.launch for item in rounds]
    return unusable(rounds) or mean_over_rounds(1e9 / times_of(rounds), launches, known=known)


def energy_per_request(
    rounds: Sequence["Round"], added: SumReadings = sum_readings, known: KnownVariance | None = None
) -> EnergyEstimate | Unavailable:
    """Return energy per request: the mean over rounds, its interval widened by the resolution of the meter.

    `added` sums the zones: those of tables, or with `sum_with_processor` a board and its processor. The
    bounds are those of rounds that are all too high, and all too low, by their resolution.
    """
    windows = energy_windows(rounds, added)
    if isinstance(windows, Unavailable):
        return windows
    return energies_of([(windows, [item.launch for item in rounds], known)])[0]


def energies_of(
    series: Sequence[tuple[EnergyWindows, Sequence[int], KnownVariance | None]],
) -> list[EnergyEstimate]:
    """Return energy per request of each (windows, launches, known), in their order."""
    (as_read, logs), lowest, highest = (
        _means([(getattr(windows, name), *rest) for windows, *rest in series])
        for name in ("microjoules", "lowest", "highest")
    )
    lows = [low for _, low, _ in ends_of(*lowest, CONFIDENCE)]
    highs = [high for *_, high in ends_of(*highest, CONFIDENCE)]
    estimates = []
    for at, (windows, *_) in enumerate(series):
        value = math.exp(as_read.values[at]) if logs[at] else as_read.values[at]
        method = widened_method("rounds", as_read.covers(at))
        total = Estimate(value, lows[at], highs[at], CONFIDENCE, method, as_read.counts[at])
        estimates.append(EnergyEstimate(total, windows.grade, windows.scope, windows.source))
    return estimates


def whole_energy(rounds: Sequence["Round"]) -> EnergyEstimate | Unavailable | None:
    """Return energy per request of boards and the processor beside them; None unless both were read."""
    if not any(sum_with_processor(item.readings) for item in rounds):
        return None
    return energy_per_request(rounds, sum_with_processor)


def energy_windows(
    rounds: Sequence["Round"], added: SumReadings = sum_readings
) -> EnergyWindows | Unavailable:
    """Return energy per request of every round, or why it is unavailable.

    One round without energy makes all of it unavailable: rounds must not be selected by whether the meter
    worked.
    """
    if reason := unusable(rounds):
        return reason
    totals = [_window_total(item, added) for item in rounds]
    readings = [total for total in totals if isinstance(total, Reading)]
    if len(readings) < len(totals):
        return next(total for total in totals if isinstance(total, Unavailable))
    kinds = {(reading.grade, reading.scope, reading.source) for reading in readings}
    if len(kinds) > 1:
        return Unavailable("the rounds were read by different meters or at different grades")
    requests = [item.requests for item in rounds]
    return EnergyWindows(
        np.array([(total.microjoules or 0) / count for total, count in zip(readings, requests, strict=True)]),
        np.array([total.resolution_uj / count for total, count in zip(readings, requests, strict=True)]),
        *kinds.pop(),
    )


def quality(
    task: "Task", examples: "Sequence[Example]", answers: Sequence[str], *, seed: int = 0
) -> dict[str, Estimate]:
    """Return every official metric with its 95 % interval.

    Accuracy is a proportion, so its interval is Wilson's where examples are independent; the interval of any
    other metric is a bootstrap over examples, or over clusters of dependent examples (the questions of a
    passage). ValueError without examples, or if the number of answers differs.
    """
    task.scoring(examples, answers)  # raises ValueError for input that cannot be scored
    return quality_of_counts(task.scoring, task.scoring.by_cluster(examples, answers), len(examples), seed)


def quality_of_counts(
    scoring: "Scoring", counts: Floats, examples: int, seed: int = 0
) -> dict[str, Estimate]:
    """Return every metric from the counts of each cluster, float64 [clusters, counts].

    `examples` is the number of scored examples. The samples of a record hold these counts, so that metrics
    can be computed again without the texts.
    """
    scores = scoring.rates(counts.sum(axis=0))
    independent = len(counts) == examples
    estimates = {}
    for name, value in scores.items():
        if name == "accuracy" and independent:
            right = round(value * examples)
            estimates[name] = wilson(right, examples, "share of right answers, Wilson interval")
    if remaining := [name for name in scores if name not in estimates]:
        drawn = resampled(scoring, counts, seed)
        units = "examples" if independent else "clusters of examples"
        for name in remaining:
            estimates[name] = _bootstrap_estimate(name, scores[name], drawn[name], len(counts), units)
    return {name: estimates[name] for name in scores}


def resampled(scoring: "Scoring", counts: Floats, seed: int) -> dict[str, list[float]]:
    """Return each metric over a thousand resamples of clusters; `counts` is [clusters, counts]."""
    picks = np.random.default_rng(seed).integers(len(counts), size=(RESAMPLES_OF_EXAMPLES, len(counts)))
    drawn = [scoring.rates(counts[pick].sum(axis=0)) for pick in picks]
    # a resample may lack what a metric needs, such as a complete pair
    return {name: [scores[name] for scores in drawn if name in scores] for name in scoring.metrics}


def wilson(right: int, count: int, method: str) -> Estimate:
    """Return the proportion `right / count` with Wilson's 95 % interval."""
    low, high = wilson_interval(right, count, CONFIDENCE)
    return Estimate(right / count, low, high, CONFIDENCE, method, count)


def mean_over_rounds(
    values: Sequence[float] | Floats,
    launches: Sequence[int],
    *,
    what: str = "rounds",
    confidence: float = CONFIDENCE,
    known: KnownVariance | None = None,
) -> Estimate:
    """Return the mean of the rounds and its t interval, both by the variance model on the log scale.

    `values` holds one number per round, `launches` the launch of each round; `what` names the values in the
    method, and `known` is what is known of launches on such a host. Values that are not all positive are
    averaged as they are. ValueError for fewer rounds than `MINIMUM_ROUNDS`.
    """
    (estimate,) = means_over_rounds([(values, launches, known)], what=what, confidence=confidence)
    return estimate


RoundValues = tuple[Sequence[float] | Floats, Sequence[int], KnownVariance | None]
"""One number for each round, the launch of each, and what is known of launches on such a host."""


def means_over_rounds(
    series: Sequence[RoundValues], *, what: str = "rounds", confidence: float = CONFIDENCE
) -> list[Estimate]:
    """Return `mean_over_rounds` of each (values, launches, known), in their order, computed together."""
    many, are_logs = _means(series)
    ends = ends_of(many, are_logs, confidence)
    return [
        Estimate(*each, confidence, method_over(what, many.covers(at)), many.counts[at])
        for at, each in enumerate(ends)
    ]


def _means(series: Sequence[RoundValues]) -> tuple[Locations, list[bool]]:
    """Return the mean of each series as a location, and whether it is of logarithms."""
    for values, *_ in series:
        if len(values) < MINIMUM_ROUNDS:
            raise ValueError(_too_few(len(values)))
    scaled, are_logs = on_log_scale([values for values, *_ in series])
    parts = zip(scaled, series, strict=True)
    return locations([(each, launches, known) for each, (_, launches, known) in parts]), are_logs


def estimate_of_location(
    location: Location, *, what: str = "rounds", confidence: float = CONFIDENCE, log_scale: bool = True
) -> Estimate:
    """Return a location, by default that of logarithms, as an estimate with its t interval."""
    ends = ends_around(location.value, location.half_width(confidence), log_scale)
    return Estimate(*ends, confidence, method_over(what, location.covers), location.count)


def robust_spread(values: Sequence[float] | Floats) -> float:
    """Return the robust coefficient of variation: the scaled median absolute deviation over the median.

    The scale, 1.4826, makes it the standard deviation over the mean for normally distributed values.
    """
    samples = [float(value) for value in values]
    median = statistics.median(samples)
    return 1.4826 * statistics.median([abs(value - median) for value in samples]) / median


def _bootstrap_estimate(name: str, value: float, drawn: Sequence[float], count: int, units: str) -> Estimate:
    """Return a metric with the percentile interval of its resamples.

    `count` is the number of resampled units, `units` their name. If all answers are wrong, or all are right,
    every resample has the same score, which is not certainty: the interval is then Wilson's.
    """
    low, high = percentile_interval(drawn)
    if low == high and value in (0.0, 1.0) and name not in NOT_SHARES:
        return wilson(
            int(value) * count, count, "official score, Wilson interval as resampling has no spread"
        )
    method = f"official score, bootstrap over {units}"
    return Estimate(value, min(low, value), max(high, value), CONFIDENCE, method, count)


def percentile_interval(drawn: Sequence[float]) -> tuple[float, float]:
    """Return the percentile interval of resamples, at the level `CONFIDENCE`."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _window_total(item: "Round", added: SumReadings) -> Reading | Unavailable:
    if added is sum_readings and len(item.readings) == 1 and item.readings[0].grade != "unavailable":
        return item.readings[0]  # the usual case: the sum of one reading is that reading
    try:
        reading = added(item.readings)
    except ValueError as error:
        return Unavailable(str(error))
    if reading is None:
        return Unavailable("no meter was read")
    if reading.grade == "unavailable":
        return Unavailable(reading.reason or "the meter gave no reason")
    return reading


def times_of(rounds: Sequence["Round"]) -> Floats:
    """Return the nanoseconds of the window per request of each round."""
    return np.array([item.wall_ns / item.requests for item in rounds])


def unusable(rounds: Sequence["Round"]) -> Unavailable | None:
    """Return why these rounds have no time per request, or None."""
    if len(rounds) < MINIMUM_ROUNDS:
        return Unavailable(_too_few(len(rounds)))
    empty = [item.index for item in rounds if item.requests < 1 or item.wall_ns < 1]
    return Unavailable(f"round {empty[0]} has no requests or no duration") if empty else None


def _too_few(count: int) -> str:
    measured = {0: "no round was", 1: "only 1 round was"}.get(count, f"only {count} rounds were")
    return f"{measured} measured, and an interval needs {MINIMUM_ROUNDS}"
