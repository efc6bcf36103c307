"""The plot of a ladder's rungs: the gain of each over the first, and of its own step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.layout.number_format import shown
from reports.plots.drawing import COLORS, INK, Interval, Plot, error_bars, finish_rows, text_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One rung: its ratio over the first with its interval, and its ratio over the rung it builds on."""

    name: str
    over: str
    cumulative: Interval
    own: float | None
    record: str = ""


def steps_plot(name: str, title: str, steps: Sequence[LadderStep], *, quantity: str, note: str = "") -> Plot:
    """Return the plot; `quantity` is what the ratio is of, such as `speed-up`."""
    about = (
        f"Cumulative {quantity} of each rung over the first, on a logarithmic scale, with its 95 % interval. "
        "The pale part is the gain of the rung that it builds on, the number in parentheses the gain of "
        f"its own step. {note}"
    )
    return Plot(
        name=name,
        title=title,
        about=about.strip(),
        columns=("rung", "over", f"{quantity}, cumulative", "low", "high", f"{quantity}, step"),
        rows=tuple((step.name, step.over, *step.cumulative, step.own) for step in steps),
        draw=_draw(title, steps, quantity),
        size=(6.0, 1.2 + 0.42 * len(steps)),
        records=tuple(step.record for step in steps if step.record),
    )


def _draw(title: str, steps: Sequence[LadderStep], quantity: str) -> Callable[["Figure"], None]:
    gains = {step.name: step.cumulative[0] for step in steps}

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for index, step in enumerate(steps):
            _bar(axes, index, step, gains.get(step.over, 1.0))
        axes.margins(x=0.18)
        over = f"{quantity} over {steps[0].name if steps else 'the first'}"
        finish_rows(figure, axes, title, [step.name for step in steps], over, mark=1.0)
        axes.grid(visible=False, axis="y")

    return draw


def _bar(axes: "Axes", index: int, step: LadderStep, base: float) -> None:
    """Draw the gain of the rung below, then that of this rung's own step, with its interval and value."""
    value, _, high = step.cumulative
    axes.barh(index, min(base, value) - 1.0, left=1.0, height=0.55, color=COLORS[5], alpha=0.45)
    axes.barh(index, value - base, left=base, height=0.55, color=COLORS[0 if value >= base else 1])
    axes.errorbar(value, index, xerr=error_bars([step.cumulative]), color=INK, capsize=2.5, linewidth=1)
    text = f"{shown(value)}x" if step.own is None else f"{shown(value)}x (step {shown(step.own)}x)"
    text_beside(axes, text, (max(value, high, base), index), gap=5)
