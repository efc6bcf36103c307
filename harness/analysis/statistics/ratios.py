"""Estimates become ratios, and ratios become judgements.

    record, record --compare--> Ratio | Refused --judge--> Judgement

A ratio is only made of two records that differ in nothing but the system: whatever else differs is named in
the refusal. Ratios are paired: both systems visited the same slice in the same round, minutes of heat and
neighbours apart at most, so what slows a round down slows both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.analysis.statistics.estimates import CONFIDENCE, EnergyWindows, Floats, medians_over_rounds
from harness.analysis.statistics.pairing import ComparedPair, NotComparable, pair_of
from harness.analysis.statistics.round_series import RoundSeries
from harness.analysis.statistics.significance import p_values
from harness.analysis.statistics.typical_request import TypicalRatio, typical
from harness.records.estimate import Estimate, Unavailable
from harness.records.reading import SumReadings, sum_readings
from harness.records.record import Record

BASELINE = "pytorch-fixed"
UNPADDED = "pytorch-dynamic"
REFERENCES = (BASELINE, UNPADDED)
"""What every report compares with: PyTorch as people first meet it, and the same without padding, because
padding flatters every rival of it."""

TOLERANCE = 0.02
"""Changes of the median within this share are no change in practice, however narrow the interval."""

FAMILY_LEVEL = 0.01
"""How often a report may call any of its systems different that is not: the level of all verdicts in all."""

OPEN = 1.5
"""Totals with an interval wider than this factor leave everything open: the machine changed its speed between
visits, and most pairs may agree on that change, not on one of the systems."""

STRETCHED = 1.7
"""Makes an interval at 95 % one at 99.9 %, were it normal: 3.29 / 1.96."""

Quantity = Literal["speed-up", "energy reduction"]
Verdict = Literal["faster", "slower", "less energy", "more energy", "no change", "too noisy"]

_VERDICTS: dict[Quantity, tuple[Verdict, Verdict]] = {
    "speed-up": ("faster", "slower"),
    "energy reduction": ("less energy", "more energy"),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Reference over system, so that above 1 is better; `over` names the reference variant.

    `p` is the probability that a system seems to differ so clearly from itself, None where no rounds tell it;
    it is corrected for the `family` of verdicts it belongs to
    (`harness.analysis.statistics.multiple_testing`). `typical` is the ratio of
    the typical request with its interval (value, low, high; `harness.analysis.statistics.typical_request`)
    where the verdict looks at that,
    because it is the better known of the two. `launches` are those of the rounds. The other fields are
    `Estimate`'s.
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
    def told(self) -> tuple[float, float, float]:
        """What the verdict looks at: value, low, high."""
        return self.typical or (self.value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one quantity, with the tolerance it was reached under."""

    verdict: Verdict
    ratio: Ratio
    tolerance: float


def speedup(system: Record, reference: Record, *, confidence: float = CONFIDENCE) -> Ratio | NotComparable:
    """Return the reference's time per request over the system's: the median over paired rounds.

    Refused where requests arrive at a rate: there all take the time in which requests arrive.
    """
    (found,) = speedups([pair_of(system, reference)], confidence=confidence)
    return found


def speedups(pairs: Sequence[ComparedPair], *, confidence: float = CONFIDENCE) -> list[Ratio | NotComparable]:
    """Return `speedup` of each (system, reference), in their order."""
    asked = [_asked_speedup(pair) for pair in pairs]
    found = iter(
        paired_ratios([each for each in asked if isinstance(each, PairedRounds)], confidence=confidence)
    )
    return [next(found) if isinstance(each, PairedRounds) else each for each in asked]


def energy_reduction(
    system: Record, reference: Record, *, confidence: float = CONFIDENCE, added: SumReadings = sum_readings
) -> Ratio | NotComparable:
    """Return the reference's energy per request over the system's, widened by the resolution of both meters.

    `added` says of which zones, of both the same: those of the table, or a board's and its processor's.
    The bounds take every reading of one system too high, and of the other too low, by its resolution.
    """
    (found,) = energy_reductions([pair_of(system, reference)], confidence=confidence, added=added)
    return found


def energy_reductions(
    pairs: Sequence[ComparedPair], *, confidence: float = CONFIDENCE, added: SumReadings = sum_readings
) -> list[Ratio | NotComparable]:
    """Return `energy_reduction` of each (system, reference), in their order."""
    asked = [_asked_energies(pair, added) for pair in pairs]
    known = [each for each in asked if isinstance(each, _Energies)]
    estimates = [
        medians_over_rounds(
            [(each.ratios[at], each.launches) for each in known], what="paired rounds", confidence=confidence
        )
        for at in range(3)
    ]
    # the readings that make the difference least
    least = [
        each.ratios[1 if middle.value > 1 else 2] for each, middle in zip(known, estimates[0], strict=True)
    ]
    likely = p_values([(ratios, each.launches) for ratios, each in zip(least, known, strict=True)])
    found = iter(map(_reduction, known, *estimates, likely))
    return [next(found) if isinstance(each, _Energies) else each for each in asked]


def _reduction(asked: "_Energies", middle: Estimate, least: Estimate, most: Estimate, p: float) -> Ratio:
    method = f"{middle.method}, widened by the meter's resolution"
    ends = (middle.value, least.low, most.high, middle.confidence, method, middle.count)
    launches = len(set(asked.launches))
    return Ratio(*ends, over=asked.over, quantity="energy reduction", p=p, launches=launches)


def judge(ratio: Ratio, *, tolerance: float = TOLERANCE, level: float = FAMILY_LEVEL) -> Judgement:
    """Judge by two conditions: the ratio surely is not 1, and the change exceeds the tolerance.

    Surely means that the interval excludes 1 and, where it is known, that `p` is at most `level`. No change
    needs evidence too: an interval within the tolerance, or one that excludes 1 by less than it. All else, a
    NaN included, is too noisy to say. Changes count as ratios: 1.02 and 1 / 1.02 are equally far from 1.
    """
    better, worse = _VERDICTS[ratio.quantity]
    limit = 1 + tolerance
    value, low, high = ratio.told
    excludes_one = low > 1 or high < 1
    surely = excludes_one and (ratio.p is None or ratio.p <= level)
    verdict: Verdict = "too noisy"
    if surely and value > limit:
        verdict = better
    elif surely and value < 1 / limit:
        verdict = worse
    elif 1 / limit <= value <= limit and (excludes_one or (1 / limit <= low and high <= limit)):
        verdict = "no change"
    return Judgement(verdict, ratio, tolerance)


@dataclass(frozen=True, slots=True, eq=False)
class PairedRounds:
    """Ratios of paired rounds, one positive number each, in order of time, and the launch of each.

    `requests` holds the logarithms of the same ratio of every request, float64 [requests] for each round,
    where they were timed one by one.
    """

    ratios: Sequence[float] | Floats
    launches: Sequence[int]
    over: str
    requests: Sequence[Floats] = ()


def _asked_speedup(pair: ComparedPair) -> PairedRounds | NotComparable:
    if "server" in (pair.system.record.cell.scenario, pair.reference.record.cell.scenario):
        return NotComparable("at an offered rate all take as long as requests take to arrive", "scenario")
    shared = pair.shared
    if isinstance(shared, NotComparable):
        return shared
    mine, theirs = shared
    return PairedRounds(theirs.times / mine.times, mine.launches, pair.over, _requests(mine, theirs))


def paired_ratio(
    ratios: Sequence[float] | Floats,
    launches: Sequence[int],
    *,
    over: str,
    quantity: Quantity = "speed-up",
    confidence: float = CONFIDENCE,
    requests: Sequence[Floats] = (),
) -> Ratio:
    """Return the ratio of paired rounds, given as `PairedRounds` has them: the median over them."""
    asked = PairedRounds(ratios, launches, over, requests)
    return paired_ratios([asked], quantity=quantity, confidence=confidence)[0]


def paired_ratios(
    many: Sequence[PairedRounds], *, quantity: Quantity = "speed-up", confidence: float = CONFIDENCE
) -> list[Ratio]:
    """Return the ratio of each, in their order.

    The verdict looks at the typical request where requests were timed one by one, unless totals are known
    better or contradict it.
    """
    rounds = [(each.ratios, each.launches) for each in many]
    medians = medians_over_rounds(rounds, what="paired rounds", confidence=confidence)
    told = [_told(each, found, confidence) for each, found in zip(many, medians, strict=True)]
    likely = iter(p_values([one for one, known in zip(rounds, told, strict=True) if known is None]))
    return [
        Ratio(
            *(found.value, found.low, found.high, found.confidence, found.method, found.count),
            over=asked.over,
            quantity=quantity,
            p=next(likely) if one is None else one.p,
            typical=None if one is None else (one.value, one.low, one.high),
            launches=len(set(asked.launches)),
        )
        for asked, found, one in zip(many, medians, told, strict=True)
    ]


def _told(asked: PairedRounds, found: Estimate, confidence: float) -> TypicalRatio | None:
    """Return the ratio of the typical request if the verdict is to look at it."""
    one = typical(asked.requests, asked.launches, confidence) if len(asked.requests) else None
    if one and _alike(one, found) and one.high / one.low < found.high / found.low <= OPEN:
        return one
    return None


def _alike(one: TypicalRatio, whole: Estimate) -> bool:
    """Say whether the typical request may gain what the whole does: their intervals share something.

    That of the whole is stretched, so that a chance of one in a thousand does not part them.
    """
    low: float = whole.value * (whole.low / whole.value) ** STRETCHED
    high: float = whole.value * (whole.high / whole.value) ** STRETCHED
    return one.low <= high and low <= one.high


def _requests(mine: RoundSeries, theirs: RoundSeries) -> list[Floats]:
    """Return reference over system of each request, as logarithms by round; none if any round has none."""
    pairs = list(zip(mine.rounds, theirs.rounds, strict=True))
    if any(not one.asked_ns or len(one.asked_ns) != len(other.asked_ns) for one, other in pairs):
        return []
    return [np.log(np.array(other.asked_ns) / np.array(one.asked_ns)) for one, other in pairs]


@dataclass(frozen=True, slots=True, eq=False)
class _Energies:
    """Ratios of every round: as read, at their least, and at their most."""

    ratios: tuple[Floats, Floats, Floats]
    launches: Sequence[int]
    over: str


def _asked_energies(pair: ComparedPair, added: SumReadings) -> _Energies | NotComparable:
    shared = pair.shared
    if isinstance(shared, NotComparable):
        return shared
    mine, theirs = (one.added(added) for one in shared)
    if isinstance(mine, Unavailable):
        return _without(pair.system, mine)
    if isinstance(theirs, Unavailable):
        return _without(pair.reference, theirs)
    unlike = _unlike_energy(mine, theirs)
    return unlike or _Energies(_energy_ratios(mine, theirs), shared[0].launches, pair.over)


def _without(visits: RoundSeries, energy: Unavailable) -> NotComparable:
    return NotComparable(
        f"the energy of {visits.record.cell.variant} is unavailable: {energy.reason}", "energy"
    )


def _unlike_energy(mine: EnergyWindows, theirs: EnergyWindows) -> NotComparable | None:
    for name in ("grade", "scope", "source"):
        one, other = getattr(mine, name), getattr(theirs, name)
        if one != other:
            return NotComparable(f"the {name} of the energy differs: {one} and {other}", name)
    if any((one.microjoules <= one.resolution_uj).any() for one in (mine, theirs)):
        return NotComparable("a window holds no more energy than the meter's resolution", "resolution")
    return None


def _energy_ratios(mine: EnergyWindows, theirs: EnergyWindows) -> tuple[Floats, Floats, Floats]:
    """Return the ratio of every round as read, at its least, and at its most."""
    middle = theirs.microjoules / mine.microjoules
    least = (theirs.microjoules - theirs.resolution_uj) / (mine.microjoules + mine.resolution_uj)
    most = (theirs.microjoules + theirs.resolution_uj) / (mine.microjoules - mine.resolution_uj)
    return middle, least, most
