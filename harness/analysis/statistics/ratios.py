"""Ratios of two records, and verdicts on them.

    record, record --speedup, energy_reduction--> Ratio | NotComparable --judge--> Judgement

A ratio exists only for two records that differ in nothing but the system; otherwise the result names the
difference. Ratios are paired: both systems visit the same slice in the same round, at most minutes apart, so
that a disturbance of the machine slows both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.analysis.statistics.estimates import (
    CONFIDENCE,
    EnergyEstimate,
    EnergyWindows,
    Floats,
    medians_over_rounds,
)
from harness.analysis.statistics.pairing import ComparedPair, NotComparable, pair_of
from harness.analysis.statistics.round_series import RoundSeries
from harness.analysis.statistics.significance import p_values
from harness.analysis.statistics.typical_request import TypicalRatio, typical_ratio
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import SumReadings, sum_readings
from harness.records.record import Record

BASELINE = "pytorch-fixed"
UNPADDED = "pytorch-dynamic"
REFERENCES = (BASELINE, UNPADDED)
"""The references of every report: PyTorch with its default padding, and without padding, because a baseline
with padding makes every other system look faster than it is."""

TOLERANCE = 0.02
"""A change of the median within this share does not matter in practice, however narrow its interval."""

FAMILY_LEVEL = 0.01
"""Probability that a report calls any two equal systems different: the level of all its verdicts together."""

WIDEST_INTERVAL = 1.5
"""If the interval of a ratio of totals is wider than this factor, the machine changed its speed between
visits, and the mode of the pairs may be that change rather than the ratio of the systems."""

STRETCH = 1.7
"""Exponent that turns the 95 % interval of a normal distribution into its 99.9 % interval: 3.29 / 1.96."""

Quantity = Literal["speed-up", "energy reduction"]
Verdict = Literal["faster", "slower", "less energy", "more energy", "no change", "too noisy"]

_VERDICTS: dict[Quantity, tuple[Verdict, Verdict]] = {
    "speed-up": ("faster", "slower"),
    "energy reduction": ("less energy", "more energy"),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Reference over system, so that above 1 is better; `over` names the variant of the reference.

    `p` is the p-value of the comparison, None where it cannot be computed, and corrected for the `family` of
    verdicts that the ratio belongs to (`harness.analysis.statistics.multiple_testing`). `typical` is the
    ratio of the typical request with its interval (value, low, high;
    `harness.analysis.statistics.typical_request`) where the verdict is based on it, because it is more
    precise. `launches` counts the launches of the rounds. The other fields are those of `Estimate`.
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
    typical: tuple[float, float, float] | None = None
    launches: int = 1

    @property
    def judged(self) -> tuple[float, float, float]:
        """The ratio that the verdict is based on: value, low, high."""
        return self.typical or (self.value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a ratio, and the tolerance that it was judged by."""

    verdict: Verdict
    ratio: Ratio
    tolerance: float


def speedup(system: Record, reference: Record, *, confidence: float = CONFIDENCE) -> Ratio | NotComparable:
    """Return the reference's time per request over the system's: the median over paired rounds.

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
    comparable = [energies for energies in inputs if isinstance(energies, _PairedEnergies)]
    as_read, lowest, highest = (
        medians_over_rounds(
            [(energies.ratios[at], energies.launches) for energies in comparable],
            what="paired rounds",
            confidence=confidence,
        )
        for at in range(3)
    )
    # the p-value is that of the readings that make the difference smallest
    closest = [
        (energies.ratios[1 if ratio.value > 1 else 2], energies.launches)
        for energies, ratio in zip(comparable, as_read, strict=True)
    ]
    ratios = iter(map(_reduction, comparable, as_read, lowest, highest, p_values(closest)))
    return [next(ratios) if isinstance(energies, _PairedEnergies) else energies for energies in inputs]


def _reduction(
    energies: "_PairedEnergies", middle: Estimate, lowest: Estimate, highest: Estimate, p: float
) -> Ratio:
    method = f"{middle.method}, widened by the meter's resolution"
    fields = (middle.value, lowest.low, highest.high, middle.confidence, method, middle.count)
    launches = len(set(energies.launches))
    return Ratio(*fields, over=energies.over, quantity="energy reduction", p=p, launches=launches)


def judge(ratio: Ratio, *, tolerance: float = TOLERANCE, level: float = FAMILY_LEVEL) -> Judgement:
    """Return a difference if it is significant and exceeds the tolerance.

    Significant means that the interval excludes 1 and that `p`, where there is one, is at most `level`. "No
    change" also needs evidence: an interval within the tolerance, or one that excludes 1 by less than it.
    Everything else, including NaN, is too noisy. Changes are ratios: 1.02 and 1 / 1.02 are equally far from
    1.
    """
    better, worse = _VERDICTS[ratio.quantity]
    limit = 1 + tolerance
    value, low, high = ratio.judged
    excludes_one = low > 1 or high < 1
    significant = excludes_one and (ratio.p is None or ratio.p <= level)
    verdict: Verdict = "too noisy"
    if significant and value > limit:
        verdict = better
    elif significant and value < 1 / limit:
        verdict = worse
    elif 1 / limit <= value <= limit and (excludes_one or (1 / limit <= low and high <= limit)):
        verdict = "no change"
    return Judgement(verdict, ratio, tolerance)


@dataclass(frozen=True, slots=True, eq=False)
class PairedRounds:
    """Ratios of paired rounds, one positive number each, in order of time, and the launch of each.

    `requests` holds the logarithms of the same ratio for every request, float64 [requests] for each round, if
    requests were timed one by one.
    """

    ratios: Sequence[float] | Floats
    launches: Sequence[int]
    over: str
    requests: Sequence[Floats] = ()


def _paired_times(pair: ComparedPair) -> PairedRounds | NotComparable:
    if "server" in (pair.system.record.cell.scenario, pair.reference.record.cell.scenario):
        return NotComparable(
            "at an offered rate the time per request is the time between arrivals", "scenario"
        )
    shared = pair.shared
    if isinstance(shared, NotComparable):
        return shared
    system, reference = shared
    ratios = reference.times / system.times
    return PairedRounds(ratios, system.launches, pair.over, _request_ratios(system, reference))


def paired_ratio(
    ratios: Sequence[float] | Floats,
    launches: Sequence[int],
    *,
    over: str,
    quantity: Quantity = "speed-up",
    confidence: float = CONFIDENCE,
    requests: Sequence[Floats] = (),
) -> Ratio:
    """Return the ratio of paired rounds, given the fields of `PairedRounds`: the median over them."""
    rounds = PairedRounds(ratios, launches, over, requests)
    return paired_ratios([rounds], quantity=quantity, confidence=confidence)[0]


def paired_ratios(
    pairs: Sequence[PairedRounds], *, quantity: Quantity = "speed-up", confidence: float = CONFIDENCE
) -> list[Ratio]:
    """Return the ratio of each series of paired rounds, in their order.

    The verdict is based on the typical request if requests were timed one by one, unless the ratio of totals
    is more precise or contradicts it.
    """
    series = [(rounds.ratios, rounds.launches) for rounds in pairs]
    medians = medians_over_rounds(series, what="paired rounds", confidence=confidence)
    typical = [_judged_typical(*pair, confidence) for pair in zip(pairs, medians, strict=True)]
    p_of_totals = iter(
        p_values([totals for totals, ratio in zip(series, typical, strict=True) if ratio is None])
    )
    return [
        Ratio(
            *(median.value, median.low, median.high, median.confidence, median.method, median.count),
            over=rounds.over,
            quantity=quantity,
            p=next(p_of_totals) if ratio is None else ratio.p,
            typical=None if ratio is None else (ratio.value, ratio.low, ratio.high),
            launches=len(set(rounds.launches)),
        )
        for rounds, median, ratio in zip(pairs, medians, typical, strict=True)
    ]


def _judged_typical(rounds: PairedRounds, totals: Estimate, confidence: float) -> TypicalRatio | None:
    """Return the ratio of the typical request if the verdict is to be based on it."""
    if not len(rounds.requests):
        return None
    typical = typical_ratio(rounds.requests, rounds.launches, confidence)
    if typical is None or not _overlap(typical, totals):
        return None
    is_narrower = typical.high / typical.low < totals.high / totals.low <= WIDEST_INTERVAL
    return typical if is_narrower else None


def _overlap(typical: TypicalRatio, totals: Estimate) -> bool:
    """Return whether the two intervals overlap.

    The interval of the totals is stretched, so that chance separates them in one case of a thousand only.
    """
    low: float = totals.value * (totals.low / totals.value) ** STRETCH
    high: float = totals.value * (totals.high / totals.value) ** STRETCH
    return typical.low <= high and low <= typical.high


def _request_ratios(system: RoundSeries, reference: RoundSeries) -> list[Floats]:
    """Return log(reference / system) of each request by round; empty if a round has no such times."""
    pairs = [
        (first.asked_ns, second.asked_ns)
        for first, second in zip(system.rounds, reference.rounds, strict=True)
    ]
    if any(not first or len(first) != len(second) for first, second in pairs):
        return []
    return [np.log(np.array(second) / np.array(first)) for first, second in pairs]


@dataclass(frozen=True, slots=True, eq=False)
class _PairedEnergies:
    """Ratios of every round: as read, and at the lower and the upper bound of the readings."""

    ratios: tuple[Floats, Floats, Floats]
    launches: Sequence[int]
    over: str


def _paired_energies(pair: ComparedPair, added: SumReadings) -> _PairedEnergies | NotComparable:
    shared = pair.shared
    if isinstance(shared, NotComparable):
        return shared
    system, reference = (series.added(added) for series in shared)
    if isinstance(system, Unavailable):
        return _no_energy(pair.system, system)
    if isinstance(reference, Unavailable):
        return _no_energy(pair.reference, reference)
    unlike = unlike_energy(system, reference) or _below_resolution(system, reference)
    return unlike or _PairedEnergies(_energy_ratios(system, reference), shared[0].launches, pair.over)


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


def _below_resolution(*windows: EnergyWindows) -> NotComparable | None:
    if any((energy.microjoules <= energy.resolution_uj).any() for energy in windows):
        return NotComparable("a window holds no more energy than the meter's resolution", "resolution")
    return None


def _energy_ratios(system: EnergyWindows, reference: EnergyWindows) -> tuple[Floats, Floats, Floats]:
    """Return the ratio of every round as read, at its lower bound, and at its upper bound."""
    as_read = reference.microjoules / system.microjoules
    lowest = (reference.microjoules - reference.resolution_uj) / system.highest
    highest = reference.highest / (system.microjoules - system.resolution_uj)
    return as_read, lowest, highest
