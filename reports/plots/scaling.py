"""The plot of throughput over threads, batch or input length: a line for each system."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.plots.drawing import Interval, Plot, error_bars, finish, plain_numbers, short, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """Requests per second with the interval, at one setting of one system."""

    name: str
    setting: int
    throughput: Interval
    record: str = ""


def scaling(name: str, title: str, points: Sequence[ScalingPoint], *, over: str, note: str = "") -> Plot:
    """Return the plot; `over` is the setting that varies, such as `threads`."""
    return Plot(
        name=name,
        title=title,
        about=f"Requests per second over {over}, both axes logarithmic, with 95 % intervals. {note}".strip(),
        columns=("system", over, "requests/s", "low", "high"),
        rows=tuple((point.name, point.setting, *point.throughput) for point in points),
        draw=_draw(title, points, over),
        records=tuple(dict.fromkeys(point.record for point in points if point.record)),
    )


def _draw(title: str, points: Sequence[ScalingPoint], over: str) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for system, style in styles(list(dict.fromkeys(point.name for point in points))).items():
            line = sorted(
                (point for point in points if point.name == system), key=lambda point: point.setting
            )
            axes.errorbar(
                [point.setting for point in line],
                [point.throughput[0] for point in line],
                yerr=error_bars([point.throughput for point in line]),
                capsize=2.5,
                linewidth=1.3,
                markersize=6,
                label=short(system),
                **style,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_numbers(axes, "y")
        settings = sorted({point.setting for point in points})
        axes.set_xticks(settings, [f"{setting:,}" for setting in settings])
        axes.set_xticks([], minor=True)
        finish(figure, axes, title, (over, "requests/s"))

    return draw
