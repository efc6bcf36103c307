"""What more threads, larger batches or longer inputs do to throughput: a line for each system."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.plots.drawing import Plot, heading, label, plain_axes, plain_numbers, short, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """Requests per second with the interval, at one setting of one system."""

    name: str
    setting: int
    throughput: tuple[float, float, float]
    record: str = ""


def scaling(name: str, title: str, found: Sequence[ScalingPoint], *, over: str, note: str = "") -> Plot:
    """Return the plot; `over` is what varies, such as `threads`, and `note` says what does not."""
    return Plot(
        name=name,
        title=title,
        about=f"Requests per second over {over}, both axes logarithmic, with 95 % intervals. {note}".strip(),
        columns=("system", over, "requests/s", "low", "high"),
        rows=tuple((one.name, one.setting, *one.throughput) for one in found),
        draw=_drawn(title, found, over),
        records=tuple(dict.fromkeys(one.record for one in found if one.record)),
    )


def _drawn(title: str, found: Sequence[ScalingPoint], over: str) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for system, how in styles(list(dict.fromkeys(one.name for one in found))).items():
            line = sorted((one for one in found if one.name == system), key=lambda one: one.setting)
            ends = [
                [max(value - low, 0) for value, low, _ in (one.throughput for one in line)],
                [max(high - value, 0) for value, _, high in (one.throughput for one in line)],
            ]
            axes.errorbar(
                [one.setting for one in line],
                [one.throughput[0] for one in line],
                yerr=ends,
                capsize=2.5,
                linewidth=1.3,
                markersize=6,
                label=short(system),
                **how,
            )
        _axes(axes, sorted({one.setting for one in found}))
        axes.set_xlabel(label(over))
        axes.set_ylabel("requests/s")
        heading(figure, title)
        figure.legend(loc="outside right center", fontsize=8.0)

    return draw


def _axes(axes: "Axes", at: Sequence[int]) -> None:
    """Name every setting on the axis below, and no other number."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_numbers(axes, "y")
    plain_axes(axes)
    axes.set_xticks(list(at), [f"{number:,}" for number in at])
    axes.set_xticks([], minor=True)
