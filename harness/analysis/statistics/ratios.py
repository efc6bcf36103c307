"""Ratios of two records, and verdicts on them.

    record, record --speedup, energy_reduction--> Ratio | NotComparable --judge--> Judgement

A ratio exists only for two records that differ in nothing but the system; otherwise the result names the
difference. Ratios are paired: both systems visit the same slice in the same round, at most minutes apart, so
that a disturbance of the machine slows both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np

from harness.analysis.statistics.estimates import (
    CONFIDENCE,
    EnergyEstimate,
    EnergyWindows,
    estimate_of_location,
)
from harness.analysis.statistics.pairing import ComparedPair, NotComparable, pair_of
from harness.analysis.statistics.round_series import RoundSeries
from harness.analysis.statistics.typical_request import typical_locations
from harness.analysis.statistics.variance.intervals import (
    ends_of,
    joined_logs,
    method_over,
    split_at,
    widened_method,
)
from harness.analysis.statistics.variance.model import (
    Floats,
    KnownVariance,
    Location,
    Locations,
    locations,
)
from harness.records.estimate import Unavailable
from harness.records.reading import SumReadings, sum_readings
from harness.records.record import Record

BASELINE = "pytorch-fixed"
UNPADDED = "pytorch-dynamic"
REFERENCES = (BASELINE, UNPADDED)
"""The references of every report: PyTorch with its default padding, and without padding, because a baseline
with padding makes every other system look faster than it is."""

COMPILED = "pytorch-compiled"
"""PyTorch's own compiler: verdicts compare with it where it was measured, and say so where it was not."""

TOLERANCE = 0.02
"""A change within this share does not matter in practice, however narrow its interval."""

FAMILY_LEVEL = 0.01
"""Probability that a report calls any two equal systems different: the level of all its verdicts together."""

WIDEST_INTERVAL = 1.3
"""If the interval of a ratio of totals is wider than this factor, the machine changed its speed between
visits, and the mode of the pairs may be that change rather than the ratio of the systems."""

NO_CONTRADICTION = 0.999
"""Confidence at which the intervals of the typical request and of totals must overlap, or totals count."""

Quantity = Literal["speed-up", "energy reduction"]
Verdict = Literal["faster", "slower", "less energy", "more energy", "no change", "too noisy"]

_VERDICTS: dict[Quantity, tuple[Verdict, Verdict]] = {
    "speed-up": ("faster", "slower"),
    "energy reduction": ("less energy", "more energy"),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Reference over system, so that above 1 is better; `over` names the variant of the reference.

    Value, interval and p-value are of one `location`, a mean of logarithms with its variance
    (`harness.analysis.statistics.variance.model`). `p` is corrected for the `family` of verdicts that it
    belongs to (`harness.analysis.statistics.multiple_testing`), and None where it cannot be computed.
    `totals` is the ratio of totals (value, low, high) where the ratio is that of the typical request, because
    that is more precise (`harness.analysis.statistics.typical_request`). `launches` counts the launches of
    the rounds. The other fields are those of `Estimate`.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str
    count: int
    over: str
    quantity: Quantity
    p: float | None = None
    family: int = 1
    totals: tuple[float, float, float] | None = None
    launches: int = 1
    location: Location | None = None

    def __hash__(self) -> int:
        """Return a hash of what tells ratios apart; one of every field costs ten times as much."""
        return hash((self.value, self.over, self.quantity))

    def in_family(self, p: float, size: int) -> "Ratio":
        """Return the ratio with a p-value that is corrected for a family of this size."""
        interval = (self.value, self.low, self.high, self.confidence, self.method, self.count)
        rest = (self.totals, self.launches, self.location)
        return Ratio(*interval, self.over, self.quantity, p, size, *rest)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a ratio, and the tolerance that it was judged by."""

    verdict: Verdict
    ratio: Ratio
    tolerance: float


def speedup(system: Record, reference: Record, *, confidence: float = CONFIDENCE) -> Ratio | NotComparable:
    """Return the reference's time per request over the system's: the mean over paired rounds.

    NotComparable in scenario `server`, where the time per request is the time between arrivals.
    """
    (ratio,) = speedups([pair_of(system, reference)], confidence=confidence)
    return ratio


def speedups(pairs: Sequence[ComparedPair], *, confidence: float = CONFIDENCE) -> list[Ratio | NotComparable]:
    """Return `speedup` of each (system, reference), in their order."""
    inputs = [_paired_times(pair) for pair in pairs]
    comparable = [rounds for rounds in inputs if isinstance(rounds, PairedRounds)]
    ratios = iter(paired_ratios(comparable, confidence=confidence))
    return [next(ratios) if isinstance(rounds, PairedRounds) else rounds for rounds in inputs]


def energy_reduction(
    system: Record, reference: Record, *, confidence: float = CONFIDENCE, added: SumReadings = sum_readings
) -> Ratio | NotComparable:
    """Return the reference's energy per request over the system's, widened by the resolution of both meters.

    `added` sums the zones of both: those of tables, or a board and its processor. The bounds assume that
    every reading of one system is too high, and of the other too low, by its resolution.
    """
    (ratio,) = energy_reductions([pair_of(system, reference)], confidence=confidence, added=added)
    return ratio


def energy_reductions(
    pairs: Sequence[ComparedPair], *, confidence: float = CONFIDENCE, added: SumReadings = sum_readings
) -> list[Ratio | NotComparable]:
    """Return `energy_reduction` of each (system, reference), in their order."""
    inputs = [_paired_energies(pair, added) for pair in pairs]
    reductions = iter(_reductions([each for each in inputs if isinstance(each, _PairedEnergies)], confidence))
    return [next(reductions) if isinstance(each, _PairedEnergies) else each for each in inputs]


def _reductions(many: Sequence["_PairedEnergies"], confidence: float) -> list[Ratio | NotComparable]:
    """Return the ratios as read; p is that of the readings that make the difference smallest."""
    if not many:
        return []
    as_read, lowest, highest = _energy_locations(many)
    is_log = [True] * len(many)
    lows = [low for _, low, _ in ends_of(lowest, is_log, confidence)]
    highs = [high for *_, high in ends_of(highest, is_log, confidence)]
    p_lowest, p_highest = lowest.p_values(), highest.p_values()
    ratios: list[Ratio | NotComparable] = []
    for at, energies in enumerate(many):
        is_gain = as_read.values[at] > 0
        closest, p_values = (lowest, p_lowest) if is_gain else (highest, p_highest)
        ratios.append(
            Ratio(
                *(math.exp(as_read.values[at]), lows[at], highs[at], confidence),
                method=widened_method("paired rounds", as_read.covers(at)),
                count=as_read.counts[at],
                over=energies.over,
                quantity="energy reduction",
                p=p_values[at] if is_gain == (closest.values[at] > 0) else 1.0,
                launches=as_read.launches[at],
                location=closest[at],
            )
        )
    return ratios


def judge(ratio: Ratio, *, tolerance: float = TOLERANCE, level: float = FAMILY_LEVEL) -> Judgement:
    """Return a difference if it is significant and exceeds the tolerance.

    Significant means that the interval excludes 1 and that `p`, where there is one, is at most `level`. "No
    change" also needs evidence: an interval within the tolerance, or one that excludes 1 by less than it.
    Everything else, including NaN, is too noisy. Changes are ratios: 1.02 and 1 / 1.02 are equally far from
    1.
    """
    better, worse = _VERDICTS[ratio.quantity]
    limit = 1 + tolerance
    excludes_one = ratio.low > 1 or ratio.high < 1
    significant = excludes_one and (ratio.p is None or ratio.p <= level)
    verdict: Verdict = "too noisy"
    if significant and ratio.value > limit:
        verdict = better
    elif significant and ratio.value < 1 / limit:
        verdict = worse
    elif 1 / limit <= ratio.value <= limit and (
        excludes_one or (1 / limit <= ratio.low and ratio.high <= limit)
    ):
        verdict = "no change"
    return Judgement(verdict, ratio, tolerance)


@dataclass(frozen=True, slots=True, eq=False)
class PairedRounds:
    """Ratios of paired rounds, one positive number each, in order of time, and the launch of each.

    `requests` holds the logarithms of the same ratio for every request, float64 [requests] for each round, if
    requests were timed one by one. `known` is what is known of launches on the host, for totals and for the
    typical request.
    """

    ratios: Sequence[float] | Floats
    launches: Sequence[int]
    over: str
    requests: Sequence[Floats] = ()
    known: KnownVariance | None = None
    known_typical: KnownVariance | None = None


def _paired_times(pair: ComparedPair) -> PairedRounds | NotComparable:
    if "server" in (pair.system.record.cell.scenario, pair.reference.record.cell.scenario):
        return NotComparable(
            "at an offered rate the time per request is the time between arrivals", "scenario"
        )
    shared = pair.shared
    if isinstance(shared, NotComparable):
        return shared
    system, reference = shared
    host = pair.system.known_host
    known = (host.ratio, host.typical) if host else ()
    ratios, requests = reference.times / system.times, _request_ratios(system, reference)
    return PairedRounds(ratios, system.launches, pair.over, requests, *known)


def paired_ratio(rounds: PairedRounds, *, confidence: float = CONFIDENCE) -> Ratio:
    """Return the ratio of paired rounds: the mean of their logarithms, by the variance model."""
    return paired_ratios([rounds], confidence=confidence)[0]


def paired_ratios(pairs: Sequence[PairedRounds], *, confidence: float = CONFIDENCE) -> list[Ratio]:
    """Return the ratio of each series of paired rounds, in their order.

    It is that of the typical request if requests were timed one by one, unless the ratio of totals is more
    precise or contradicts it.
    """
    logs = joined_logs([rounds.ratios for rounds in pairs])
    totals = locations(
        [(each, rounds.launches, rounds.known) for each, rounds in zip(logs, pairs, strict=True)]
    )
    typical = typical_locations(
        [(rounds.requests, rounds.launches, rounds.known_typical) for rounds in pairs]
    )
    ends = ends_of(totals, [True] * len(pairs), confidence)
    columns = zip(pairs, totals, typical, ends, totals.p_values(), strict=True)
    return [_ratio(*each, confidence) for each in columns]


def _ratio(
    rounds: PairedRounds,
    totals: Location,
    typical: Location | None,
    ends: tuple[float, float, float],
    p: float,
    confidence: float,
) -> Ratio:
    """Return the ratio of one series, given the ends of the interval of totals and their p-value."""
    if typical is None or not _is_better(typical, totals, confidence):
        method = method_over("paired rounds", totals.covers)
        of_totals = (*ends, confidence, method, totals.count, rounds.over)
        return Ratio(*of_totals, "speed-up", p, launches=totals.launches, location=totals)
    estimate = estimate_of_location(typical, what="pairs of the same request", confidence=confidence)
    return Ratio(
        *(estimate.value, estimate.low, estimate.high, confidence, estimate.method, estimate.count),
        over=rounds.over,
        quantity="speed-up",
        p=typical.p(),
        totals=ends,
        launches=totals.launches,
        location=typical,
    )


def _is_better(typical: Location, totals: Location, confidence: float) -> bool:
    """Return whether the typical request is more precise than totals and does not contradict them."""
    widths = [2 * each.half_width(confidence) for each in (typical, totals)]
    apart = abs(typical.value - totals.value)
    reach = typical.half_width(confidence) + totals.half_width(NO_CONTRADICTION)
    return widths[0] < widths[1] <= math.log(WIDEST_INTERVAL) and apart <= reach


def _request_ratios(system: RoundSeries, reference: RoundSeries) -> list[Floats]:
    """Return log(reference / system) of each request by round; empty if a round has no such times.

    Empty, too, where several threads share a request: they wait for one another, and pairs then agree on what
    the machine does to threads. Null tests show too many false differences there
    (docs/explanation/method.md).
    """
    if system.record.cell.threads > 1:
        return []
    pairs = [
        (first.asked_ns, second.asked_ns)
        for first, second in zip(system.rounds, reference.rounds, strict=True)
    ]
    if any(not first or len(first) != len(second) for first, second in pairs):
        return []
    return [np.log(np.array(second) / np.array(first)) for first, second in pairs]


@dataclass(frozen=True, slots=True, eq=False)
class _PairedEnergies:
    """The energies of paired rounds, in order of time, and the launch of each."""

    system: EnergyWindows
    reference: EnergyWindows
    launches: Sequence[int]
    over: str
    known: KnownVariance | None


def _paired_energies(pair: ComparedPair, added: SumReadings) -> _PairedEnergies | NotComparable:
    shared = pair.shared
    if isinstance(shared, NotComparable):
        return shared
    system, reference = (series.added(added) for series in shared)
    if isinstance(system, Unavailable):
        return _no_energy(pair.system, system)
    if isinstance(reference, Unavailable):
        return _no_energy(pair.reference, reference)
    if unlike := unlike_energy(system, reference):
        return unlike
    if system.is_below_resolution or reference.is_below_resolution:
        return NotComparable("a window holds no more energy than the meter's resolution", "resolution")
    host = pair.system.known_host
    return _PairedEnergies(system, reference, shared[0].launches, pair.over, host.ratio if host else None)


def _energy_locations(many: Sequence[_PairedEnergies]) -> list[Locations]:
    """Return the ratios as read, at their lower bounds, and at their upper bounds."""
    system, system_error = _joined([each.system for each in many])
    reference, reference_error = _joined([each.reference for each in many])
    ends = list(accumulate(len(each.launches) for each in many))
    ratios = (
        reference / system,
        (reference - reference_error) / (system + system_error),
        (reference + reference_error) / (system - system_error),
    )
    return [
        locations(
            [
                (part, each.launches, each.known)
                for part, each in zip(split_at(np.log(every), ends), many, strict=True)
            ]
        )
        for every in ratios
    ]


def _joined(windows: Sequence[EnergyWindows]) -> tuple[Floats, Floats]:
    """Return energy and resolution of all rounds of many records, one after another."""
    energy = np.concatenate([each.microjoules for each in windows])
    return energy, np.concatenate([each.resolution_uj for each in windows])


def _no_energy(series: RoundSeries, energy: Unavailable) -> NotComparable:
    variant = series.record.cell.variant
    return NotComparable(f"the energy of {variant} is unavailable: {energy.reason}", "energy")


def unlike_energy(
    first: EnergyWindows | EnergyEstimate, second: EnergyWindows | EnergyEstimate
) -> NotComparable | None:
    """Return the first of grade, scope and source that differs, or None."""
    for name in ("grade", "scope", "source"):
        pair = getattr(first, name), getattr(second, name)
        if pair[0] != pair[1]:
            return NotComparable(f"the {name} of the energy differs: {pair[0]} and {pair[1]}", name)
    return None
