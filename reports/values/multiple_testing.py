"""The verdicts of a report as one family: p-values corrected for one another before anything is shown.

A family is what one reader takes in at once: all plain tables of a report, or one ladder.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.analysis.statistics.multiple_testing import holm_corrected
from harness.analysis.statistics.ratios import FAMILY_LEVEL, Ratio
from reports.values.figures import Absent, Figures


def corrected(ratios: Iterable[Ratio]) -> dict[Ratio, Ratio]:
    """Return each distinct ratio with the same one as a member of the family that all of them make."""
    distinct = list(dict.fromkeys(ratios))
    return dict(zip(distinct, holm_corrected(distinct), strict=True))


def in_one_family(groups: Sequence[Sequence[Figures]]) -> list[list[Figures]]:
    """Return the figures with their ratios corrected as one family; a variant over itself is no member."""
    known = corrected(ratio for group in groups for item in group for ratio in _verdicts_of(item))
    return [[_with(item, known) for item in group] for group in groups]


def remark(ratios: Iterable[Ratio | Absent]) -> list[str]:
    """Say how large the family of these ratios is and at what it is held; nothing of a single one."""
    size = max((each.family for each in ratios if isinstance(each, Ratio)), default=1)
    if size == 1:
        return []
    level = f"{100 * FAMILY_LEVEL:.0f} %"
    return [f"The {size} comparisons here are judged as one family: {level} false alarms in all (Holm)."]


def ratios_of(item: Figures) -> list[Ratio | Absent]:
    """Return all ratios of a record."""
    return [*item.speedup.values(), *item.energy_reduction.values(), *item.whole_reduction.values()]


def _verdicts_of(item: Figures) -> list[Ratio]:
    own = item.record.cell.variant
    found = [*item.speedup.items(), *item.energy_reduction.items(), *item.whole_reduction.items()]
    return [ratio for over, ratio in found if isinstance(ratio, Ratio) and over != own]


def _with(item: Figures, known: Mapping[Ratio, Ratio]) -> Figures:
    def each(ratios: Mapping[str, Ratio | Absent]) -> dict[str, Ratio | Absent]:
        return {
            name: known.get(found, found) if isinstance(found, Ratio) else found
            for name, found in ratios.items()
        }

    return replace(
        item,
        speedup=each(item.speedup),
        energy_reduction=each(item.energy_reduction),
        whole_reduction=each(item.whole_reduction),
    )
