"""Comparison of two records of one cell: what changed from the first to the second, and whether it is real.

    before, after --quantity_changes--> QuantityChange | MissingChange --change_verdict--> better, worse, ...
                  --differences--> other differences: environment, software, model, settings

`harness.analysis.statistics.ratios` compares only systems that ran interleaved. Here the two records may come
from two runs, on two days, of two versions of a program. The change is paired if they were interleaved;
otherwise its interval is wider, and its note says so.
"""

from harness.analysis.comparison.base import (
    QUANTITIES,
    MissingChange,
    Quantity,
    QuantityChange,
    Verdict,
    change_verdict,
    in_family,
)
from harness.analysis.comparison.differences import (
    Difference,
    differences,
    refused,
    unlike_machines,
)
from harness.analysis.comparison.matching import CellKey, MatchedCells, key_of, match_cells
from harness.analysis.comparison.quantities import SampleAccess, quantity_change, quantity_changes
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
    "differences",
    "in_family",
    "key_of",
    "match_cells",
    "quantity_change",
    "quantity_changes",
    "refused",
    "unlike_machines",
]
