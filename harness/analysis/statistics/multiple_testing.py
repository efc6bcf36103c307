"""Holm's correction: all verdicts of a report are one family, so that a long report has no more false alarms.

    ratios --holm_corrected--> ratios with corrected p --judge--> Judgement

Holm's method (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979): the smallest of m
p-values is multiplied by m, the next by m - 1, and so on, and none may be below the one before. A difference
is reported where the corrected p-value is at most 1 %; the probability of any false difference in the family
is then at most 1 %, whatever the dependence between the ratios.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.analysis.statistics.ratios import FAMILY_LEVEL, TOLERANCE, Judgement, Ratio, judge
from harness.analysis.statistics.significance import LAUNCH_FREEDOM, LAUNCH_SPREAD, p_value_of_mean

MOST_ROUNDS = 1000
"""The largest number of rounds that a note suggests."""

MOST_LAUNCHES = 10
"""The largest number of launches that a note suggests."""


def verdicts(
    ratios: Sequence[Ratio], *, family_level: float = FAMILY_LEVEL, tolerance: float = TOLERANCE
) -> list[Judgement]:
    """Return a judgement for each ratio, in their order, as one family tested at `family_level`."""
    return [judge(ratio, tolerance=tolerance, level=family_level) for ratio in holm_corrected(ratios)]


def holm_corrected(ratios: Iterable[Ratio]) -> list[Ratio]:
    """Return the ratios with p-values corrected for one another, in their order.

    Apply it once, to all ratios of a report: ratios that belong to a family already would be corrected twice.
    """
    uncorrected = list(ratios)
    p_values = [ratio.p for ratio in uncorrected if ratio.p is not None]
    corrected = iter(holm(p_values))
    return [
        ratio if ratio.p is None else replace(ratio, p=next(corrected), family=len(p_values))
        for ratio in uncorrected
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method, in their order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def required_rounds(ratio: Ratio, *, level: float = FAMILY_LEVEL) -> int | None:
    """Return about how many rounds of this noise would make the ratio a difference; None above `MOST_ROUNDS`.

    Student's t grows with the square root of the number of rounds. The correction is for the full size of the
    family, which is an upper bound.
    """
    from scipy.special import stdtr, stdtrit

    if ratio.p is None or not 0 < ratio.p < 1:
        return None
    size, rounds = max(ratio.family, 1), ratio.count
    reached = -float(stdtrit(max(rounds - 1, 1), ratio.p / size / 2))

    def is_enough(more: int) -> bool:
        return bool(2 * size * float(stdtr(more - 1, -reached * (more / rounds) ** 0.5)) <= level)

    required = bisect_left(range(MOST_ROUNDS + 1), True, lo=min(rounds + 1, MOST_ROUNDS + 1), key=is_enough)
    return required if required <= MOST_ROUNDS else None


def required_launches(ratio: Ratio, *, level: float = FAMILY_LEVEL) -> int | None:
    """Return the fewest launches whose variance does not explain the ratio; None above `MOST_LAUNCHES`.

    With fewer launches no number of rounds is enough: the difference between two processes is in all of them.
    """
    log_ratio = abs(math.log(ratio.judged[0]))

    def is_enough(launches: int) -> bool:
        between = (LAUNCH_SPREAD**2 / launches, LAUNCH_FREEDOM)
        return max(ratio.family, 1) * p_value_of_mean(log_ratio, between) <= level

    return next((launches for launches in range(1, MOST_LAUNCHES + 1) if is_enough(launches)), None)


def why_too_noisy(ratio: Ratio, *, tolerance: float = TOLERANCE) -> str:
    """Return a sentence on why a ratio is too noisy to judge, and what would help."""
    _, low, high = ratio.judged
    if low <= 1 <= high or ratio.p is None:
        limit = f"{100 * tolerance:.0f} %"
        return f"too noisy to say: the interval includes both no change and a change of more than {limit}."
    among = f" among {ratio.family} comparisons" if ratio.family > 1 else ""
    help_text = _what_would_help(ratio)
    return f"too noisy to say: chance alone often gives a difference this large{among}; {help_text}."


def _what_would_help(ratio: Ratio) -> str:
    launches, rounds = required_launches(ratio), required_rounds(ratio)
    if launches and launches > ratio.launches:
        differ = "two processes of one program may differ by as much"
        return f"{differ}, so measure {launches} launches of each (--launches {launches})"
    return f"about {rounds} rounds would be enough" if rounds else "measure on a quieter machine"


def typical_request_note(ratio: Ratio) -> str | None:
    """Return a sentence on a verdict that the interval of the ratio alone would not give, or None."""
    if ratio.typical is None or judge(ratio).verdict == judge(replace(ratio, typical=None)).verdict:
        return None
    value, low, high = ratio.typical
    interval = f"{value:.3g}x [{low:.3g}, {high:.3g}]"
    return f"{judge(ratio).verdict}, by the ratio of the typical request, paired by request: {interval}."
