"""How estimates, ratios and what is absent become cells, the same in every table."""

from collections.abc import Sequence

from harness.compare import TOLERANCE, Ratio, judge
from harness.estimate import Estimate
from reports.cells import Cell, Notes
from reports.figures import Absent
from reports.numbers import Unit, unit_for, with_interval

_FAR_BELOW = 1000.0
_TOO_NOISY = (
    f"too noisy to say: the interval holds both no change and a change beyond {100 * TOLERANCE:.0f} %."
)


def absent_cell(found: Absent, notes: Notes, *, failed: bool = False) -> Cell:
    """Show `n/a`, or `failed` where the whole cell failed, with the reason as a note."""
    because = "" if failed else "because "
    return Cell("failed" if failed else "n/a", note=notes.number(f"{because}{found.reason.rstrip('. ')}."))


def estimate_cell(found: Estimate, unit: Unit, units: Sequence[Unit]) -> Cell:
    """Show an estimate in the column's unit, or with a smaller one beside it if that has too many zeros."""
    own = unit if found.value * _FAR_BELOW >= unit.size else unit_for([found.value], units)
    value, interval = with_interval(found.value / own.size, found.low / own.size, found.high / own.size)
    return Cell(value if own == unit else f"{value} {own.name}", interval)


def share_cell(found: Estimate) -> Cell:
    """Show a share in 0..1 in percent."""
    value, interval = with_interval(100 * found.value, 100 * found.low, 100 * found.high)
    return Cell(f"{value} %", interval)


def ratio_cell(found: Ratio, notes: Notes) -> Cell:
    """Show a ratio; one whose interval allows both answers says so in a note."""
    value, interval = with_interval(found.value, found.low, found.high)
    note = notes.number(_TOO_NOISY) if judge(found).verdict == "too noisy" else None
    return Cell(f"{value}x", interval, note)
