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
    MissingChange,
    Quantity,
    QuantityChange,
    Verdict,
    change_verdict,
    in_family,
    quantity_named,
)
from harness.analysis.comparison.differences import Difference, differences, refused
from harness.analysis.comparison.matching import CellKey, MatchedCells, key_of, match_cells
from harness.analysis.comparison.quantities import SampleAccess, contrast, contrasts
from harness.analysis.comparison.runs import CellComparison, RunComparison, compare_runs

__all__ = [
    "QUANTITIES",
    "CellComparison",
    "CellKey",
    "Difference",
    "MatchedCells",
    "MissingChange",
    "Quantity",
    "QuantityChange",
    "RunComparison",
    "SampleAccess",
    "Verdict",
    "change_verdict",
    "compare_runs",
    "contrast",
    "contrasts",
    "differences",
    "in_family",
    "key_of",
    "match_cells",
    "quantity_named",
    "refused",
]
