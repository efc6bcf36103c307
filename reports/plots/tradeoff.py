"""What speed or energy costs in quality: a point for each system, and the front nothing beats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.plots.drawing import INK, Plot, heading, label, plain_axes, plain_numbers, short, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Interval = tuple[float, float, float]
"""Value, low, high."""


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One system: its quality in percent, and what a request costs in the axis's unit."""

    name: str
    cost: Interval
    quality: Interval
    record: str = ""


def front(points: Sequence[TradeoffPoint]) -> list[TradeoffPoint]:
    """Return the points that no other one beats at both, by rising cost; of equals all."""
    return sorted(
        (one for one in points if not any(_beats(other, one) for other in points)),
        key=lambda one: (one.cost[0], one.quality[0]),
    )


def tradeoff(
    name: str, title: str, points: Sequence[TradeoffPoint], *, cost: str, quality: str, note: str = ""
) -> Plot:
    """Return the plot; `cost` and `quality` are the axes with their units, `note` what else is to be said."""
    best = front(points)
    about = (
        f"{quality} against {cost}, with 95 % intervals; the line joins the systems that no other beats "
        f"at both. Up and to the left is better. {note}"
    )
    return Plot(
        name=name,
        title=title,
        about=about.strip(),
        columns=("system", cost, "low", "high", quality, "low", "high", "on the front"),
        rows=tuple((one.name, *one.cost, *one.quality, "yes" if one in best else "no") for one in points),
        draw=_drawn(title, points, best, cost, quality),
        records=tuple(dict.fromkeys(one.record for one in points if one.record)),
    )


def _beats(one: TradeoffPoint, other: TradeoffPoint) -> bool:
    cheaper, better = one.cost[0] <= other.cost[0], one.quality[0] >= other.quality[0]
    return cheaper and better and (one.cost[0] < other.cost[0] or one.quality[0] > other.quality[0])


def _drawn(
    title: str, points: Sequence[TradeoffPoint], best: Sequence[TradeoffPoint], cost: str, quality: str
) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        if len(best) > 1:
            _line(axes, best)
        how = styles([one.name for one in points])
        for one in points:
            _point(axes, one, how[one.name])
        axes.set_xscale("log")
        plain_numbers(axes, "x")
        plain_axes(axes)
        axes.set_xlabel(label(cost))
        axes.set_ylabel(label(quality))
        heading(figure, title)
        figure.legend(loc="outside right center", fontsize=8.0)

    return draw


def _line(axes: "Axes", best: Sequence[TradeoffPoint]) -> None:
    axes.step(
        [one.cost[0] for one in best],
        [one.quality[0] for one in best],
        where="post",
        color=INK,
        linestyle="--",
        linewidth=0.9,
        label="nothing beats these",
    )


def _point(axes: "Axes", one: TradeoffPoint, how: dict[str, str]) -> None:
    axes.errorbar(
        one.cost[0],
        one.quality[0],
        xerr=_ends(one.cost),
        yerr=_ends(one.quality),
        color=how["color"],
        marker=how["marker"],
        markersize=7,
        linestyle="none",
        elinewidth=1.0,
        capsize=2.5,
        label=short(one.name),
    )


def _ends(found: Interval) -> list[list[float]]:
    value, low, high = found
    return [[max(value - low, 0.0)], [max(high - value, 0.0)]]
