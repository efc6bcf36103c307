"""Corrects the verdicts of a report as one family: no p-value is shown before its correction.

A family is what a reader sees together: all plain tables of a report, or one ladder.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.analysis.statistics.multiple_testing import holm_corrected
from harness.analysis.statistics.ratios import FAMILY_LEVEL, Ratio
from reports.values.figures import Absent, Figures


def corrected(ratios: Iterable[Ratio]) -> dict[Ratio, Ratio]:
    """Return each distinct ratio with its correction as a member of the family of all of them."""
    distinct = list(dict.fromkeys(ratios))
    return dict(zip(distinct, holm_corrected(distinct), strict=True))


def in_one_family(groups: Sequence[Sequence[Figures]]) -> list[list[Figures]]:
    """Return the figures with their ratios corrected as one family; a variant over itself is not a member."""
    corrections = corrected(ratio for group in groups for figures in group for ratio in _judged(figures))
    return [[_with_corrections(figures, corrections) for figures in group] for group in groups]


def family_remark(ratios: Iterable[Ratio | Absent]) -> list[str]:
    """Return the remark on the size of these ratios' family; nothing for a family of one."""
    size = max((ratio.family for ratio in ratios if isinstance(ratio, Ratio)), default=1)
    if size == 1:
        return []
    level = f"{100 * FAMILY_LEVEL:.0f} %"
    remark = f"The {size} comparisons form one family, judged at {level} together"
    return [f"{remark} (Holm; docs/explanation/method.md)."]


def ratios_of(figures: Figures) -> list[Ratio | Absent]:
    """Return all ratios of a record."""
    return [ratio for ratios in _ratio_maps(figures) for ratio in ratios.values()]


def _ratio_maps(figures: Figures) -> tuple[Mapping[str, Ratio | Absent], ...]:
    return figures.speedup, figures.energy_reduction, figures.whole_reduction


def _judged(figures: Figures) -> list[Ratio]:
    variant = figures.record.cell.variant
    return [
        ratio
        for ratios in _ratio_maps(figures)
        for over, ratio in ratios.items()
        if isinstance(ratio, Ratio) and over != variant
    ]


def _with_corrections(figures: Figures, corrections: Mapping[Ratio, Ratio]) -> Figures:
    speedup, energy_reduction, whole_reduction = (
        {
            over: corrections.get(ratio, ratio) if isinstance(ratio, Ratio) else ratio
            for over, ratio in ratios.items()
        }
        for ratios in _ratio_maps(figures)
    )
    return replace(
        figures, speedup=speedup, energy_reduction=energy_reduction, whole_reduction=whole_reduction
    )
