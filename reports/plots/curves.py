"""The plot of adaptive rungs: quality over seconds per request, a line for each rung."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reports.layout.metric_names import metric_name
from reports.plots.drawing import Plot, finish, plain_numbers, short, styles
from reports.values.adaptive_curves import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_plot(name: str, title: str, curves: Sequence[Curve]) -> Plot:
    """Return the plot of at least one curve; its data are all points of all curves."""
    metric, examples = metric_name(curves[0].metric), curves[0].examples
    about = (
        f"{metric} on {examples} held-out examples of train against milliseconds per request when the rung "
        "was prepared, through the settings that no cheaper one matches in quality. Rings mark the choice. "
        "Up and to the left is better. Joules: seconds times the mean power of the rung as it was measured."
    )
    rows = [
        (curve.rung, point.setting, point.quality * 100, point.seconds * 1e3, point.spent, curve.unit,
         point.joules, "yes" if point.chosen else "no")
        for curve in curves
        for point in (*curve.points, curve.full)
    ]  # fmt: skip
    return Plot(
        name=name,
        title=title,
        about=about,
        columns=("rung", "setting", f"{metric}, %", "ms/request", "spent", "of", "J/request", "chosen"),
        rows=tuple(rows),
        draw=_draw(title, curves, f"{metric}, held out, %"),
        records=tuple(dict.fromkeys(curve.record for curve in curves)),
    )


def _rising(curve: Curve) -> list[tuple[float, float]]:
    """Return (milliseconds, percent) of the full model and of the points that no cheaper point matches."""
    line: list[tuple[float, float]] = []
    for point in sorted(curve.points, key=lambda point: (point.seconds, -point.quality)):
        if not line or 100 * point.quality > line[-1][1]:
            line.append((1e3 * point.seconds, 100 * point.quality))
    return sorted([*line, (1e3 * curve.full.seconds, 100 * curve.full.quality)])


def _draw(title: str, curves: Sequence[Curve], quality: str) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        style_of = styles([curve.rung for curve in curves])
        for curve in curves:
            axes.plot(
                *zip(*_rising(curve), strict=True),
                linewidth=1.2,
                markersize=4,
                label=short(curve.rung),
                **style_of[curve.rung],
            )
            for point in curve.points:
                if point.chosen:
                    axes.plot(
                        1e3 * point.seconds, 100 * point.quality, marker="o", markersize=12, fillstyle="none",
                        linestyle="none", color=style_of[curve.rung]["color"],
                    )  # fmt: skip
        axes.set_xscale("log")
        plain_numbers(axes, "x")
        finish(figure, axes, title, ("ms/request, when prepared", quality))

    return draw
