"""Estimates become ratios, and ratios become judgements.

    record, record --compare--> Ratio | Refused --judge--> Judgement

A ratio is only made of two records that differ in nothing but the system: whatever else differs is named in
the refusal. Ratios are paired: both systems visited the same slice in the same round, minutes of heat and
neighbours apart at most, so what slows a round down slows both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from harness.meters.base import Sum, total
from harness.pairs import Typical, typical
from harness.record import Record, Round
from harness.significance import p_value

BASELINE = "pytorch-fixed"
UNPADDED = "pytorch-dynamic"
REFERENCES = (BASELINE, UNPADDED)
"""What every report compares with: PyTorch as people first meet it, and the same without padding, because
padding flatters every rival of it."""

TOLERANCE = 0.02
"""Changes of the median within this share are no change in practice, however narrow the interval."""

FAMILY_LEVEL = 0.01
"""How often a report may call any of its systems different that is not: the level of all verdicts in all."""

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
    it is corrected for the `family` of verdicts it belongs to (`harness.verdicts`). `typical` is the ratio of
    the typical request with its interval (value, low, high; `harness.pairs`) where the verdict looks at that,
    because it is the better known of the two. The other fields are those of `Estimate`.
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

    @property
    def told(self) -> tuple[float, float, float]:
        """What the verdict looks at: value, low, high."""
        return self.typical or (self.value, self.low, self.high)


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


def speedup(system: Record, reference: Record, *, confidence: float = CONFIDENCE) -> Ratio | Refused:
    """Return the reference's time per request over the system's: the median over paired rounds.

    Refused where requests arrive at a rate: there all take the time in which requests arrive.
    """
    if "server" in (system.cell.scenario, reference.cell.scenario):
        return Refused("at an offered rate all take as long as requests take to arrive", "scenario")
    pairs = _pairs(system, reference)
    if isinstance(pairs, Refused):
        return pairs
    times = np.array([[item.wall_ns / item.requests for item in pair] for pair in pairs])
    ratios = times[:, 1] / times[:, 0]
    over, requests = reference.cell.variant, _requests(pairs)
    return paired_ratio(ratios, _launches(pairs), over=over, confidence=confidence, requests=requests)


def energy_reduction(
    system: Record, reference: Record, *, confidence: float = CONFIDENCE, added: Sum = total
) -> Ratio | Refused:
    """Return the reference's energy per request over the system's, widened by the resolution of both meters.

    `added` says of which zones, of both the same: those of the table, or a board's and its processor's.
    The bounds take every reading of one system too high, and of the other too low, by its resolution.
    """
    pairs = _pairs(system, reference)
    if isinstance(pairs, Refused):
        return pairs
    energies = _energies(pairs, system, reference, added)
    if isinstance(energies, Refused):
        return energies
    over, launches = reference.cell.variant, _launches(pairs)
    ratios = _energy_ratios(*energies)
    middle, least, most = (
        median_over_rounds(each, launches, what="paired rounds", confidence=confidence) for each in ratios
    )
    method = f"{middle.method}, widened by the meter's resolution"
    p = p_value(ratios[1 if middle.value > 1 else 2], launches)  # the readings that make the difference least
    ends = (middle.value, least.low, most.high, confidence, method, middle.count)
    return Ratio(*ends, over=over, quantity="energy reduction", p=p)


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


def mismatch(system: Record, reference: Record) -> Refused | None:
    """Return the first thing that forbids a ratio of these two, or None.

    Threads may differ where instances do, as far as both ran on the same cpus: that is what the variant
    chose.
    """
    if found := refusal(system, reference, _FIELDS):
        return found
    mine, theirs = system.cell, reference.cell
    if mine.instances == theirs.instances and mine.threads != theirs.threads:
        return Refused(f"the number of threads differs: {mine.threads} and {theirs.threads}", "threads")
    return None


Field = tuple[str, Callable[[Record], Any]]

QUALITY_FIELDS: tuple[Field, ...] = (
    ("schema version", lambda record: record.schema_version),
    ("task", lambda record: record.cell.task),
    ("data fingerprint", lambda record: record.data.fingerprint),
    ("split", lambda record: record.data.split),
    ("maximum length", lambda record: record.cell.max_length),
)

_FIELDS: tuple[Field, ...] = (
    *QUALITY_FIELDS,
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


def refusal(system: Record, reference: Record, fields: Sequence[Field]) -> Refused | None:
    """Return the first of these fields in which two records differ, by name, or None."""
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
    if found := mismatch(system, reference):
        return found
    theirs = {(item.launch, item.index): item for item in reference.rounds}
    pairs = [
        (item, theirs[item.launch, item.index])
        for item in sorted(system.rounds, key=lambda item: (item.launch, item.index))
        if (item.launch, item.index) in theirs
    ]
    return _unpaired(pairs) or pairs


def _launches(pairs: Sequence[tuple[Round, Round]]) -> list[int]:
    return [first.launch for first, _ in pairs]


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


def paired_ratio(
    ratios: Sequence[float] | Floats,
    launches: Sequence[int],
    *,
    over: str,
    quantity: Quantity = "speed-up",
    confidence: float = CONFIDENCE,
    requests: Sequence[Floats] = (),
) -> Ratio:
    """Return the ratio of paired rounds, one positive number each, in order of time: the median over them.

    `requests` holds the logarithms of the same ratio of every request, float64 [requests] for each round,
    where they were timed one by one: the verdict then looks at the typical request, unless totals are known
    better or contradict it.
    """
    found = median_over_rounds(ratios, launches, what="paired rounds", confidence=confidence)
    ends = (found.value, found.low, found.high, found.confidence, found.method, found.count)
    if len(requests):
        one = typical(requests, launches, confidence)
        if one and _alike(one, found) and one.high / one.low < found.high / found.low:
            told = (one.value, one.low, one.high)
            return Ratio(*ends, over=over, quantity=quantity, p=one.p, typical=told)
    return Ratio(*ends, over=over, quantity=quantity, p=p_value(ratios, launches))


def _alike(one: Typical, whole: Estimate) -> bool:
    """Say whether the typical request may gain what the whole does: their intervals share something.

    That of the whole is stretched, so that a chance of one in a thousand does not part them.
    """
    low: float = whole.value * (whole.low / whole.value) ** STRETCHED
    high: float = whole.value * (whole.high / whole.value) ** STRETCHED
    return one.low <= high and low <= one.high


def _requests(pairs: Sequence[tuple[Round, Round]]) -> list[Floats]:
    """Return reference over system of each request, as logarithms by round; none if any round has none."""
    if any(not one.asked_ns or len(one.asked_ns) != len(other.asked_ns) for one, other in pairs):
        return []
    return [np.log(np.array(other.asked_ns) / np.array(one.asked_ns)) for one, other in pairs]


def _energies(
    pairs: Sequence[tuple[Round, Round]], system: Record, reference: Record, added: Sum
) -> tuple[Windows, Windows] | Refused:
    mine = energy_windows([first for first, _ in pairs], added)
    if isinstance(mine, Unavailable):
        return Refused(f"the energy of {system.cell.variant} is unavailable: {mine.reason}", "energy")
    theirs = energy_windows([second for _, second in pairs], added)
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


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    text = str(value)
    is_hash = len(text) >= 32 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 -- md5 and longer
    return text[:12] if is_hash else text
