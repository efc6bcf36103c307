"""How each quantity of two records is contrasted: paired by round where both ran side by side, or unpaired.

An unpaired change joins two intervals as if nothing tied the two measurements together (R. Newcombe's method
10, on the logarithms): wider than a paired one, and still without what changes from one launch to the next.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from harness.analysis.comparison.base import PERCENTILES, QUANTITIES, MissingChange, Quantity, QuantityChange
from harness.analysis.comparison.differences import refused
from harness.analysis.statistics.bootstrap import bootstrap_interval
from harness.analysis.statistics.estimates import (
    CONFIDENCE,
    MINIMUM_ROUNDS,
    EnergyEstimate,
    Floats,
    energy_per_request,
    throughput,
)
from harness.analysis.statistics.pairing import NotComparable, mismatch
from harness.analysis.statistics.quality_change import PairedAnswers, quality_change
from harness.analysis.statistics.ratios import Ratio, energy_reduction, speedup
from harness.analysis.statistics.significance import p_value
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Percentile, Record
from harness.workload.tasks.base import Task

PAIRED = "paired by round"
BY_REQUEST = "paired by request: the change of the typical request, which disturbances move least"
UNPAIRED = "unpaired: not measured side by side, so the interval is wider, and what moved meanwhile is in it"
SAME_REQUESTS = "unpaired, but of the same requests: rounds are resampled in each run by itself"
NO_SAMPLES = "by the intervals of both: their raw samples are not at hand"
ONE_READING = "one reading each: no interval"
EXACT = "exact"

_RESAMPLES = 1_000

Samples = Mapping[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True, slots=True)
class SampleAccess:
    """How raw samples are read where they make a change narrower, and the task they were scored by.

    Without them percentiles and qualities are contrasted by their intervals.
    """

    samples: Callable[[Record], Samples | None] = lambda _record: None
    task: Callable[[Record], Task | None] = lambda _record: None


@dataclass(frozen=True, slots=True)
class _Pair:
    before: Record
    after: Record
    raw: SampleAccess
    confidence: float
    paired: bool = field(init=False)

    @property
    def records(self) -> tuple[Record, Record]:
        return self.before, self.after

    def __post_init__(self) -> None:
        object.__setattr__(self, "paired", mismatch(self.after, self.before) is None)


def contrasts(
    before: Record, after: Record, *, raw: SampleAccess | None = None, confidence: float = CONFIDENCE
) -> list[QuantityChange | MissingChange] | NotComparable:
    """Return how every quantity changed, in the order of `QUANTITIES`; refused where the two are unlike."""
    if found := refused(before, after):
        return found
    return [contrast(name, before, after, raw=raw, confidence=confidence) for name in QUANTITIES]


def contrast(
    name: str,
    before: Record,
    after: Record,
    *,
    raw: SampleAccess | None = None,
    confidence: float = CONFIDENCE,
) -> QuantityChange | MissingChange:
    """Return how one quantity changed; the two records must be alike, as `refused` says."""
    pair = _Pair(before, after, raw or SampleAccess(), confidence)
    quantity = QUANTITIES[name]
    if name in PERCENTILES:
        return _latency(quantity, pair)
    return _MAKERS[name](quantity, pair)


def _throughput(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = throughput(pair.before.rounds), throughput(pair.after.rounds)
    if isinstance(before, Unavailable):
        return MissingChange(quantity, before.reason)
    if isinstance(after, Unavailable):
        return MissingChange(quantity, after.reason)
    if not pair.paired:
        return _apart(quantity, before, after, pair)
    ratio = speedup(pair.after, pair.before, confidence=pair.confidence)
    if isinstance(ratio, NotComparable):
        return MissingChange(quantity, ratio.reason)
    # before's time over after's is after's throughput over before's
    note = BY_REQUEST if ratio.typical else PAIRED
    value, low, high = ratio.told
    change = _percent(replace(ratio, value=value, low=low, high=high))
    return QuantityChange(quantity, before, after, change, True, note, p=ratio.p)


def _energy(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = energy_per_request(pair.before.rounds), energy_per_request(pair.after.rounds)
    if isinstance(before, Unavailable):
        return MissingChange(quantity, f"before, energy is unavailable: {before.reason}")
    if isinstance(after, Unavailable):
        return MissingChange(quantity, f"after, energy is unavailable: {after.reason}")
    if unlike := _unlike_joules(before, after):
        return MissingChange(quantity, unlike)
    one, other = before.microjoules, after.microjoules
    if not pair.paired:
        return replace(_apart(quantity, one, other, pair), grade=after.grade)
    ratio = energy_reduction(pair.after, pair.before, confidence=pair.confidence)
    if isinstance(ratio, NotComparable):
        return MissingChange(quantity, ratio.reason)
    change = _percent(_inverse(ratio))
    return QuantityChange(quantity, one, other, change, True, PAIRED, grade=after.grade, p=ratio.p)


def _unlike_joules(before: EnergyEstimate, after: EnergyEstimate) -> str | None:
    for name in ("grade", "scope", "source"):
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            return f"the {name} of the energy differs: {one} and {other}"
    return None


def _latency(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    p = PERCENTILES[quantity.name]
    before, after = pair.before.latency.get(f"p{p}"), pair.after.latency.get(f"p{p}")
    if before is None or after is None:
        return MissingChange(quantity, "requests were not timed one by one")
    short = next((found for found in (before, after) if found.value_ns is None), None)
    if short is not None:
        return MissingChange(quantity, f"p{p} needs {short.needed} requests, and there are {short.have}")
    one, other = _of_percentile(before), _of_percentile(after)
    if pair.paired and (found := _paired_percentile(p, pair)):
        change, likely = found
        return QuantityChange(quantity, one, other, change, True, PAIRED, p=likely)
    if not pair.paired and (alike := _alike_percentile(p, pair)):
        return QuantityChange(quantity, one, other, alike, False, SAME_REQUESTS, p=_p_of(alike))
    apart = _apart(quantity, one, other, pair)
    return replace(apart, paired=True, note=NO_SAMPLES) if pair.paired else apart


def _of_percentile(found: Percentile) -> Estimate:
    value, low, high = (float(end or 0) for end in (found.value_ns, found.low_ns, found.high_ns))
    return Estimate(value, low, high, CONFIDENCE, "percentile, interval by order statistics", found.have)


def _paired_percentile(p: int, pair: _Pair) -> tuple[Estimate, float] | None:
    """Resample whole rounds of both together: they hold the same requests, asked within the same minute.

    Returns the change and how likely it is by chance, or None without the samples of both.
    """
    shared = _shared_rounds(pair)
    if shared is None:
        return None
    indexes, theirs, mine = shared
    change = _of_ratios(_resampled_percentiles(p, theirs, mine, together=True), p, len(mine), pair)
    launch = {item.index: item.launch for item in pair.after.rounds}
    each = [_percentile(p, one) / _percentile(p, other) for one, other in zip(mine, theirs, strict=True)]
    return change, p_value(each, [launch.get(at, 0) for at in indexes])


def _alike_percentile(p: int, pair: _Pair) -> Estimate | None:
    """Resample the rounds of either by themselves, where both asked the same requests in the same slices.

    The intervals of two percentiles are about other requests; here none are other.
    """
    sliced = [[(item.index, item.slice, item.requests) for item in one.rounds] for one in pair.records]
    alike = pair.before.seed == pair.after.seed and pair.before.data.sample == pair.after.data.sample
    shared = _shared_rounds(pair) if alike and sliced[0] == sliced[1] else None
    if shared is None:
        return None
    _, theirs, mine = shared
    return _of_ratios(_resampled_percentiles(p, theirs, mine, together=False), p, len(mine), pair)


def _shared_rounds(pair: _Pair) -> tuple[list[int], list[Floats], list[Floats]] | None:
    """Return the rounds that both have, and the nanoseconds of each call of them, before and after."""
    found = pair.raw.samples(pair.before), pair.raw.samples(pair.after)
    if found[0] is None or found[1] is None:
        return None
    before, after = (_rounds_of(samples) for samples in found if samples is not None)
    shared = sorted(before.keys() & after.keys())
    if len(shared) < MINIMUM_ROUNDS or any(len(before[at]) != len(after[at]) for at in shared):
        return None
    return shared, [before[at] for at in shared], [after[at] for at in shared]


def _of_ratios(ratios: Floats, p: int, rounds: int, pair: _Pair) -> Estimate:
    low, high = bootstrap_interval(float(ratios[0]), ratios[1:], rounds, pair.confidence)
    method = f"p{p} of the same requests, bootstrap over rounds, within one process"
    return _as_percent(Estimate(float(ratios[0]), low, high, pair.confidence, method, rounds))


def _rounds_of(samples: Samples) -> dict[int, Floats]:
    rounds, times = samples["call_round"], samples["call_ns"].astype(np.float64)
    return {index: times[rounds == index] for index in sorted(set(rounds.tolist()))}


def _percentile(p: int, times: Floats) -> float:
    """Return the nearest rank, as `estimates.percentile` does: rank ceil(p n), from 1."""
    rank = -(-p * len(times) // 100)
    return float(np.partition(times, rank - 1)[rank - 1])


def _resampled_percentiles(
    p: int, before: list[Floats], after: list[Floats], *, together: bool, seed: int = 0
) -> Floats:
    """Return after over before of the percentile: as it is, then of every resample of rounds.

    Rounds of both are drawn `together`, or each by itself.
    """
    size, random = len(before), np.random.default_rng(seed)

    def resampled(rounds: list[Floats], picks: "np.ndarray[Any, Any]") -> Floats:
        drawn = [range(size), *picks.tolist()]
        return np.array([_percentile(p, np.concatenate([rounds[at] for at in each])) for each in drawn])

    picks = random.integers(size, size=(_RESAMPLES, size))
    others = picks if together else random.integers(size, size=(_RESAMPLES, size))
    ratios: Floats = resampled(after, picks) / resampled(before, others)
    return ratios


def _memory(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = pair.before.memory, pair.after.memory
    if before is None or after is None:
        return MissingChange(quantity, "peak memory was not read")
    if before.counted_as != after.counted_as:
        return MissingChange(quantity, f"memory was counted as {before.counted_as} and as {after.counted_as}")
    return _exactly(quantity, before.peak_bytes, after.peak_bytes, pair, ONE_READING)


def _size(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = pair.before.artifact, pair.after.artifact
    if before is None or after is None:
        return MissingChange(quantity, "nothing was prepared")
    return _exactly(quantity, before.size_bytes, after.size_bytes, pair, EXACT)


def _exactly(
    quantity: Quantity, before: int, after: int, pair: _Pair, note: str
) -> QuantityChange | MissingChange:
    if min(before, after) < 1:
        return MissingChange(quantity, "it is 0 bytes")
    ratio = after / before
    change = _as_percent(Estimate(ratio, ratio, ratio, pair.confidence, note, 1))
    one, other = (Estimate(float(it), float(it), float(it), CONFIDENCE, note, 1) for it in (before, after))
    return QuantityChange(quantity, one, other, change, pair.paired, note)


def _quality(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    answers = _answers(pair)
    task = pair.raw.task(pair.after) if answers else None
    found = quality_change(pair.after, pair.before, answers=answers, task=task)
    if isinstance(found, NotComparable):
        return MissingChange(quantity, found.reason)
    before, after = (_metric(record, found.metric) for record in (pair.before, pair.after))
    note, points = f"{found.metric}, {found.note}", found.points
    return QuantityChange(quantity, before, after, points, found.paired, note, p=_p_of(points))


def _answers(pair: _Pair) -> PairedAnswers | None:
    """Return what both answered, where the same number of clusters was scored."""
    one, other = pair.raw.samples(pair.before), pair.raw.samples(pair.after)
    if one is None or other is None or "counts" not in one or "counts" not in other:
        return None
    if one["counts"].shape != other["counts"].shape or not one["counts"].size:
        return None
    return PairedAnswers(other["counts"], one["counts"])


def _metric(record: Record, name: str) -> Estimate:
    return record.quality.metrics[name] if record.quality else Estimate(0, 0, 0, CONFIDENCE, "", 0)


_MAKERS: dict[str, Callable[[Quantity, _Pair], QuantityChange | MissingChange]] = {
    "throughput": _throughput,
    "energy": _energy,
    "memory": _memory,
    "quality": _quality,
    "size": _size,
}


def _apart(quantity: Quantity, before: Estimate, after: Estimate, pair: _Pair) -> QuantityChange:
    change = _unpaired(before, after, pair)
    return QuantityChange(quantity, before, after, change, False, UNPAIRED, p=_p_of(change))


def _p_of(change: Estimate) -> float:
    """Return how likely a change is by chance, were its interval that of a normal distribution."""
    if math.isnan(change.value):
        return 1.0
    near = change.low if change.value > 0 else change.high
    width = abs(change.value - near)
    if not width:
        return 0.0 if change.value else 1.0
    wanted = NormalDist().inv_cdf((1 + change.confidence) / 2)
    return 2 * NormalDist().cdf(-wanted * abs(change.value) / width)


def _unpaired(before: Estimate, after: Estimate, pair: _Pair) -> Estimate:
    """Join two intervals on the logarithms: the ratio of two positive quantities, in percent."""
    if min(before.low, after.low) <= 0:
        nowhere = math.nan
        return Estimate(nowhere, nowhere, nowhere, pair.confidence, "an interval reaches 0", after.count)
    widen = _widening(pair.confidence)
    value = math.log(after.value / before.value)
    below = math.hypot(math.log(after.value / after.low), math.log(before.high / before.value))
    above = math.hypot(math.log(after.high / after.value), math.log(before.value / before.low))
    low, high = math.exp(value - widen * below), math.exp(value + widen * above)
    method, count = "two intervals joined, unpaired", min(before.count, after.count)
    return _as_percent(Estimate(math.exp(value), low, high, pair.confidence, method, count))


def _widening(confidence: float) -> float:
    """Return by how much an interval at the usual confidence grows at this one, were it normal."""
    usual, wanted = (NormalDist().inv_cdf((1 + level) / 2) for level in (CONFIDENCE, confidence))
    return wanted / usual


def _inverse(ratio: Ratio) -> Ratio:
    return replace(ratio, value=1 / ratio.value, low=1 / ratio.high, high=1 / ratio.low)


def _percent(ratio: Ratio) -> Estimate:
    return _as_percent(
        Estimate(ratio.value, ratio.low, ratio.high, ratio.confidence, ratio.method, ratio.count)
    )


def _as_percent(ratio: Estimate) -> Estimate:
    value, low, high = (100 * (end - 1) for end in (ratio.value, ratio.low, ratio.high))
    return Estimate(value, low, high, ratio.confidence, ratio.method, ratio.count)
