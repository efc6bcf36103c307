"""Corrects the verdicts of rows as one family, as `reports.values.multiple_testing` does for ratios.

The verdicts stand in the footnotes. Rows of the index are corrected for their run alone. A report on many
runs has a larger family, so each verdict is given again, from the p-value of its ratio.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import get_args

from harness.analysis.statistics.estimates import CONFIDENCE
from harness.analysis.statistics.multiple_testing import holm_corrected
from harness.analysis.statistics.ratios import Quantity, Ratio, Verdict, judge
from reports.exports.tidy.tidy_csv import RowsOf, TidyQuantity

_NOTE = re.compile(rf"(.*?)({'|'.join(get_args(Verdict))})(; \S+ % interval, .*)", re.DOTALL)
"""What `ratio_note` returns: a remark on the model of joules, the verdict, the method of the interval."""


def in_one_family(rows: Sequence[RowsOf]) -> list[RowsOf]:
    """Return the rows with verdicts of one family, which the ratios with a p-value form."""
    ratios = [_ratio(quantity) for own in rows for quantity in own.quantities if quantity.p is not None]
    distinct = list(dict.fromkeys(ratios))
    verdicts = {
        ratio: judge(corrected).verdict
        for ratio, corrected in zip(distinct, holm_corrected(distinct), strict=True)
    }
    each = iter(ratios)
    return [
        own._replace(
            quantities=[
                quantity
                if quantity.p is None
                else quantity._replace(footnote=_with_verdict(quantity.footnote, verdicts[next(each)]))
                for quantity in own.quantities
            ]
        )
        for own in rows
    ]


def _ratio(quantity: TidyQuantity) -> Ratio:
    """Return the ratio of a row; its method and number of pairs are in the end of its footnote."""
    value, low, high = (float(number or 0) for number in (quantity.value, quantity.low, quantity.high))
    kind: Quantity = "speed-up" if quantity.name == "speed_up" else "energy reduction"
    method = _parts(quantity.footnote)[1]
    return Ratio(value, low, high, CONFIDENCE, method, 0, quantity.over, kind, quantity.p)


@lru_cache(maxsize=4096)
def _with_verdict(footnote: str, verdict: Verdict) -> str:
    start, end = _parts(footnote)
    return f"{start}{verdict}{end}"


@lru_cache(maxsize=4096)
def _parts(footnote: str) -> tuple[str, str]:
    """Return what stands before and after the verdict."""
    parts = _NOTE.fullmatch(footnote)
    if parts is None:
        raise ValueError(f"a ratio without a verdict: {footnote}")
    return parts[1], parts[3]
