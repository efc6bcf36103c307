"""What would tell: how many rounds in how many launches would find a difference, by the variance model.

    Ratio.location --variance of a round, of a launch--> power of more of each --> a sentence

The power is that of the t test with the variance that this run shows (a noncentral t distribution), at the
level that the family leaves to a single comparison in the worst case (level / family).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.statistics.ratios import FAMILY_LEVEL, TOLERANCE, Ratio
from harness.analysis.statistics.variance.model import Location, Part

POWER = 0.8
"""The share of cases in which the advised rounds and launches find the difference."""

PLANNED = 1.05
"""The difference that advice is about where none beyond the tolerance is seen."""

WORTH = 0.75
"""Share of the freedom that more rounds of the same noise have: their correlation is estimated anew."""

_LAUNCHES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20)

_ROUNDS = (5, 7, 10, 15, 20, 30, 40, 60, 100, 150, 200, 300, 500)
"""Rounds of a launch that advice chooses from."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Launches, and the rounds of each."""

    launches: int
    rounds: int

    @property
    def total(self) -> int:
        """The rounds of all launches."""
        return self.launches * self.rounds


def advise(ratio: Ratio, *, level: float = FAMILY_LEVEL, tolerance: float = TOLERANCE) -> str:
    """Return a clause on what would find a difference of this size in 80 % of cases."""
    effort = advised_effort(ratio, level=level, tolerance=tolerance)
    if effort is None:
        return "no practical number of rounds would tell: measure on a quieter machine"
    is_seen = _size(ratio, tolerance) == ratio.value
    of_size = "a difference of this size" if is_seen else f"a difference of {100 * (PLANNED - 1):.0f} %"
    options = f"--rounds {effort.rounds} --launches {effort.launches}"
    launches = f"{effort.launches} launch{'es' if effort.launches > 1 else ''}"
    share = f"{100 * POWER:.0f} % of cases"
    return f"{effort.total} rounds in {launches} ({options}) would find {of_size} in {share}"


def advised_effort(
    ratio: Ratio, *, level: float = FAMILY_LEVEL, tolerance: float = TOLERANCE
) -> Effort | None:
    """Return the effort that would find a ratio of this size, in its family; None if none would."""
    if ratio.location is None:
        return None
    return required_effort(ratio.location, _size(ratio, tolerance), level=level / max(ratio.family, 1))


def _size(ratio: Ratio, tolerance: float) -> float:
    """Return the difference that advice is about: the one seen if it matters, else `PLANNED`."""
    return ratio.value if abs(math.log(ratio.value)) > math.log1p(tolerance) else PLANNED


def required_effort(location: Location, size: float, *, level: float) -> Effort | None:
    """Return the least effort whose power reaches `POWER` for a ratio of `size`; None if none does.

    Rounds are added first, as they cost no start of a process, and launches where the variance between them
    is what is lacking. `level` is that of the single comparison.
    """
    rounds = max(location.count // location.launches, 1)
    for effort in _efforts(location.launches, rounds):
        if power(location, size, effort, level=level) >= POWER:
            return effort
    return None


def _efforts(launches: int, rounds: int) -> Iterator[Effort]:
    """Yield no less than what was measured, in the order of what it costs: a launch costs five rounds."""
    efforts = [
        Effort(more, each)
        for more in _LAUNCHES
        for each in _ROUNDS
        if more >= launches and each >= min(rounds, 10)
    ]
    yield from sorted(efforts, key=lambda effort: (effort.total + 5 * effort.launches, effort.launches))


def power(location: Location, size: float, effort: Effort, *, level: float) -> float:
    """Return the probability that this effort finds a ratio of `size` at this level.

    It is the mean over what the variance of rounds may be, which few rounds leave uncertain (chi-squared).
    """
    from scipy.special import chdtri  # scipy.stats takes a second to import

    freedom = location.rounds.freedom
    factors = [freedom / float(chdtri(freedom, 1 - share)) for share in _QUANTILES]
    return sum(_power(location, size, effort, factor, level) for factor in factors) / len(factors)


_QUANTILES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)
"""Quantiles of the variance of rounds, equally likely."""


def _power(location: Location, size: float, effort: Effort, factor: float, level: float) -> float:
    """Return the power with a variance of rounds that is `factor` times the estimate."""
    from scipy.special import nctdtr, stdtrit

    scale = location.count / effort.total
    launches = location.launches / effort.launches
    parts = [Part(location.rounds.variance * scale * factor, location.rounds.freedom / scale * WORTH)]
    parts += [Part(part.variance * launches, part.freedom) for part in location.between]
    wanted = Location(0.0, parts[0], tuple(parts[1:]), effort.total, effort.launches)
    if not wanted.variance:
        return 1.0
    noncentrality = abs(math.log(size)) / math.sqrt(wanted.variance)
    critical = float(stdtrit(wanted.freedom, 1 - level / 2))
    return 1 - float(nctdtr(wanted.freedom, noncentrality, critical))
