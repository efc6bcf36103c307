"""The verdicts of one report are a family, corrected as a whole: a long report raises no more false alarms.

    ratios --in_family--> ratios with corrected p --judge--> Judgement

Holm's method (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979): the smallest of m
p-values is multiplied by m, the next by m - 1, and so on, none below the one before. A difference is told
where the corrected p-value is at most 1 %; the probability of any false one in the family is then at most
1 %, however the ratios depend on one another.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.compare import FAMILY_LEVEL, TOLERANCE, Judgement, Ratio, judge

MOST_ROUNDS = 1000
"""What nobody should be told to measure."""


def verdicts(
    ratios: Sequence[Ratio], *, family_level: float = FAMILY_LEVEL, tolerance: float = TOLERANCE
) -> list[Judgement]:
    """Return a judgement for each ratio, all of them one family held at `family_level`, in their order."""
    return [judge(each, tolerance=tolerance, level=family_level) for each in in_family(ratios)]


def in_family(ratios: Iterable[Ratio]) -> list[Ratio]:
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


def why_too_noisy(ratio: Ratio, *, tolerance: float = TOLERANCE) -> str:
    """Return a sentence on a ratio that is too noisy to judge: what is in the way."""
    _, low, high = ratio.told
    if low <= 1 <= high or ratio.p is None:
        beyond = f"{100 * tolerance:.0f} %"
        return f"too noisy to say: the interval holds both no change and a change beyond {beyond}."
    needed = rounds_wanted(ratio)
    more = f"about {needed} rounds would tell" if needed else "measure on a quieter machine"
    among = f" among {ratio.family} comparisons" if ratio.family > 1 else ""
    return f"too noisy to say: chance alone shows as much{among} too often; {more}."


def by_requests(ratio: Ratio) -> str | None:
    """Return a sentence on a verdict that the ratio's own interval would not give, or None."""
    if ratio.typical is None or judge(ratio).verdict == judge(replace(ratio, typical=None)).verdict:
        return None
    value, low, high = ratio.typical
    ends = f"{value:.3g}x [{low:.3g}, {high:.3g}]"
    return f"{judge(ratio).verdict}, as the same requests side by side tell: {ends} for the typical request."
