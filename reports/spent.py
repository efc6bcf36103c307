"""What adaptive variants spent: after how many layers, or at which stage, requests were answered."""

from collections.abc import Sequence

from harness.record import Record, Spent
from reports.figures import Figures


def spent_lines(group: Sequence[Figures]) -> tuple[tuple[str, str], ...]:
    """Return a line for each adaptive variant of a group, with its label."""
    return tuple(
        (f"{name} spent" if name.endswith("s") else f"{name} reached", _line(item.record, spent))
        for item in group
        for name, spent in item.record.spent.items()
    )


def _line(record: Record, spent: Spent) -> str:
    """Say the share of requests at each value, their mean, and the quality at each value."""
    total = sum(spent.histogram.values())
    shares = ", ".join(f"{value}: {100 * count / total:.0f} %" for value, count in spent.histogram.items())
    parts = [shares] if shares else []
    parts.append(f"mean {spent.mean:.3g}")
    if spent.quality and record.quality:
        scores = (spent.quality.get(value) for value in spent.histogram)
        shown = " / ".join("n/a" if score is None else f"{100 * score:.0f} %" for score in scores)
        parts.append(f"{record.quality.primary} {shown}")
    return f"{record.cell.variant} {'; '.join(parts)}"
