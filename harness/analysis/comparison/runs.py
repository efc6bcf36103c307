"""Comparison of two runs, or of two records: every cell that both have, and all other differences."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.comparison.base import MissingChange, QuantityChange, in_family
from harness.analysis.comparison.differences import Difference, differences
from harness.analysis.comparison.matching import CellKey, key_of, match_cells, unlike_settings
from harness.analysis.comparison.quantities import SampleAccess, quantity_changes
from harness.analysis.statistics.pairing import NotComparable
from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class CellComparison:
    """One cell of both runs: how each quantity changed, or why the records cannot be compared."""

    before: Record
    after: Record
    changes: tuple[QuantityChange | MissingChange, ...] | NotComparable
    differences: tuple[Difference, ...]

    @property
    def cell(self) -> CellKey:
        """The key of the cell, from the later record."""
        return key_of(self.after)


@dataclass(frozen=True, slots=True)
class RunComparison:
    """All cells; `shared` are the differences that every cell has, `only_*` the cells of one run alone."""

    cells: tuple[CellComparison, ...]
    shared: tuple[Difference, ...]
    only_before: tuple[CellKey, ...]
    only_after: tuple[CellKey, ...]

    @property
    def unlike_settings(self) -> tuple[Difference, ...]:
        """The settings because of which no cell of one run is one of the other; none if some cell is."""
        return () if self.cells else unlike_settings(self.only_before, self.only_after)


def compare_runs(
    before: Sequence[Record], after: Sequence[Record], raw: SampleAccess | None = None
) -> RunComparison:
    """Return the changes from the first to the second; p-values are corrected over all cells together."""
    matched = match_cells(before, after)
    changes_of = [quantity_changes(*pair, raw=raw) for pair in matched.pairs]
    in_order = [
        change for changes in changes_of if not isinstance(changes, NotComparable) for change in changes
    ]
    corrected = iter(in_family([change for change in in_order if isinstance(change, QuantityChange)]))
    cells = tuple(
        CellComparison(
            *pair,
            changes
            if isinstance(changes, NotComparable)
            else tuple(
                next(corrected) if isinstance(change, QuantityChange) else change for change in changes
            ),
            differences(*pair),
        )
        for pair, changes in zip(matched.pairs, changes_of, strict=True)
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
    return tuple(
        difference
        for difference in cells[0].differences
        if all(difference in cell.differences for cell in cells)
    )
