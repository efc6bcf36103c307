"""The plot of a figure over commits: a point for each commit, and the levels between change points."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from reports.plots.drawing import COLORS, INK, Plot, error_bars, heading, label, plain_axes, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LABELS = 12


@dataclass(frozen=True, slots=True)
class TrackedPoint:
    """A figure with its interval at one commit."""

    label: str
    value: float
    low: float
    high: float
    record: str = ""


def history_plot(
    name: str, title: str, points: Sequence[TrackedPoint], changes: Sequence[int], *, unit: str
) -> Plot:
    """Return the plot; `changes` holds the index of the first point of each new level, in order."""
    levels = _levels(len(points), changes)
    level_of = {index: number for number, level in enumerate(levels, 1) for index in level}
    return Plot(
        name=name,
        title=title,
        about=(
            f"{unit} over commits, oldest first, with 95 % intervals. Vertical lines are change points, "
            "horizontal lines the means between them."
        ),
        columns=("commit", unit, "low", "high", "level"),
        rows=tuple(
            (point.label, point.value, point.low, point.high, level_of[index])
            for index, point in enumerate(points)
        ),
        draw=_draw(title, points, levels, unit),
        size=(6.6, 3.2),
        records=tuple(dict.fromkeys(point.record for point in points if point.record)),
    )


def _levels(count: int, changes: Sequence[int]) -> list[range]:
    edges = [0, *sorted(change for change in set(changes) if 0 < change < count), count]
    return [range(first, last) for first, last in pairwise(edges)]


def _draw(
    title: str, points: Sequence[TrackedPoint], levels: Sequence[range], unit: str
) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        values = [point.value for point in points]
        axes.errorbar(
            range(len(points)),
            values,
            yerr=error_bars([(point.value, point.low, point.high) for point in points]),
            color=COLORS[0],
            marker="o",
            markersize=4,
            linestyle="none",
            elinewidth=0.9,
        )
        for level in levels:
            if len(level):
                mean = sum(values[index] for index in level) / len(level)
                axes.hlines(mean, level[0] - 0.4, level[-1] + 0.4, color=COLORS[1], linewidth=1.6)
        for level in levels[1:]:
            axes.axvline(level[0] - 0.5, color=INK, linestyle="--", linewidth=0.9)
        labelled = range(0, len(points), max(-(-len(points) // _MOST_LABELS), 1))
        labels = [short(points[index].label, 12) for index in labelled]
        axes.set_xticks(list(labelled), labels, rotation=45, ha="right")
        plain_axes(axes)
        axes.set_ylabel(label(unit))
        heading(figure, title)

    return draw
