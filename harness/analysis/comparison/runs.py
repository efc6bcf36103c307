"""Two runs, or two records, set side by side: every cell both have, and what else is not the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.comparison.base import Contrast, Missing, in_family
from harness.analysis.comparison.differences import Difference, differences
from harness.analysis.comparison.matching import CellKey, key_of, match
from harness.analysis.comparison.quantities import Raw, contrasts
from harness.analysis.statistics.pairing import Refused
from harness.records.record import Record


@dataclass(frozen=True, slots=True)
class Compared:
    """One cell of both runs: what changed, quantity by quantity, or why nothing can be said."""

    before: Record
    after: Record
    changes: tuple[Contrast | Missing, ...] | Refused
    differences: tuple[Difference, ...]

    @property
    def cell(self) -> CellKey:
        """What was measured, as the later record has it."""
        return key_of(self.after)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All cells of both; `shared` are the differences of every cell, `only_*` cells that one side lacks."""

    cells: tuple[Compared, ...]
    shared: tuple[Difference, ...]
    only_before: tuple[CellKey, ...]
    only_after: tuple[CellKey, ...]


def compare_runs(before: Sequence[Record], after: Sequence[Record], raw: Raw | None = None) -> Comparison:
    """Return what changed from the first to the second; p-values are corrected over all cells together."""
    matched = match(before, after)
    found = [(one, other, contrasts(one, other, raw=raw)) for one, other in matched.pairs]
    made = [change for *_, changes in found if not isinstance(changes, Refused) for change in changes]
    corrected = iter(in_family([change for change in made if isinstance(change, Contrast)]))
    cells = tuple(
        Compared(
            one,
            other,
            changes
            if isinstance(changes, Refused)
            else tuple(next(corrected) if isinstance(each, Contrast) else each for each in changes),
            differences(one, other),
        )
        for one, other, changes in found
    )
    return Comparison(
        cells,
        _shared(cells),
        tuple(map(key_of, matched.only_before)),
        tuple(map(key_of, matched.only_after)),
    )


def _shared(cells: Sequence[Compared]) -> tuple[Difference, ...]:
    if not cells:
        return ()
    return tuple(each for each in cells[0].differences if all(each in cell.differences for cell in cells))
