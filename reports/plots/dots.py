"""The plot of one figure for each row, with its interval: times by rung or variant, factors by group."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.plots.drawing import COLORS, Interval, Plot, error_bars, finish_rows, text_beside, tip_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_HIGHEST = 4.2
"""Inches: many rows move together, so that what is below the plot stays on the screen."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One row: its name, its figure with the interval, and the text beside it."""

    name: str
    figure: Interval
    text: str
    record: str = ""
    chosen: bool = False
    """Whether the verdict names it."""


def dots_plot(
    name: str, title: str, dots: Sequence[Dot], *, axis: str, about: str, reference: float | None = None
) -> Plot:
    """Return the plot; `axis` is the label with the unit, `reference` a value that a line marks."""
    return Plot(
        name=name,
        title=title,
        about=f"{about} On a logarithmic scale, with 95 % intervals.",
        columns=("name", axis, "low", "high"),
        rows=tuple((dot.name, *dot.figure) for dot in dots),
        draw=_draw(title, dots, axis, reference),
        size=(6.0, min(max(1.3 + 0.34 * len(dots), 2.4), _HIGHEST)),
        records=tuple(dot.record for dot in dots if dot.record),
        tips=tuple(f"{dot.name}: {dot.text}" for dot in dots),
    )


def _draw(title: str, dots: Sequence[Dot], axis: str, reference: float | None) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for index, dot in enumerate(dots):
            _dot(axes, index, dot)
        axes.margins(x=0.22, y=0.06)
        finish_rows(figure, axes, title, [dot.name for dot in dots], axis, mark=reference)

    return draw


def _dot(axes: "Axes", index: int, dot: Dot) -> None:
    value, _, high = dot.figure
    bars = axes.errorbar(
        value,
        index,
        xerr=error_bars([dot.figure]),
        marker="D" if dot.chosen else "o",
        markersize=8 if dot.chosen else 6,
        color=COLORS[1] if dot.chosen else COLORS[0],
        capsize=2.5,
        elinewidth=1.2,
        linestyle="none",
    )
    bars.lines[0].set_gid(tip_id(index))
    text_beside(axes, dot.text, (max(value, high), index), gap=7, bold=dot.chosen)
