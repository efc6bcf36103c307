"""The curves of adaptive rungs: quality over the seconds of a request, a line for each rung."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reports.plots.drawing import Plot, heading, label, plain_axes, plain_numbers, short, styles
from reports.tables.speed_columns import metric_name
from reports.values.adaptive_curves import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(name: str, title: str, found: Sequence[Curve]) -> Plot:
    """Return the plot, with every spot of every curve as its data; `found` has at least one."""
    metric, examples = metric_name(found[0].metric), found[0].examples
    about = (
        f"{metric} on {examples} held-out examples of train against milliseconds a request when the rung was "
        "prepared, through the settings that no cheaper one matches in quality; rings mark what was chosen. "
        "Up and to the left is better. Joules: seconds times the mean power of the rung as it was measured."
    )
    rows = [
        (curve.rung, spot.setting, spot.quality * 100, spot.seconds * 1e3, spot.spent, curve.unit,
         spot.joules, "yes" if spot.chosen else "no")
        for curve in found
        for spot in (*curve.spots, curve.full)
    ]  # fmt: skip
    return Plot(
        name=name,
        title=title,
        about=about,
        columns=("rung", "setting", f"{metric}, %", "ms/request", "spent", "of", "J/request", "chosen"),
        rows=tuple(rows),
        draw=_drawn(title, found, f"{metric}, held out, %"),
        records=tuple(dict.fromkeys(curve.record for curve in found)),
    )


def _rising(curve: Curve) -> list[tuple[float, float]]:
    """Return milliseconds and quality, in percent, of the full model and what no cheaper spot matches."""
    line: list[tuple[float, float]] = []
    for spot in sorted(curve.spots, key=lambda each: (each.seconds, -each.quality)):
        if not line or 100 * spot.quality > line[-1][1]:
            line.append((1e3 * spot.seconds, 100 * spot.quality))
    return sorted([*line, (1e3 * curve.full.seconds, 100 * curve.full.quality)])


def _drawn(title: str, found: Sequence[Curve], quality: str) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        how = styles([curve.rung for curve in found])
        for curve in found:
            axes.plot(
                *zip(*_rising(curve), strict=True),
                linewidth=1.2,
                markersize=4,
                label=short(curve.rung),
                **how[curve.rung],
            )
            for spot in curve.spots:
                if spot.chosen:
                    axes.plot(
                        1e3 * spot.seconds, 100 * spot.quality, marker="o", markersize=12, fillstyle="none",
                        linestyle="none", color=how[curve.rung]["color"],
                    )  # fmt: skip
        axes.set_xscale("log")
        plain_numbers(axes, "x")
        plain_axes(axes)
        axes.set_xlabel(label("ms/request, when prepared"))
        axes.set_ylabel(label(quality))
        heading(figure, title)
        figure.legend(loc="outside right center", fontsize=8.0)

    return draw
