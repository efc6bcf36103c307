"""The plot of request times: the share of single requests answered within a time, a line for each system."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from reports.plots.drawing import INK, Plot, finish, plain_numbers, short, styles

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    Floats = npt.NDArray[np.float64]

MOST_POINTS = 100
"""Points of a line, spaced evenly in share: a drawing of this size cannot show more."""


def distribution(name: str, title: str, ns: "Mapping[str, Floats]", *, records: tuple[str, ...] = ()) -> Plot:
    """Return the plot of latencies in nanoseconds by system, each [requests], of one request or more."""
    lines = {system: _line(values) for system, values in ns.items()}
    counts = ", ".join(f"{system} {len(values):,}" for system, values in ns.items())
    return Plot(
        name=name,
        title=title,
        about=f"Share of requests answered within a time; every timed request counts once ({counts}).",
        columns=("system", "share", "ms"),
        rows=tuple((system, *point) for system, points in lines.items() for point in points),
        draw=_draw(title, lines),
        records=records,
    )


def _line(values: "Floats") -> list[tuple[float, float]]:
    """Return (share, milliseconds) of the requests in order, thinned evenly where there are many."""
    import numpy as np

    ordered, size = np.sort(values) / 1e6, len(values)
    ranks = np.unique(np.linspace(1, size, min(size, MOST_POINTS)).round().astype(int))
    return [(round(float(rank) / size, 6), float(ordered[rank - 1])) for rank in ranks]


def _draw(title: str, lines: Mapping[str, list[tuple[float, float]]]) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for system, style in styles(list(lines)).items():
            shares, times = zip(*lines[system], strict=True)
            axes.step(
                times,
                [100 * share for share in shares],
                where="post",
                linewidth=1.4,
                markevery=max(len(times) // 6, 1),
                markersize=5,
                label=short(system),
                **style,
            )
        for percent in (50, 90):
            axes.axhline(percent, color=INK, linewidth=0.6, linestyle=":")
        axes.set_xscale("log")
        plain_numbers(axes, "x")
        axes.set_ylim(0, 101)
        finish(figure, axes, title, ("ms per request", "requests answered, %"))

    return draw
