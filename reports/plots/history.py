"""How a figure moved over commits: a point for each, and where its level changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from reports.plots.drawing import COLORS, INK, Plot, heading, label, plain_axes, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS = 12


@dataclass(frozen=True, slots=True)
class TrackedPoint:
    """A figure with its interval at one commit."""

    label: str
    value: float
    low: float
    high: float
    record: str = ""


def history(
    name: str, title: str, points: Sequence[TrackedPoint], changes: Sequence[int], *, unit: str
) -> Plot:
    """Return the plot; `changes` holds the index of the first point of each new level, in order."""
    levels = _levels(len(points), changes)
    level_of = {at: number for number, part in enumerate(levels, 1) for at in part}
    return Plot(
        name=name,
        title=title,
        about=(
            f"{unit} over commits, oldest first, with 95 % intervals; vertical lines are change points, and "
            "the horizontal ones the mean between them."
        ),
        columns=("commit", unit, "low", "high", "level"),
        rows=tuple((one.label, one.value, one.low, one.high, level_of[at]) for at, one in enumerate(points)),
        draw=_drawn(title, points, changes, unit),
        size=(6.6, 3.2),
        records=tuple(dict.fromkeys(one.record for one in points if one.record)),
    )


def _levels(count: int, changes: Sequence[int]) -> list[range]:
    edges = [0, *sorted(each for each in set(changes) if 0 < each < count), count]
    return [range(first, last) for first, last in pairwise(edges)]


def _drawn(
    title: str, points: Sequence[TrackedPoint], changes: Sequence[int], unit: str
) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        values = [one.value for one in points]
        below = [max(one.value - one.low, 0) for one in points]
        above = [max(one.high - one.value, 0) for one in points]
        axes.errorbar(
            range(len(points)),
            values,
            yerr=[below, above],
            color=COLORS[0],
            marker="o",
            markersize=4,
            linestyle="none",
            elinewidth=0.9,
        )
        levels = _levels(len(points), changes)
        for part in levels:
            if len(part):
                mean = sum(values[at] for at in part) / len(part)
                axes.hlines(mean, part[0] - 0.4, part[-1] + 0.4, color=COLORS[1], linewidth=1.6)
        for part in levels[1:]:
            axes.axvline(part[0] - 0.5, color=INK, linestyle="--", linewidth=0.9)
        every = max(-(-len(points) // _LABELS), 1)
        shown = range(0, len(points), every)
        axes.set_xticks(list(shown), [short(points[at].label, 12) for at in shown], rotation=45, ha="right")
        plain_axes(axes)
        axes.set_ylabel(label(unit))
        heading(figure, title)

    return draw
