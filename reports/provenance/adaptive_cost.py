"""What adaptive variants spent: after how many layers, at which stage, with how many tokens they answered."""

from collections.abc import Sequence

from harness.records.record import AdaptiveCost, Record
from reports.layout.number_format import shown
from reports.values.figures import Figures

_AMOUNTS = ("tokens", "operations")
"""What differs from request to request by its length: a mean says more than a share of each value."""


def spent_lines(group: Sequence[Figures]) -> tuple[tuple[str, str], ...]:
    """Return a line for each adaptive variant of a group, with its label."""
    return tuple(
        (f"{name} spent" if name.endswith("s") else f"{name} reached", _line(item.record, name, spent))
        for item in group
        for name, spent in item.record.spent.items()
    )


def _line(record: Record, name: str, spent: AdaptiveCost) -> str:
    """Say the share of requests at each value, their mean, and the quality at each; of amounts, the mean."""
    if name in _AMOUNTS:
        return f"{record.cell.variant} mean {shown(spent.mean)}"
    total = sum(spent.histogram.values())
    shares = ", ".join(f"{value}: {100 * count / total:.0f} %" for value, count in spent.histogram.items())
    parts = [shares] if shares else []
    parts.append(f"mean {spent.mean:.3g}")
    if spent.quality and record.quality:
        scores = (spent.quality.get(value) for value in spent.histogram)
        found = " / ".join("n/a" if score is None else f"{100 * score:.0f} %" for score in scores)
        parts.append(f"{record.quality.primary} {found}")
    return f"{record.cell.variant} {'; '.join(parts)}"
