"""How long single requests took: the share answered within a time, a line for each system."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from reports.plots.drawing import INK, Plot, heading, plain_axes, plain_numbers, short, styles

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    Floats = npt.NDArray[np.float64]

POINTS = 100
"""Of each line, spaced evenly in share: all that a drawing of this size can show."""


def distribution(name: str, title: str, ns: "Mapping[str, Floats]", *, records: tuple[str, ...] = ()) -> Plot:
    """Return the plot of latencies in nanoseconds by system, each [requests], of one request or more."""
    lines = {system: _line(values) for system, values in ns.items()}
    counts = ", ".join(f"{system} {len(values):,}" for system, values in ns.items())
    return Plot(
        name=name,
        title=title,
        about=f"Share of requests answered within a time, every timed request counted once ({counts}).",
        columns=("system", "share", "ms"),
        rows=tuple((system, *point) for system, points in lines.items() for point in points),
        draw=_drawn(title, lines),
        records=records,
    )


def _line(values: "Floats") -> list[tuple[float, float]]:
    """Return (share, milliseconds): requests in order, thinned out evenly where they are many."""
    import numpy as np

    ordered, size = np.sort(values) / 1e6, len(values)
    ranks = np.unique(np.linspace(1, size, min(size, POINTS)).round().astype(int))
    return [(round(float(rank) / size, 6), float(ordered[rank - 1])) for rank in ranks]


def _drawn(title: str, lines: Mapping[str, list[tuple[float, float]]]) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for system, how in styles(list(lines)).items():
            shares, times = zip(*lines[system], strict=True)
            axes.step(
                times,
                [100 * share for share in shares],
                where="post",
                linewidth=1.4,
                markevery=max(len(times) // 6, 1),
                markersize=5,
                label=short(system),
                **how,
            )
        for percent in (50, 90):
            axes.axhline(percent, color=INK, linewidth=0.6, linestyle=":")
        axes.set_xscale("log")
        plain_numbers(axes, "x")
        plain_axes(axes)
        axes.set_ylim(0, 101)
        axes.set_xlabel("ms per request")
        axes.set_ylabel("requests answered, %")
        heading(figure, title)
        figure.legend(loc="outside right center", fontsize=8.0)

    return draw
