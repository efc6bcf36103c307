"""Samples become estimates: a number with its interval, by a named estimator.

    samples --estimate--> Estimate --compare--> Ratio --judge--> Judgement

Everything here is a pure function of its arguments; resampling is seeded. What cannot be estimated is
`Unavailable`, with the reason: never None, NaN or zero.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import numpy.typing as npt

from harness.analysis.statistics.binomial import quantile, wilson_interval
from harness.analysis.statistics.bootstrap import bootstrap_interval, intervals_of, medians_of
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import Grade, Reading, Scope, SumReadings, sum_readings, sum_with_processor

if TYPE_CHECKING:
    from harness.records.record import Round
    from harness.workload.tasks.base import Task
    from harness.workload.tasks.example import Example
    from harness.workload.tasks.metrics import Scoring

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
MINIMUM_ROUNDS = 3
"""Fewer rounds than this have no interval."""

MINIMUM_REQUESTS: dict[float, int] = {50: 11, 90: 64, 95: 130, 97: 219, 99: 662, 99.9: 6636}
"""Requests that a percentile (in percent) needs, with confidence 99 % and one request slower than the claimed
bound: the smallest n for which Binomial(n, 1 - p) is at most 1 with a probability of at most 0.01. MLPerf's
published minima, 64 for p90 and 662 for p99, are two of them."""

PERCENTILE_METHOD = "nearest rank, interval by order statistics"

RESAMPLES_OF_EXAMPLES = 1_000
NOT_SHARES = ("mcc",)
"""Metrics of which 0 does not mean that all answers are wrong."""


class PercentileFacts(TypedDict):
    """The fields of `record.Percentile`; values in nanoseconds, None where `have` is below `needed`."""

    value_ns: float | None
    low_ns: float | None
    high_ns: float | None
    needed: int
    have: int


@dataclass(frozen=True, slots=True)
class EnergyEstimate:
    """Energy per request in microjoules, and what kind of joules they are."""

    microjoules: Estimate
    grade: Grade
    scope: Scope
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class EnergyWindows:
    """Energy per request and its uncertainty, one value per round, both in microjoules: float64 [rounds]."""

    microjoules: Floats
    resolution_uj: Floats
    grade: Grade
    scope: Scope
    source: str


def percentile(samples_ns: Sequence[float], p: float, *, distinct: int | None = None) -> PercentileFacts:
    """Return the percentile `p`, in percent, of per-request latencies with its 95 % interval.

    `distinct` counts the different examples among the samples: repeats of one example are no further
    requests, so both the minimum and the interval go by it. The value is the sample of rank ceil(p n). The
    interval runs between two order statistics whose ranks come from Binomial(distinct, p), so it assumes no
    distribution. Too few requests give no value. KeyError for a `p` that is not in `MINIMUM_REQUESTS`.
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


def time_per_request(rounds: Sequence["Round"]) -> Estimate | Unavailable:
    """Return nanoseconds of the window per request: the median over rounds."""
    if problem := unusable(rounds):
        return problem
    return median_over_rounds(_times(rounds), [item.launch for item in rounds])


def throughput(rounds: Sequence["Round"]) -> Estimate | Unavailable:
    """Return requests per second: the median over rounds."""
    if problem := unusable(rounds):
        return problem
    return median_over_rounds(1e9 / _times(rounds), [item.launch for item in rounds])


def energy_per_request(
    rounds: Sequence["Round"], added: SumReadings = sum_readings
) -> EnergyEstimate | Unavailable:
    """Return energy per request: the median over rounds, its interval widened by the meter's resolution.

    `added` says of which zones: the table's, or `sum_with_processor`, a board's and its processor's.
    The median grows with each of its samples; so its bounds are those of rounds that are all too high, and
    all too low, by their resolution.
    """
    windows = energy_windows(rounds, added)
    if isinstance(windows, Unavailable):
        return windows
    return energies_of([(windows, [item.launch for item in rounds])])[0]


def energies_of(many: Sequence[tuple[EnergyWindows, Sequence[int]]]) -> list[EnergyEstimate]:
    """Return energy per request of each (windows, launches), in their order."""
    middles, leasts, mosts = (
        medians_over_rounds([(read(windows), launches) for windows, launches in many])
        for read in (_as_read, _at_least, _at_most)
    )
    return [
        EnergyEstimate(_widened(*ends), windows.grade, windows.scope, windows.source)
        for (windows, _), *ends in zip(many, middles, leasts, mosts, strict=True)
    ]


def _widened(middle: Estimate, least: Estimate, most: Estimate) -> Estimate:
    method = f"{middle.method}, widened by the meter's resolution"
    return Estimate(middle.value, least.low, most.high, CONFIDENCE, method, middle.count)


def _as_read(windows: EnergyWindows) -> Floats:
    return windows.microjoules


def _at_least(windows: EnergyWindows) -> Floats:
    least: Floats = np.maximum(windows.microjoules - windows.resolution_uj, 0.0)
    return least


def _at_most(windows: EnergyWindows) -> Floats:
    return windows.microjoules + windows.resolution_uj


def whole_energy(rounds: Sequence["Round"]) -> EnergyEstimate | Unavailable | None:
    """Return energy per request of boards and the processor beside them; None where not both were read."""
    if not any(sum_with_processor(item.readings) for item in rounds):
        return None
    return energy_per_request(rounds, sum_with_processor)


def energy_windows(
    rounds: Sequence["Round"], added: SumReadings = sum_readings
) -> EnergyWindows | Unavailable:
    """Return energy per request of every round, or why there is none.

    One round without energy makes all unavailable: rounds are not to be chosen by whether the meter worked.
    """
    if problem := unusable(rounds):
        return problem
    found = [_window_total(item, added) for item in rounds]
    known = [each for each in found if isinstance(each, Reading)]
    if len(known) < len(found):
        return next(each for each in found if isinstance(each, Unavailable))
    kinds = {(each.grade, each.scope, each.source) for each in known}
    if len(kinds) > 1:
        return Unavailable("the rounds were read by different meters or at different grades")
    requests = [item.requests for item in rounds]
    return EnergyWindows(
        np.array([(each.microjoules or 0) / count for each, count in zip(known, requests, strict=True)]),
        np.array([each.resolution_uj / count for each, count in zip(known, requests, strict=True)]),
        *kinds.pop(),
    )


def quality(
    task: "Task", examples: "Sequence[Example]", answers: Sequence[str], *, seed: int = 0
) -> dict[str, Estimate]:
    """Return every official metric with its 95 % interval.

    Accuracy is a share, so its interval is Wilson's where examples are independent; every other metric is
    bootstrapped over examples, and over clusters where examples belong together (a passage's questions).
    ValueError if there are no examples, or not one answer for each.
    """
    task.scoring(examples, answers)  # refuses what cannot be scored
    return quality_of_counts(task.scoring, task.scoring.by_cluster(examples, answers), len(examples), seed)


def quality_of_counts(
    scoring: "Scoring", counts: Floats, examples: int, seed: int = 0
) -> dict[str, Estimate]:
    """Return every metric from the counts of each cluster, float64 [clusters, counts], of so many examples.

    They are what a record's samples keep, so that a quality can be had again without the texts.
    """
    scores = scoring.rates(counts.sum(axis=0))
    independent = len(counts) == examples
    found = {}
    for name, value in scores.items():
        if name == "accuracy" and independent:
            right = round(value * examples)
            found[name] = wilson(right, examples, "share of right answers, Wilson interval")
    if left := [name for name in scores if name not in found]:
        drawn = resampled(scoring, counts, seed)
        of = "examples" if independent else "clusters of examples"
        for name in left:
            found[name] = _of_examples(name, scores[name], drawn[name], len(counts), of)
    return {name: found[name] for name in scores}


def resampled(scoring: "Scoring", counts: Floats, seed: int) -> dict[str, list[float]]:
    """Return each metric over a thousand resamples of clusters; `counts` is [clusters, counts]."""
    picks = np.random.default_rng(seed).integers(len(counts), size=(RESAMPLES_OF_EXAMPLES, len(counts)))
    drawn = [scoring.rates(counts[pick].sum(axis=0)) for pick in picks]
    # a draw may lack what a metric needs, such as a complete pair
    return {name: [scores[name] for scores in drawn if name in scores] for name in scoring.metrics}


def wilson(right: int, count: int, method: str) -> Estimate:
    """Return the share `right / count` with Wilson's 95 % interval."""
    low, high = wilson_interval(right, count, CONFIDENCE)
    return Estimate(right / count, low, high, CONFIDENCE, method, count)


def median_over_rounds(
    values: Sequence[float] | Floats,
    launches: Sequence[int],
    *,
    what: str = "rounds",
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate:
    """Return the median with an interval bootstrapped over rounds, and over launches if there were several.

    `values` holds one positive number per round, `launches` the process launch each round belongs to.
    `what` names the values in the method. The interval corrects for few units as `bootstrap_interval` says.
    ValueError for fewer rounds than `MINIMUM_ROUNDS`.
    """
    (found,) = medians_over_rounds([(values, launches)], what=what, confidence=confidence, seed=seed)
    return found


def medians_over_rounds(
    many: Sequence[tuple[Sequence[float] | Floats, Sequence[int]]],
    *,
    what: str = "rounds",
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> list[Estimate]:
    """Return `median_over_rounds` of each (values, launches), in their order, worked out side by side."""
    found: dict[int, Estimate] = {}
    alike: dict[int, list[int]] = {}
    how = f"median of {what}, bootstrap over"
    for at, (values, launches) in enumerate(many):
        if len(values) < MINIMUM_ROUNDS:
            raise ValueError(_too_few(len(values)))
        if len(set(launches)) == 1:
            alike.setdefault(len(values), []).append(at)
        else:
            found[at] = _over_launches(np.asarray(values, dtype=np.float64), launches, how, confidence, seed)
    for count, places in alike.items():
        rows = np.array([many[at][0] for at in places], dtype=np.float64)
        method = f"{how} rounds, within one process"
        for at, value, low, high in zip(places, *intervals_of(rows, confidence, seed), strict=True):
            found[at] = Estimate(value, low, high, confidence, method, count)
    return [found[at] for at in range(len(many))]


def _over_launches(
    samples: Floats, launches: Sequence[int], how: str, confidence: float, seed: int
) -> Estimate:
    several = sorted(set(launches))
    value = float(np.median(samples))
    medians = medians_of([samples[np.asarray(launches) == one] for one in several], seed)
    low, high = bootstrap_interval(value, medians, len(several), confidence)
    method = f"{how} {len(several)} launches and their rounds"
    return Estimate(value, low, high, confidence, method, len(samples))


def robust_spread(values: Sequence[float] | Floats) -> float:
    """Return the robust coefficient of variation: the scaled median absolute deviation over the median.

    The scale, 1.4826, makes it the standard deviation over the mean for normally distributed values.
    """
    samples = [float(each) for each in values]
    middle = statistics.median(samples)
    return 1.4826 * statistics.median([abs(each - middle) for each in samples]) / middle


def _of_examples(name: str, value: float, drawn: Sequence[float], count: int, over: str) -> Estimate:
    """Return a score with the interval of its resamples; one that is 0 or 1 in all gets Wilson's instead.

    `count` is the number of units that were resampled, and `over` says what they are.

    Such a score means that all answers are wrong, or right: resampling shows no spread, which is not
    certainty.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    if low == high and value in (0.0, 1.0) and name not in NOT_SHARES:
        return wilson(
            int(value) * count, count, "official score, Wilson interval as resampling has no spread"
        )
    method = f"official score, bootstrap over {over}"
    return Estimate(value, min(low, value), max(high, value), CONFIDENCE, method, count)


def _window_total(item: "Round", added: SumReadings) -> Reading | Unavailable:
    if added is sum_readings and len(item.readings) == 1 and item.readings[0].grade != "unavailable":
        return item.readings[0]  # a total of one is that one, and most windows have one
    try:
        reading = added(item.readings)
    except ValueError as problem:
        return Unavailable(str(problem))
    if reading is None:
        return Unavailable("no meter was read")
    if reading.grade == "unavailable":
        return Unavailable(reading.reason or "the meter gave no reason")
    return reading


def _times(rounds: Sequence["Round"]) -> Floats:
    return np.array([item.wall_ns / item.requests for item in rounds])


def unusable(rounds: Sequence["Round"]) -> Unavailable | None:
    """Return why these rounds hold no time per request, or None."""
    if len(rounds) < MINIMUM_ROUNDS:
        return Unavailable(_too_few(len(rounds)))
    empty = [item.index for item in rounds if item.requests < 1 or item.wall_ns < 1]
    return Unavailable(f"round {empty[0]} holds no request or no time") if empty else None


def _too_few(count: int) -> str:
    measured = {0: "no round was", 1: "only 1 round was"}.get(count, f"only {count} rounds were")
    return f"{measured} measured, and an interval needs {MINIMUM_ROUNDS}"
