"""The rungs of a ladder: how far each gets from the first, and what its own step gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.layout.number_format import shown
from reports.plots.drawing import COLORS, INK, Plot, heading, label, plain_axes, plain_numbers, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One rung: its ratio over the first with its interval, and over the rung it builds on."""

    name: str
    over: str
    cumulative: tuple[float, float, float]
    own: float | None
    record: str = ""


def steps(name: str, title: str, found: Sequence[LadderStep], *, quantity: str, note: str = "") -> Plot:
    """Return the plot; `quantity` is what the ratio is of, such as `speed-up`."""
    about = (
        f"Cumulative {quantity} of each rung over the first, on a logarithmic scale, with its 95 % interval; "
        f"the pale part is what the rung it builds on has, and the number at the end its own step. {note}"
    )
    return Plot(
        name=name,
        title=title,
        about=about.strip(),
        columns=("rung", "over", f"{quantity}, cumulative", "low", "high", f"{quantity}, step"),
        rows=tuple((one.name, one.over, *one.cumulative, one.own) for one in found),
        draw=_drawn(title, found, quantity),
        size=(6.0, 1.2 + 0.42 * len(found)),
        records=tuple(one.record for one in found if one.record),
    )


def _drawn(title: str, found: Sequence[LadderStep], quantity: str) -> Callable[["Figure"], None]:
    reached = {one.name: one.cumulative[0] for one in found}

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for at, one in enumerate(found):
            _bar(axes, at, one, reached.get(one.over, 1.0))
        axes.set_yticks(range(len(found)), [short(one.name) for one in found])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.margins(x=0.18)
        plain_numbers(axes, "x")
        plain_axes(axes)
        axes.grid(visible=False, axis="y")
        axes.axvline(1.0, color=INK, linewidth=0.8)
        axes.set_xlabel(label(f"{quantity} over {found[0].name if found else 'the first'}"))
        heading(figure, title)

    return draw


def _bar(axes: "Axes", at: int, one: LadderStep, base: float) -> None:
    """Draw what the rung below reached, then this rung's own step with its end marked."""
    value, low, high = one.cumulative
    axes.barh(at, min(base, value) - 1.0, left=1.0, height=0.55, color=COLORS[5], alpha=0.45)
    axes.barh(at, value - base, left=base, height=0.55, color=COLORS[0 if value >= base else 1])
    axes.errorbar(
        value, at, xerr=[[max(value - low, 0)], [max(high - value, 0)]], color=INK, capsize=2.5, linewidth=1
    )
    said = f"{shown(value)}x" if one.own is None else f"{shown(value)}x (step {shown(one.own)}x)"
    axes.annotate(
        said, (max(value, high, base), at), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8
    )
