"""The plot of quality against time or energy: a point for each system, and the Pareto front."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.layout.number_format import with_interval
from reports.plots.drawing import (
    INK,
    Interval,
    Plot,
    error_bars,
    finish,
    plain_numbers,
    short,
    styles,
    tip_id,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One system: its quality in percent, and the cost of a request in the axis's unit."""

    name: str
    cost: Interval
    quality: Interval
    record: str = ""


def pareto_front(points: Sequence[TradeoffPoint]) -> list[TradeoffPoint]:
    """Return the points that no other point dominates, by rising cost; equal points are all kept."""
    return sorted(
        (point for point in points if not any(_dominates(other, point) for other in points)),
        key=lambda point: (point.cost[0], point.quality[0]),
    )


def tradeoff(
    name: str, title: str, points: Sequence[TradeoffPoint], *, cost: str, quality: str, note: str = ""
) -> Plot:
    """Return the plot; `cost` and `quality` are the labels of the axes with their units."""
    front = pareto_front(points)
    about = (
        f"{quality} against {cost}, with 95 % intervals. The line joins the systems that no other "
        f"beats in both. Up and to the left is better. {note}"
    )
    return Plot(
        name=name,
        title=title,
        about=about.strip(),
        columns=("system", cost, "low", "high", quality, "low", "high", "on the front"),
        rows=tuple(
            (point.name, *point.cost, *point.quality, "yes" if point in front else "no") for point in points
        ),
        draw=_draw(title, points, front, (cost, quality)),
        records=tuple(dict.fromkeys(point.record for point in points if point.record)),
        tips=tuple(_tip(point, cost, quality) for point in points),
    )


def _tip(point: TradeoffPoint, cost: str, quality: str) -> str:
    costs, scores = with_interval(*point.cost), with_interval(*point.quality)
    return f"{point.name}: {cost} {' '.join(costs)}; {quality} {' '.join(scores)}"


def _dominates(point: TradeoffPoint, other: TradeoffPoint) -> bool:
    cheaper, better = point.cost[0] < other.cost[0], point.quality[0] > other.quality[0]
    no_worse = point.cost[0] <= other.cost[0] and point.quality[0] >= other.quality[0]
    return no_worse and (cheaper or better)


def _draw(
    title: str, points: Sequence[TradeoffPoint], front: Sequence[TradeoffPoint], labels: tuple[str, str]
) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        if len(front) > 1:
            _front_line(axes, front)
        style_of = styles([point.name for point in points])
        for index, point in enumerate(points):
            bars = axes.errorbar(
                point.cost[0],
                point.quality[0],
                xerr=error_bars([point.cost]),
                yerr=error_bars([point.quality]),
                markersize=7,
                linestyle="none",
                elinewidth=1.0,
                capsize=2.5,
                label=short(point.name),
                **style_of[point.name],
            )
            bars.lines[0].set_gid(tip_id(index))
        axes.set_xscale("log")
        plain_numbers(axes, "x")
        finish(figure, axes, title, labels)

    return draw


def _front_line(axes: "Axes", front: Sequence[TradeoffPoint]) -> None:
    axes.step(
        [point.cost[0] for point in front],
        [point.quality[0] for point in front],
        where="post",
        color=INK,
        linestyle="--",
        linewidth=0.9,
        label="Pareto front",
    )
