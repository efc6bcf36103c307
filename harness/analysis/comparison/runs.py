"""Two runs, or two records, set side by side: every cell both have, and what else is not the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.comparison.base import MissingChange, QuantityChange, in_family
from harness.analysis.comparison.differences import Difference, differences
from harness.analysis.comparison.matching import CellKey, key_of, match_cells
from harness.analysis.comparison.quantities import SampleAccess, contrasts
from harness.analysis.statistics.pairing import NotComparable
from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class CellComparison:
    """One cell of both runs: what changed, quantity by quantity, or why nothing can be said."""

    before: Record
    after: Record
    changes: tuple[QuantityChange | MissingChange, ...] | NotComparable
    differences: tuple[Difference, ...]

    @property
    def cell(self) -> CellKey:
        """What was measured, as the later record has it."""
        return key_of(self.after)


@dataclass(frozen=True, slots=True)
class RunComparison:
    """All cells of both; `shared` are the differences of every cell, `only_*` cells that one side lacks."""

    cells: tuple[CellComparison, ...]
    shared: tuple[Difference, ...]
    only_before: tuple[CellKey, ...]
    only_after: tuple[CellKey, ...]


def compare_runs(
    before: Sequence[Record], after: Sequence[Record], raw: SampleAccess | None = None
) -> RunComparison:
    """Return what changed from the first to the second; p-values are corrected over all cells together."""
    matched = match_cells(before, after)
    found = [(one, other, contrasts(one, other, raw=raw)) for one, other in matched.pairs]
    made = [change for *_, changes in found if not isinstance(changes, NotComparable) for change in changes]
    corrected = iter(in_family([change for change in made if isinstance(change, QuantityChange)]))
    cells = tuple(
        CellComparison(
            one,
            other,
            changes
            if isinstance(changes, NotComparable)
            else tuple(next(corrected) if isinstance(each, QuantityChange) else each for each in changes),
            differences(one, other),
        )
        for one, other, changes in found
    )
    return RunComparison(
        cells,
        _shared(cells),
        tuple(map(key_of, matched.only_before)),
        tuple(map(key_of, matched.only_after)),
    )


def _shared(cells: Sequence[CellComparison]) -> tuple[Difference, ...]:
    if not cells:
        return ()
    return tuple(each for each in cells[0].differences if all(each in cell.differences for cell in cells))
