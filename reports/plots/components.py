"""The plot of energy by zone: energy per request of every round, zones stacked, one panel per system."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.plots.drawing import COLORS, HATCHES, Plot, heading, plain_axes, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class ZoneEnergy:
    """Joules per request of one zone in one round of one system."""

    name: str
    round: int
    zone: str
    joules: float
    grade: str
    record: str = ""


def components(name: str, title: str, parts: Sequence[ZoneEnergy], *, note: str = "") -> Plot:
    """Return the plot; the label of its axis names the grade."""
    systems = list(dict.fromkeys(part.name for part in parts))
    rows = -(-len(systems) // _column_count(systems))
    about = f"Energy per request in every round, by zone of the meter. {note}"
    return Plot(
        name=name,
        title=title,
        about=about.strip(),
        columns=("system", "round", "zone", "J/request", "grade"),
        rows=tuple((part.name, part.round, part.zone, part.joules, part.grade) for part in parts),
        draw=_draw(title, parts, systems),
        size=(6.6, 0.9 + 1.7 * max(rows, 1)),
        records=tuple(dict.fromkeys(part.record for part in parts if part.record)),
    )


def _column_count(systems: Sequence[str]) -> int:
    """Return how many panels are side by side: three, or two for four systems."""
    return 2 if len(systems) == 4 else min(len(systems), _MOST_COLUMNS)  # noqa: PLR2004


def _draw(title: str, parts: Sequence[ZoneEnergy], systems: Sequence[str]) -> Callable[["Figure"], None]:
    zones = list(dict.fromkeys(part.zone for part in parts))
    grades = " or ".join(dict.fromkeys(part.grade for part in parts))

    def draw(figure: "Figure") -> None:
        columns = _column_count(systems)
        panels = figure.subplots(-(-len(systems) // columns), columns, squeeze=False)
        for axes in list(panels.flat)[len(systems) :]:
            axes.set_visible(False)
        bars: dict[str, Any] = {}
        for axes, system in zip(panels.flat, systems, strict=False):
            bars |= _panel(axes, [part for part in parts if part.name == system], zones)
            axes.set_title(short(system), fontsize=8.5)
        heading(figure, title)
        figure.supylabel(f"J/request, {grades}", fontsize=9)
        figure.supxlabel("round", fontsize=9)
        if len(zones) > 1:
            names = [short(zone) for zone in bars]
            figure.legend(list(bars.values()), names, loc="outside lower center", ncols=4, fontsize=8)

    return draw


def _panel(axes: "Axes", parts: Sequence[ZoneEnergy], zones: Sequence[str]) -> dict[str, Any]:
    from matplotlib.ticker import MaxNLocator

    stacked: dict[int, float] = {}
    bars: dict[str, Any] = {}
    for index, zone in enumerate(zones):
        in_zone = [part for part in parts if part.zone == zone]
        if not in_zone:
            continue
        bars[zone] = axes.bar(
            [part.round for part in in_zone],
            [part.joules for part in in_zone],
            bottom=[stacked.get(part.round, 0.0) for part in in_zone],
            color=COLORS[index % len(COLORS)],
            hatch=HATCHES[index % len(HATCHES)],
            edgecolor="white",
            width=0.8,
        )
        stacked |= {part.round: stacked.get(part.round, 0.0) + part.joules for part in in_zone}
    plain_axes(axes)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.tick_params(labelsize=7.5)
    return bars
