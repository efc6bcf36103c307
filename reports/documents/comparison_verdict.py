"""The verdict on a comparison of two runs: which quantities of which cells are surely better or worse.

RunComparison --comparison_verdict--> one sentence
"""

from collections.abc import Sequence

from harness.analysis.comparison import CellComparison, QuantityChange, RunComparison, change_verdict
from harness.analysis.statistics.pairing import NotComparable
from reports.layout.escaping import printable

MOST = 6
"""Changes that the sentence names; the tables have all of them."""


def comparison_verdict(comparison: RunComparison) -> str:
    """Return the sentence, without markup."""
    judged = [(cell, change) for cell in comparison.cells for change in _changes(cell)]
    changed = [(cell, change) for cell, change in judged if change_verdict(change) in ("worse", "better")]
    refused = [cell for cell in comparison.cells if isinstance(cell.changes, NotComparable)]
    sentences = [
        _changed(sorted(changed, key=_weight), len(judged)),
        _unsettled([change for _, change in judged]),
        _refused(refused),
    ]
    return printable(" ".join(sentence for sentence in sentences if sentence))


def _weight(changed: tuple[CellComparison, QuantityChange]) -> tuple[bool, float]:
    """Return a sort key: bytes come last, and the greatest change first."""
    _, change = changed
    return change.quantity.unit == "B", -abs(change.change.value)


def _changes(cell: CellComparison) -> list[QuantityChange]:
    if isinstance(cell.changes, NotComparable):
        return []
    return [change for change in cell.changes if isinstance(change, QuantityChange)]


def _changed(changed: Sequence[tuple[CellComparison, QuantityChange]], judged: int) -> str:
    if not judged:
        return ""
    if not changed:
        return f"Nothing surely changed in {judged} quantities."
    named = "; ".join(_clause(cell, change) for cell, change in changed[:MOST])
    more = f"; and {len(changed) - MOST} more" if len(changed) > MOST else ""
    return f"{len(changed)} of {judged} quantities surely changed: {named}{more}."


def _clause(cell: CellComparison, change: QuantityChange) -> str:
    value, unit = change.change, change.quantity.change_unit
    grade = "modelled " if change.grade == "modelled" else ""
    interval = f" [{value.low:+.1f}, {value.high:+.1f}]" if value.low < value.high else ""
    return (
        f"{cell.cell.variant}: {grade}{change.quantity.heading} {value.value:+.1f} {unit}{interval}, "
        f"{change_verdict(change)}"
    )


def _unsettled(changes: Sequence[QuantityChange]) -> str:
    noisy = sum(change_verdict(change) == "too noisy" for change in changes)
    unlike = sum(change_verdict(change) == "not judged" for change in changes)
    clauses = [
        f"{noisy} {'are' if noisy > 1 else 'is'} too noisy to say" if noisy else "",
        f"{unlike} {'are' if unlike > 1 else 'is'} not judged between unlike machines" if unlike else "",
    ]
    text = "; ".join(clause for clause in clauses if clause)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _refused(cells: Sequence[CellComparison]) -> str:
    if not cells:
        return ""
    reasons = list(dict.fromkeys(str(cell.changes) for cell in cells))
    return f"{len(cells)} cell{'s' if len(cells) > 1 else ''} {'; '.join(reasons)}."
