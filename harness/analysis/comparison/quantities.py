"""The change of each quantity between two records: paired by round if both ran side by side, or unpaired.

An unpaired change combines two intervals as if the two measurements were independent (R. Newcombe's method
10, on the logarithms): it is wider than a paired one, and still does not include the variation from one
launch to the next.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from harness.analysis.comparison.base import PERCENTILES, QUANTITIES, MissingChange, Quantity, QuantityChange
from harness.analysis.comparison.differences import refused
from harness.analysis.statistics.bootstrap import bootstrap_interval
from harness.analysis.statistics.estimates import (
    CONFIDENCE,
    MINIMUM_ROUNDS,
    Floats,
    energy_per_request,
    throughput,
)
from harness.analysis.statistics.pairing import NotComparable, mismatch
from harness.analysis.statistics.quality_change import PairedAnswers, quality_change
from harness.analysis.statistics.ratios import Ratio, energy_reduction, speedup, unlike_energy
from harness.analysis.statistics.significance import p_value
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Percentile, Record
from harness.workload.tasks.base import Task

PAIRED = "paired by round"
BY_REQUEST = "paired by request: the change of the typical request, which disturbances affect least"
UNPAIRED = (
    "unpaired: not measured side by side, so the interval is wider and the change includes other differences "
    "between the runs"
)
SAME_REQUESTS = "unpaired, but over the same requests: the rounds of each run are resampled separately"
NO_SAMPLES = "from the intervals of both: their raw samples are not available"
ONE_READING = "one reading each: no interval"
EXACT = "exact"

_RESAMPLES = 1_000

Samples = Mapping[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class SampleAccess:
    """How raw samples are read where they make a change more precise, and the task that scored them.

    Without samples, percentiles and qualities are compared by their intervals.
    """

    samples: Callable[[Record], Samples | None] = lambda _record: None
    task: Callable[[Record], Task | None] = lambda _record: None


@dataclass(frozen=True, slots=True)
class _Pair:
    before: Record
    after: Record
    raw: SampleAccess
    confidence: float

    @property
    def records(self) -> tuple[Record, Record]:
        return self.before, self.after

    @property
    def paired(self) -> bool:
        return mismatch(self.after, self.before) is None


def quantity_changes(
    before: Record, after: Record, *, raw: SampleAccess | None = None, confidence: float = CONFIDENCE
) -> list[QuantityChange | MissingChange] | NotComparable:
    """Return the change of every quantity, in the order of `QUANTITIES`; NotComparable for unlike records."""
    if difference := refused(before, after):
        return difference
    return [quantity_change(name, before, after, raw=raw, confidence=confidence) for name in QUANTITIES]


def quantity_change(
    name: str,
    before: Record,
    after: Record,
    *,
    raw: SampleAccess | None = None,
    confidence: float = CONFIDENCE,
) -> QuantityChange | MissingChange:
    """Return the change of one quantity; the two records must be comparable (`refused` returns None)."""
    pair = _Pair(before, after, raw or SampleAccess(), confidence)
    quantity = QUANTITIES[name]
    if name in PERCENTILES:
        return _latency(quantity, pair)
    return _CHANGES[name](quantity, pair)


def _throughput(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = throughput(pair.before.rounds), throughput(pair.after.rounds)
    if isinstance(before, Unavailable):
        return MissingChange(quantity, before.reason)
    if isinstance(after, Unavailable):
        return MissingChange(quantity, after.reason)
    if not pair.paired:
        return _unpaired(quantity, before, after, pair)
    ratio = speedup(pair.after, pair.before, confidence=pair.confidence)
    if isinstance(ratio, NotComparable):
        return MissingChange(quantity, ratio.reason)
    # time before over time after is throughput after over throughput before
    note = BY_REQUEST if ratio.typical else PAIRED
    change = _percent(ratio, *ratio.judged)
    return QuantityChange(quantity, before, after, change, True, note, p=ratio.p)


def _energy(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = energy_per_request(pair.before.rounds), energy_per_request(pair.after.rounds)
    if isinstance(before, Unavailable):
        return MissingChange(quantity, f"before, energy is unavailable: {before.reason}")
    if isinstance(after, Unavailable):
        return MissingChange(quantity, f"after, energy is unavailable: {after.reason}")
    if unlike := unlike_energy(before, after):
        return MissingChange(quantity, unlike.reason)
    old, new = before.microjoules, after.microjoules
    if not pair.paired:
        return replace(_unpaired(quantity, old, new, pair), grade=after.grade)
    ratio = energy_reduction(pair.after, pair.before, confidence=pair.confidence)
    if isinstance(ratio, NotComparable):
        return MissingChange(quantity, ratio.reason)
    change = _percent(ratio, 1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
    return QuantityChange(quantity, old, new, change, True, PAIRED, grade=after.grade, p=ratio.p)


def _latency(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    p = PERCENTILES[quantity.name]
    before, after = pair.before.latency.get(f"p{p}"), pair.after.latency.get(f"p{p}")
    if before is None or after is None:
        return MissingChange(quantity, "requests were not timed one by one")
    short = next((part for part in (before, after) if part.value_ns is None), None)
    if short is not None:
        return MissingChange(quantity, f"p{p} needs {short.needed} requests, and there are {short.have}")
    old, new = estimate_of(before), estimate_of(after)
    if pair.paired and (paired := _paired_percentile(p, pair)):
        change, probability = paired
        return QuantityChange(quantity, old, new, change, True, PAIRED, p=probability)
    if not pair.paired and (same_requests := _percentile_of_same_requests(p, pair)):
        probability = _p_of_interval(same_requests)
        return QuantityChange(quantity, old, new, same_requests, False, SAME_REQUESTS, p=probability)
    unpaired = _unpaired(quantity, old, new, pair)
    return replace(unpaired, paired=True, note=NO_SAMPLES) if pair.paired else unpaired


def estimate_of(latency: Percentile) -> Estimate:
    """Return a percentile that is not None as an estimate in nanoseconds."""
    value = latency.value_ns or 0.0
    low, high = (value if ns is None else ns for ns in (latency.low_ns, latency.high_ns))
    return Estimate(value, low, high, CONFIDENCE, "percentile, interval by order statistics", latency.have)


def _paired_percentile(p: int, pair: _Pair) -> tuple[Estimate, float] | None:
    """Return the change and its p-value, or None without the samples of both.

    Whole rounds of both are resampled together: they hold the same requests, measured within the same minute.
    """
    shared = _shared_rounds(pair)
    if shared is None:
        return None
    indexes, before, after = shared
    change = _of_ratios(_resampled_percentiles(p, before, after, together=True), p, len(after), pair)
    launch = {item.index: item.launch for item in pair.after.rounds}
    ratios = [_percentile(p, new) / _percentile(p, old) for old, new in zip(before, after, strict=True)]
    return change, p_value(ratios, [launch.get(index, 0) for index in indexes])


def _percentile_of_same_requests(p: int, pair: _Pair) -> Estimate | None:
    """Return the change of a percentile over the same requests in the same slices, or None.

    The rounds of each record are resampled separately. The intervals of two percentiles include the variation
    between requests, which does not exist here.
    """
    slices = [[(item.index, item.slice, item.requests) for item in record.rounds] for record in pair.records]
    same_sample = pair.before.seed == pair.after.seed and pair.before.data.sample == pair.after.data.sample
    shared = _shared_rounds(pair) if same_sample and slices[0] == slices[1] else None
    if shared is None:
        return None
    _, before, after = shared
    return _of_ratios(_resampled_percentiles(p, before, after, together=False), p, len(after), pair)


def _shared_rounds(pair: _Pair) -> tuple[list[int], list[Floats], list[Floats]] | None:
    """Return the rounds that both have, and the nanoseconds of each of their calls, before and after."""
    samples = pair.raw.samples(pair.before), pair.raw.samples(pair.after)
    if samples[0] is None or samples[1] is None:
        return None
    before, after = (_calls_by_round(arrays) for arrays in samples if arrays is not None)
    shared = sorted(before.keys() & after.keys())
    if len(shared) < MINIMUM_ROUNDS or any(len(before[index]) != len(after[index]) for index in shared):
        return None
    return shared, [before[index] for index in shared], [after[index] for index in shared]


def _of_ratios(ratios: Floats, p: int, rounds: int, pair: _Pair) -> Estimate:
    low, high = bootstrap_interval(float(ratios[0]), ratios[1:], rounds, pair.confidence)
    method = f"p{p} of the same requests, bootstrap over rounds, within one process"
    ratio = Estimate(float(ratios[0]), low, high, pair.confidence, method, rounds)
    return _percent(ratio, ratio.value, ratio.low, ratio.high)


def _calls_by_round(samples: Samples) -> dict[int, Floats]:
    rounds, times = samples["call_round"], samples["call_ns"].astype(np.float64)
    return {index: times[rounds == index] for index in sorted(set(rounds.tolist()))}


def _percentile(p: int, times: Floats) -> float:
    """Return the nearest rank, as `estimates.percentile` does: rank ceil(p n), from 1."""
    rank = -(-p * len(times) // 100)
    return float(np.partition(times, rank - 1)[rank - 1])


def _resampled_percentiles(
    p: int, before: list[Floats], after: list[Floats], *, together: bool, seed: int = 0
) -> Floats:
    """Return the ratio after / before of the percentile: of all rounds, then of every resample of rounds.

    Rounds of both are drawn `together`, or separately.
    """
    size, random = len(before), np.random.default_rng(seed)

    def percentiles(rounds: list[Floats], picks: "np.ndarray[Any, Any]") -> Floats:
        draws = [range(size), *picks.tolist()]
        return np.array([_percentile(p, np.concatenate([rounds[at] for at in draw])) for draw in draws])

    picks = random.integers(size, size=(_RESAMPLES, size))
    others = picks if together else random.integers(size, size=(_RESAMPLES, size))
    ratios: Floats = percentiles(after, picks) / percentiles(before, others)
    return ratios


def _memory(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = pair.before.memory, pair.after.memory
    if before is None or after is None:
        return MissingChange(quantity, "peak memory was not read")
    if before.counted_as != after.counted_as:
        return MissingChange(quantity, f"memory was counted as {before.counted_as} and as {after.counted_as}")
    return _exact(quantity, before.peak_bytes, after.peak_bytes, pair, ONE_READING)


def _size(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = pair.before.artifact, pair.after.artifact
    if before is None or after is None:
        return MissingChange(quantity, "nothing was prepared")
    return _exact(quantity, before.size_bytes, after.size_bytes, pair, EXACT)


def _exact(
    quantity: Quantity, before: int, after: int, pair: _Pair, note: str
) -> QuantityChange | MissingChange:
    if min(before, after) < 1:
        return MissingChange(quantity, "it is 0 bytes")
    ratio = after / before
    change = _percent(Estimate(ratio, ratio, ratio, pair.confidence, note, 1), ratio, ratio, ratio)
    old, new = (
        Estimate(float(count), float(count), float(count), CONFIDENCE, note, 1) for count in (before, after)
    )
    return QuantityChange(quantity, old, new, change, pair.paired, note)


def _quality(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    answers = _paired_answers(pair)
    task = pair.raw.task(pair.after) if answers else None
    change = quality_change(pair.after, pair.before, answers=answers, task=task)
    if isinstance(change, NotComparable):
        return MissingChange(quantity, change.reason)
    before, after = (_metric(record, change.metric) for record in pair.records)
    note, points = f"{change.metric}, {change.note}", change.points
    return QuantityChange(quantity, before, after, points, change.paired, note, p=_p_of_interval(points))


def _paired_answers(pair: _Pair) -> PairedAnswers | None:
    """Return the counts of both records, if both scored the same number of clusters."""
    before, after = pair.raw.samples(pair.before), pair.raw.samples(pair.after)
    if before is None or after is None or "counts" not in before or "counts" not in after:
        return None
    if before["counts"].shape != after["counts"].shape or not before["counts"].size:
        return None
    return PairedAnswers(after["counts"], before["counts"])


def _metric(record: Record, name: str) -> Estimate:
    return record.quality.metrics[name] if record.quality else Estimate(0, 0, 0, CONFIDENCE, "", 0)


_CHANGES: dict[str, Callable[[Quantity, _Pair], QuantityChange | MissingChange]] = {
    "throughput": _throughput,
    "energy": _energy,
    "memory": _memory,
    "quality": _quality,
    "size": _size,
}


def _unpaired(quantity: Quantity, before: Estimate, after: Estimate, pair: _Pair) -> QuantityChange:
    change = _unpaired_change(before, after, pair)
    return QuantityChange(quantity, before, after, change, False, UNPAIRED, p=_p_of_interval(change))


def _p_of_interval(change: Estimate) -> float:
    """Return the p-value of a change whose interval is assumed to be that of a normal distribution."""
    if math.isnan(change.value):
        return 1.0
    near = change.low if change.value > 0 else change.high
    half_width = abs(change.value - near)
    if not half_width:
        return 0.0 if change.value else 1.0
    z = NormalDist().inv_cdf((1 + change.confidence) / 2)
    return 2 * NormalDist().cdf(-z * abs(change.value) / half_width)


def _unpaired_change(before: Estimate, after: Estimate, pair: _Pair) -> Estimate:
    """Combine two intervals on the logarithms: the ratio of two positive quantities, in percent."""
    if min(before.low, after.low) <= 0:
        return Estimate(math.nan, math.nan, math.nan, pair.confidence, "an interval reaches 0", after.count)
    widening = _widening(pair.confidence)
    value = math.log(after.value / before.value)
    below = math.hypot(math.log(after.value / after.low), math.log(before.high / before.value))
    above = math.hypot(math.log(after.high / after.value), math.log(before.value / before.low))
    method, count = "two intervals joined, unpaired", min(before.count, after.count)
    low, high = math.exp(value - widening * below), math.exp(value + widening * above)
    ratio = Estimate(math.exp(value), low, high, pair.confidence, method, count)
    return _percent(ratio, ratio.value, ratio.low, ratio.high)


def _widening(confidence: float) -> float:
    """Return the factor from the half-width at the usual confidence to that at this one, if it is normal."""
    usual, wanted = (NormalDist().inv_cdf((1 + level) / 2) for level in (CONFIDENCE, confidence))
    return wanted / usual


def _percent(ratio: Ratio | Estimate, *ends: float) -> Estimate:
    """Return the value, low and high `ends` of a ratio as changes in percent."""
    value, low, high = (100 * (end - 1) for end in ends)
    return Estimate(value, low, high, ratio.confidence, ratio.method, ratio.count)
