"""The plot of a capacity plan: quality over cost, with each choice's p99; those on the front are filled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.analysis.capacity.plan import CapacityPlan, PlanRow
from harness.records.estimate import Unavailable
from reports.documents.capacity_values import choice_of, cost_of, front_of, ms, promise_of, quality_of
from reports.layout.metric_names import metric_name
from reports.layout.number_format import shown, with_interval
from reports.plots.drawing import (
    Interval,
    Plot,
    error_bars,
    finish,
    label,
    plain_numbers,
    short,
    styles,
    tip_id,
)
from reports.values.figures import name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COST = "USD for 100 million requests"
_HEIGHTS = (5, -12, 15)
"""Points above a point where its p99 is written: choices of one variant lie side by side."""

_NAMED = 12
"""Points beyond this number have no p99 written beside them."""


@dataclass(frozen=True, slots=True)
class PlanPoint:
    """One choice: its cost, its height with an interval, p99 in seconds, and if it is on the front."""

    name: str
    usd: float
    height: Interval
    p99_s: float
    on_front: bool
    record: str


def front_plot(plan: CapacityPlan) -> Plot | None:
    """Return quality over cost, or p99 over cost where a row has no quality; None without rows."""
    if not plan.rows:
        return None
    scored = not any(isinstance(quality_of(row), Unavailable) for row in plan.rows)
    first = plan.rows[0].record
    axis = f"{metric_name(first.quality.primary)}, %" if scored and first.quality else "p99 at the peak, ms"
    front = front_of(plan)
    points = [_point(row, plan, scored=scored, on_front=row in front) for row in plan.rows]
    title = f"{axis.partition(',')[0].capitalize()} against cost, with {promise_of(plan)}"
    about = (
        f"{axis} against {_COST}. Filled: on the Pareto front of quality, cost and p99; the number beside a "
        f"point is its p99. Up and to the left is better. For {plan.demand.description}."
        if scored
        else f"{axis} against {_COST}. Filled: on the Pareto front. Down and to the left is better."
    )
    return Plot(
        name=f"plan-{first.run}",
        title=title,
        about=about,
        columns=("choice", _COST, axis, "low", "high", "p99 s", "on the front"),
        rows=tuple(
            (point.name, point.usd, *point.height, point.p99_s, "yes" if point.on_front else "no")
            for point in points
        ),
        draw=_draw(title, points, axis, written=scored and len(points) <= _NAMED),
        size=(6.2, 3.8),
        records=tuple(dict.fromkeys(point.record for point in points)),
        tips=tuple(_tip(point, axis) for point in points),
    )


def _point(row: PlanRow, plan: CapacityPlan, *, scored: bool, on_front: bool) -> PlanPoint:
    quality, p99 = quality_of(row), row.latency.percentiles[99.0]
    if scored and not isinstance(quality, Unavailable):
        height = (100 * quality.value, 100 * quality.low, 100 * quality.high)
    else:
        height = (1e3 * p99.value, 1e3 * p99.low, 1e3 * min(p99.high, 10 * p99.value))
    cost = cost_of(row, plan, None)
    return PlanPoint(choice_of(row), cost.usd_per_100m, height, p99.value, on_front, name_of(row.record))


def _tip(point: PlanPoint, axis: str) -> str:
    height = " ".join(with_interval(*point.height))
    return f"{point.name}: {_COST} {shown(point.usd)}; {axis} {height}; p99 {ms(point.p99_s)}"


def _draw(title: str, points: Sequence[PlanPoint], axis: str, *, written: bool) -> Callable[["Figure"], None]:
    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        style_of = styles([point.name for point in points])
        for index, point in enumerate(points):
            _draw_point(axes, index, point, style_of[point.name], written=written)
        axes.set_xscale("log")
        plain_numbers(axes, "x")
        finish(figure, axes, title, (_COST, axis))

    return draw


def _draw_point(axes: "Axes", index: int, point: PlanPoint, style: dict[str, Any], *, written: bool) -> None:
    bars = axes.errorbar(
        point.usd,
        point.height[0],
        yerr=error_bars([point.height]),
        markersize=8,
        markerfacecolor=style["color"] if point.on_front else "none",
        linestyle="none",
        elinewidth=1.0,
        capsize=2.5,
        label=short(point.name, 34),
        **style,
    )
    bars.lines[0].set_gid(tip_id(index))
    if written:
        axes.annotate(
            label(ms(point.p99_s)),
            (point.usd, point.height[0]),
            xytext=(7, _HEIGHTS[index % len(_HEIGHTS)]),
            textcoords="offset points",
            fontsize=7.5,
        )
