"""The change of each quantity between two records, by the variance model.

    before, after --same rounds--> differences by round --location--> change, interval and p-value

Rounds over the same slice are paired: within a run they were measured side by side, and what remains between
two runs is what launches and runs differ by, where that is known
(`harness.analysis.statistics.variance.known_hosts`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from harness.analysis.comparison.base import (
    OF_THE_MACHINE,
    PERCENTILES,
    QUANTITIES,
    MissingChange,
    Quantity,
    QuantityChange,
)
from harness.analysis.comparison.differences import refused, unlike_machines
from harness.analysis.statistics.estimates import (
    CONFIDENCE,
    MINIMUM_ROUNDS,
    energy_per_request,
    energy_windows,
    estimate_of_location,
    throughput,
    times_of,
)
from harness.analysis.statistics.latency_percentiles import percentile_change, percentile_estimate
from harness.analysis.statistics.pairing import NotComparable, mismatch
from harness.analysis.statistics.quality_change import PairedAnswers, quality_change
from harness.analysis.statistics.ratios import Ratio, energy_reduction, speedup, unlike_energy
from harness.analysis.statistics.variance.known_hosts import (
    known_host,
    known_ratio_variance,
    known_time_variance,
)
from harness.analysis.statistics.variance.model import (
    EXACTLY,
    Floats,
    KnownVariance,
    Location,
    Part,
    difference,
    location,
)
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from harness.workload.tasks.base import Task

PAIRED = "paired by round"
BY_REQUEST = "paired by request: the change of the typical request, which disturbances affect least"
SAME_REQUESTS = "two runs, paired by slice"
UNPAIRED = "two runs of different requests"
RUNS_KNOWN = "the interval includes what two runs of one thing differ by on such a host"
RUNS_UNKNOWN = "what two runs of one thing differ by is not known on this host and not in the interval"
NO_SAMPLES = "from the intervals of both: their raw samples are not available"
ONE_READING = "one reading each: no interval"
EXACT = "exact"

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
    change = _latency(quantity, pair) if name in PERCENTILES else _CHANGES[name](quantity, pair)
    if isinstance(change, MissingChange) or name not in OF_THE_MACHINE:
        return change
    return replace(change, unlike=unlike_machines(before, after))


def _throughput(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    before, after = (throughput(record.rounds, known_time_variance(record)) for record in pair.records)
    if isinstance(before, Unavailable):
        return MissingChange(quantity, before.reason)
    if isinstance(after, Unavailable):
        return MissingChange(quantity, after.reason)
    if not pair.paired:
        rates = [-np.log(times_of(record.rounds)) for record in pair.records]
        return _between_runs(quantity, before, after, rates, pair)
    ratio = speedup(pair.after, pair.before, confidence=pair.confidence)
    if isinstance(ratio, NotComparable):
        return MissingChange(quantity, ratio.reason)
    # time before over time after is throughput after over throughput before
    note = BY_REQUEST if ratio.totals else PAIRED
    change = _percent(ratio, ratio.value, ratio.low, ratio.high)
    return QuantityChange(quantity, before, after, change, True, note, p=ratio.p)


def _energy(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    known = [known_time_variance(record) for record in pair.records]
    before = energy_per_request(pair.before.rounds, known=known[0])
    after = energy_per_request(pair.after.rounds, known=known[1])
    if isinstance(before, Unavailable):
        return MissingChange(quantity, f"before, energy is unavailable: {before.reason}")
    if isinstance(after, Unavailable):
        return MissingChange(quantity, f"after, energy is unavailable: {after.reason}")
    if unlike := unlike_energy(before, after):
        return MissingChange(quantity, unlike.reason)
    old, new = before.microjoules, after.microjoules
    if not pair.paired:
        between = _energy_between_runs(quantity, old, new, pair)
        return between if isinstance(between, MissingChange) else replace(between, grade=after.grade)
    ratio = energy_reduction(pair.after, pair.before, confidence=pair.confidence)
    if isinstance(ratio, NotComparable):
        return MissingChange(quantity, ratio.reason)
    change = _percent(ratio, 1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
    return QuantityChange(quantity, old, new, change, True, PAIRED, grade=after.grade, p=ratio.p)


def _energy_between_runs(
    quantity: Quantity, before: Estimate, after: Estimate, pair: _Pair
) -> QuantityChange | MissingChange:
    """Return the change of energy between two runs, with the resolution of both meters in its variance."""
    windows = [energy_windows(record.rounds) for record in pair.records]
    joules = [part.microjoules for part in windows if not isinstance(part, Unavailable)]
    if min(float(part.min()) for part in joules) <= 0:
        return MissingChange(quantity, "a window holds no energy")
    resolutions = [
        float((part.resolution_uj / part.microjoules).mean())
        for part in windows
        if not isinstance(part, Unavailable)
    ]
    # a resolution bounds an error: as a standard deviation that is its third part's root (uniform)
    resolved = [Part(share**2 / 3, EXACTLY) for share in resolutions]
    return _between_runs(quantity, before, after, [np.log(part) for part in joules], pair, *resolved)


def _latency(quantity: Quantity, pair: _Pair) -> QuantityChange | MissingChange:
    p = PERCENTILES[quantity.name]
    latencies = [record.latency.get(f"p{p}") for record in pair.records]
    if any(latency is None for latency in latencies):
        return MissingChange(quantity, "requests were not timed one by one")
    old, new = (percentile_estimate(record, f"p{p}") for record in pair.records)
    if isinstance(old, Unavailable):
        return MissingChange(quantity, old.reason)
    if isinstance(new, Unavailable):
        return MissingChange(quantity, new.reason)
    shared = _shared_rounds(pair)
    if shared is not None and (pair.paired or _same_slices(pair)):
        launches, before, after = shared
        apart = percentile_change(p, before, after, launches, _known_of_pair(pair))
        return _change(quantity, old, new, apart, pair)
    unpaired = _from_intervals(quantity, old, new, pair)
    return replace(unpaired, paired=True, note=NO_SAMPLES) if pair.paired else unpaired


def _between_runs(
    quantity: Quantity, before: Estimate, after: Estimate, logs: Sequence[Floats], pair: _Pair, *further: Part
) -> QuantityChange:
    """Return the change between two runs, from the logarithms of their rounds, before and after."""
    launches = [[item.launch for item in record.rounds] for record in pair.records]
    if _same_slices(pair):
        apart = location(logs[1] - logs[0], launches[1], _known_of_pair(pair))
        apart = replace(apart, between=(*apart.between, *further))
    else:
        of_runs = [
            location(part, of, known_time_variance(record))
            for part, of, record in zip(logs, launches, pair.records, strict=True)
        ]
        apart = difference(of_runs[1], of_runs[0], *further)
    return _change(quantity, before, after, apart, pair)


def _change(
    quantity: Quantity, before: Estimate, after: Estimate, apart: Location, pair: _Pair
) -> QuantityChange:
    """Return a change from the difference of two logarithms; between runs, with what runs differ by."""
    note = PAIRED
    if not pair.paired:
        apart, known = _with_runs(apart, pair)
        pairing = SAME_REQUESTS if _same_slices(pair) else UNPAIRED
        note = f"{pairing}; {RUNS_KNOWN if known else RUNS_UNKNOWN}"
    ratio = estimate_of_location(apart, what="paired rounds", confidence=pair.confidence)
    change = _percent(ratio, ratio.value, ratio.low, ratio.high)
    return QuantityChange(quantity, before, after, change, pair.paired, note, p=apart.p())


def _with_runs(apart: Location, pair: _Pair) -> tuple[Location, bool]:
    """Add what two runs differ by, where it is known of both hosts."""
    hosts = [known_host(record) for record in pair.records]
    runs = [host.run_time for host in hosts if host]
    known = len(runs) == len(hosts)
    return (replace(apart, between=(*apart.between, *runs)) if known else apart), known


def _known_of_pair(pair: _Pair) -> KnownVariance | None:
    """Return what is known of launches: of a ratio within a run, of two times between runs."""
    if pair.paired:
        return known_ratio_variance(pair.after)
    known = [known_time_variance(record) for record in pair.records]
    if known[0] is None or known[1] is None:
        return None
    return KnownVariance(known[0].variance + known[1].variance, min(known[0].freedom, known[1].freedom))


def _same_slices(pair: _Pair) -> bool:
    """Return whether both runs asked the same slices of one sample, round by round."""
    turns = [[(item.launch, item.index, item.slice) for item in record.rounds] for record in pair.records]
    same_sample = pair.before.seed == pair.after.seed and pair.before.data.sample == pair.after.data.sample
    return same_sample and turns[0] == turns[1]


def _shared_rounds(pair: _Pair) -> tuple[list[int], list[Floats], list[Floats]] | None:
    """Return the launches of the rounds that both have, and the times of their calls, before and after."""
    samples = pair.raw.samples(pair.before), pair.raw.samples(pair.after)
    if samples[0] is None or samples[1] is None:
        return None
    if any(name not in arrays for arrays in samples if arrays for name in ("call_ns", "call_round")):
        return None
    before, after = (_calls_by_round(arrays) for arrays in samples if arrays is not None)
    launch = {item.index: item.launch for item in pair.after.rounds}
    shared = sorted(before.keys() & after.keys() & launch.keys(), key=lambda index: (launch[index], index))
    if len(shared) < MINIMUM_ROUNDS:
        return None
    return (
        [launch[index] for index in shared],
        [before[index] for index in shared],
        [after[index] for index in shared],
    )


def _calls_by_round(samples: Samples) -> dict[int, Floats]:
    rounds, times = samples["call_round"], samples["call_ns"].astype(np.float64)
    return {index: times[rounds == index] for index in sorted(set(rounds.tolist()))}


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


def _from_intervals(quantity: Quantity, before: Estimate, after: Estimate, pair: _Pair) -> QuantityChange:
    """Return a change from two intervals, as if the two were independent."""
    change = _unpaired_change(before, after, pair)
    note = f"{UNPAIRED}; {RUNS_KNOWN if _runs_variance(pair) else RUNS_UNKNOWN}"
    return QuantityChange(quantity, before, after, change, False, note, p=_p_of_interval(change))


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
    """Combine two intervals on the logarithms (R. Newcombe's method 10), in percent."""
    if min(before.low, after.low) <= 0:
        return Estimate(math.nan, math.nan, math.nan, pair.confidence, "an interval reaches 0", after.count)
    usual, wanted = (NormalDist().inv_cdf((1 + level) / 2) for level in (CONFIDENCE, pair.confidence))
    value, runs = math.log(after.value / before.value), math.sqrt(_runs_variance(pair)) * usual
    below = math.hypot(math.log(after.value / after.low), math.log(before.high / before.value), runs)
    above = math.hypot(math.log(after.high / after.value), math.log(before.value / before.low), runs)
    low, high = math.exp(value - wanted / usual * below), math.exp(value + wanted / usual * above)
    method, count = "two intervals joined, unpaired", min(before.count, after.count)
    ratio = Estimate(math.exp(value), low, high, pair.confidence, method, count)
    return _percent(ratio, ratio.value, ratio.low, ratio.high)


def _runs_variance(pair: _Pair) -> float:
    """Return the known variance of a difference of two runs; 0 where it is not known, or within one run."""
    if pair.paired:
        return 0.0
    hosts = [known_host(record) for record in pair.records]
    return sum(host.run_time.variance for host in hosts if host) if all(hosts) else 0.0


def _percent(ratio: Ratio | Estimate, *ends: float) -> Estimate:
    """Return the value, low and high `ends` of a ratio as changes in percent."""
    value, low, high = (100 * (end - 1) for end in ends)
    return Estimate(value, low, high, ratio.confidence, ratio.method, ratio.count)
