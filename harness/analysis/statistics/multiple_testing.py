"""Holm's correction: all verdicts of a report are one family, so that a long report has no more false alarms.

    ratios --holm_corrected--> ratios with corrected p --judge--> Judgement

Holm's method (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979): the smallest of m
p-values is multiplied by m, the next by m - 1, and so on, and none may be below the one before. A difference
is reported where the corrected p-value is at most 1 %. If the p-values are right, the probability of any
false difference in the family is then at most 1 %, whatever the dependence between the ratios;
docs/explanation/method.md counts how right they are.
"""

from collections.abc import Iterable, Sequence

from harness.analysis.statistics.advice import advise
from harness.analysis.statistics.ratios import FAMILY_LEVEL, TOLERANCE, Judgement, Ratio, judge


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
        ratio if ratio.p is None else ratio.in_family(next(corrected), len(p_values)) for ratio in uncorrected
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method, in their order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def note_on(ratio: Ratio, *, tolerance: float = TOLERANCE, level: float = FAMILY_LEVEL) -> str | None:
    """Return what a reader must know beside a ratio: why there is no verdict, or what it is about."""
    verdict = judge(ratio, tolerance=tolerance, level=level).verdict
    if verdict == "too noisy":
        return why_too_noisy(ratio, tolerance=tolerance, level=level)
    if verdict == "no change" and not ratio.low <= 1 <= ratio.high:
        return f"no change: the interval excludes 1, but the ratio is within {100 * tolerance:.0f} % of it."
    return typical_request_note(ratio)


def why_too_noisy(ratio: Ratio, *, tolerance: float = TOLERANCE, level: float = FAMILY_LEVEL) -> str:
    """Return a sentence on why a ratio is too noisy to judge, and what would help."""
    if ratio.low <= 1 <= ratio.high or ratio.p is None:
        limit = f"{100 * tolerance:.0f} %"
        reason = f"the interval includes both no change and a change of more than {limit}"
    else:
        among = f"among {ratio.family} comparisons" if ratio.family > 1 else "at this level"
        reason = (
            f"the interval excludes 1, but {among} chance gives such a difference too often "
            f"(p = {ratio.p:.2g}, at most {level:g} is needed)"
        )
    return f"too noisy to say: {reason}; {advise(ratio, level=level, tolerance=tolerance)}."


def typical_request_note(ratio: Ratio) -> str | None:
    """Return a sentence on a ratio that is not that of totals, or None."""
    if ratio.totals is None:
        return None
    value, low, high = ratio.totals
    return f"the typical request, paired by request; of totals {value:.3g}x [{low:.3g}, {high:.3g}]."
