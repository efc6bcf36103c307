"""The cost of adaptive variants: the layers, stages or tokens after which they answered."""

from collections.abc import Sequence

from harness.records.record import AdaptiveCost, Record
from reports.layout.number_format import shown
from reports.layout.table_model import FactLine
from reports.values.figures import Figures

_AMOUNTS = ("tokens", "operations")
"""Costs that vary with the length of a request: only their mean is shown, not the share of each value."""


def adaptive_cost_lines(group: Sequence[Figures]) -> list[FactLine]:
    """Return a line for each adaptive variant of a group."""
    return [
        FactLine(
            f"{name} spent" if name.endswith("s") else f"{name} reached", _line(figures.record, name, cost)
        )
        for figures in group
        for name, cost in figures.record.spent.items()
    ]


def _line(record: Record, name: str, cost: AdaptiveCost) -> str:
    """Return the share of requests at each value, the mean value, and the quality at each value."""
    if name in _AMOUNTS:
        return f"{record.cell.variant} mean {shown(cost.mean)}"
    total = sum(cost.histogram.values())
    shares = ", ".join(f"{value}: {100 * count / total:.0f} %" for value, count in cost.histogram.items())
    parts = [shares] if shares else []
    parts.append(f"mean {cost.mean:.3g}")
    if cost.quality and record.quality:
        scores = (cost.quality.get(value) for value in cost.histogram)
        percents = " / ".join("n/a" if score is None else f"{100 * score:.0f} %" for score in scores)
        parts.append(f"{record.quality.primary} {percents}")
    return f"{record.cell.variant} {'; '.join(parts)}"
