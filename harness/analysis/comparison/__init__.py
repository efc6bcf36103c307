"""Two records of one cell, set side by side: what changed from the first to the second, and is it real.

    before, after --contrasts--> Contrast | Missing for each quantity --verdict--> better, worse, ...
                  --differences--> what else is not the same: environment, software, model, settings

`harness.analysis.statistics.ratios` makes ratios of systems that ran interleaved, and refuses everything
else. Here the two
records may come from two runs, on two days, of two versions of a program. Where they were interleaved the
change is paired; where they were not it is wider, and says so.
"""

from harness.analysis.comparison.base import (
    QUANTITIES,
    Contrast,
    Missing,
    Quantity,
    Verdict,
    in_family,
    quantity_named,
    verdict,
)
from harness.analysis.comparison.differences import Difference, differences, refused
from harness.analysis.comparison.matching import CellKey, Matched, key_of, match
from harness.analysis.comparison.quantities import Raw, contrast, contrasts
from harness.analysis.comparison.runs import Compared, Comparison, compare_runs

__all__ = [
    "QUANTITIES",
    "CellKey",
    "Compared",
    "Comparison",
    "Contrast",
    "Difference",
    "Matched",
    "Missing",
    "Quantity",
    "Raw",
    "Verdict",
    "compare_runs",
    "contrast",
    "contrasts",
    "differences",
    "in_family",
    "key_of",
    "match",
    "quantity_named",
    "refused",
    "verdict",
]
