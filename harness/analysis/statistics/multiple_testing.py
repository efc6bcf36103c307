"""The verdicts of one report are a family, corrected as a whole: a long report raises no more false alarms.

    ratios --in_family--> ratios with corrected p --judge--> Judgement

Holm's method (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979): the smallest of m
p-values is multiplied by m, the next by m - 1, and so on, none below the one before. A difference is told
where the corrected p-value is at most 1 %; the probability of any false one in the family is then at most
1 %, however the ratios depend on one another.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.analysis.statistics.ratios import FAMILY_LEVEL, TOLERANCE, Judgement, Ratio, judge
from harness.analysis.statistics.significance import LAUNCH_FREEDOM, LAUNCH_SPREAD, chance

MOST_ROUNDS = 1000
"""What nobody should be told to measure."""

MOST_LAUNCHES = 10
"""As many launches."""


def verdicts(
    ratios: Sequence[Ratio], *, family_level: float = FAMILY_LEVEL, tolerance: float = TOLERANCE
) -> list[Judgement]:
    """Return a judgement for each ratio, all of them one family held at `family_level`, in their order."""
    return [judge(each, tolerance=tolerance, level=family_level) for each in holm_corrected(ratios)]


def holm_corrected(ratios: Iterable[Ratio]) -> list[Ratio]:
    """Return the ratios with their p-values corrected for one another, in their order.

    Correct once, where the whole report is known: what is of a family already would be corrected twice.
    """
    found = list(ratios)
    corrected = iter(holm([each.p for each in found if each.p is not None]))
    size = sum(each.p is not None for each in found)
    return [each if each.p is None else replace(each, p=next(corrected), family=size) for each in found]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method, in their order."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = highest
    return corrected


def rounds_wanted(ratio: Ratio, *, level: float = FAMILY_LEVEL) -> int | None:
    """Return about how many rounds as noisy as these would make the ratio a difference, None if too many.

    Student's t grows with the root of the rounds. The correction is taken for the family's full size, which
    is more than enough.
    """
    from scipy.special import stdtr, stdtrit

    if ratio.p is None or not 0 < ratio.p < 1:
        return None
    size, rounds = max(ratio.family, 1), ratio.count
    reached = -float(stdtrit(max(rounds - 1, 1), ratio.p / size / 2))

    def tell(more: int) -> bool:
        return bool(2 * size * float(stdtr(more - 1, -reached * (more / rounds) ** 0.5)) <= level)

    found = bisect_left(range(MOST_ROUNDS + 1), True, lo=min(rounds + 1, MOST_ROUNDS + 1), key=tell)
    return found if found <= MOST_ROUNDS else None


def launches_wanted(ratio: Ratio, *, level: float = FAMILY_LEVEL) -> int | None:
    """Return the fewest launches of which processes of one program do not differ so much, None if too many.

    With fewer, no number of rounds tells: what two processes differ by is in all of them.
    """
    away = abs(math.log(ratio.told[0]))

    def tell(launches: int) -> bool:
        between = (LAUNCH_SPREAD**2 / launches, LAUNCH_FREEDOM)
        return max(ratio.family, 1) * chance(away, between) <= level

    return next((launches for launches in range(1, MOST_LAUNCHES + 1) if tell(launches)), None)


def why_too_noisy(ratio: Ratio, *, tolerance: float = TOLERANCE) -> str:
    """Return a sentence on a ratio that is too noisy to judge: what is in the way."""
    _, low, high = ratio.told
    if low <= 1 <= high or ratio.p is None:
        beyond = f"{100 * tolerance:.0f} %"
        return f"too noisy to say: the interval holds both no change and a change beyond {beyond}."
    among = f" among {ratio.family} comparisons" if ratio.family > 1 else ""
    return f"too noisy to say: chance alone shows as much{among} too often; {_what_would_tell(ratio)}."


def _what_would_tell(ratio: Ratio) -> str:
    launches, rounds = launches_wanted(ratio), rounds_wanted(ratio)
    if launches and launches > ratio.launches:
        differ = "two processes of one program may differ so much"
        return f"{differ}, and {launches} launches of each would tell (--launches {launches})"
    return f"about {rounds} rounds would tell" if rounds else "measure on a quieter machine"


def typical_request_note(ratio: Ratio) -> str | None:
    """Return a sentence on a verdict that the ratio's own interval would not give, or None."""
    if ratio.typical is None or judge(ratio).verdict == judge(replace(ratio, typical=None)).verdict:
        return None
    value, low, high = ratio.typical
    ends = f"{value:.3g}x [{low:.3g}, {high:.3g}]"
    return f"{judge(ratio).verdict}, as the same requests side by side tell: {ends} for the typical request."
