"""The history of a figure: its points in order of time, and its change points; as text, JSON and plots."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.analysis.history import ChangePoint, HistoryPoint, Series
from harness.common.errors import unknown_name
from harness.common.json_types import JsonObject
from reports.documents.comparison import UNITS, value_cell
from reports.layout.number_format import Unit, unit_for
from reports.layout.style import WIDTH
from reports.layout.table_model import Column, Table, TableCell
from reports.render import terminal
from reports.render.json_values import encoded

if TYPE_CHECKING:
    from reports.plots import Plot

SCHEMA_VERSION = 1
FORMATS = ("text", "json")

_COLUMNS = (
    Column("when", "left", "name"),
    Column("revision", "left", "speed"),
    Column("value", "right", "speed"),
    Column("", "left", "speed"),
)

_ABSOLUTE = ("throughput", "latency_p50", "latency_p90", "latency_p95", "latency_p99", "energy")
_ABSOLUTE_REMARK = (
    "Absolute figures depend on the machine and its other load: a change may come from the code or from the "
    "machine. `--quantity speedup` isolates the code."
)


def render(history: Sequence[Series], form: str, *, width: int = WIDTH, color: bool = False) -> str:
    """Return the series of a history in a format; raises UsageError for an unknown format."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if form == "json":
        return encoded({"schema_version": SCHEMA_VERSION, "series": [_series_fields(own) for own in history]})
    return "\n".join(terminal.render_table(_table(own), width=width, color=color) for own in history)


def plots(history: Sequence[Series]) -> Iterator["Plot"]:
    """Yield a plot of every series that has at least two points."""
    from reports.plots.history import TrackedPoint, history_plot

    for number, series in enumerate(history, 1):
        unit = _unit(series)
        points = [
            TrackedPoint(
                point.revision or point.created[:10],
                point.value / unit.size,
                point.low / unit.size,
                point.high / unit.size,
                point.run,
            )
            for point in series.points
        ]
        if len(points) > 1:
            name = f"history-{number:02d}-{series.quantity.name}-{series.key.cell.variant.replace(' ', '-')}"
            heading = f"{series.quantity.heading}, {unit.name}".removesuffix(", ")
            changes = [change.at for change in series.shifts]
            yield history_plot(name, str(series.key), points, changes, unit=heading)


def _table(series: Series) -> Table:
    unit, changes = _unit(series), {change.at: change for change in series.shifts}
    rows = tuple(
        (
            TableCell(point.created[:16].replace("T", " ")),
            TableCell(point.revision or "-"),
            value_cell(point.value, point.low, point.high, unit),
            TableCell(f"<- {_size(changes[index], series)}" if index in changes else ""),
        )
        for index, point in enumerate(series.points)
    )
    return Table(f"{series.quantity.heading}: {series.key}", _COLUMNS, rows, remarks=tuple(_remarks(series)))


def _remarks(series: Series) -> Iterator[str]:
    for change in series.shifts:
        moved = f" Also changed there: {'; '.join(change.moved)}." if change.moved else ""
        yield f"Changed by {_size(change, series)}, in {change.commits}.{moved}"
    if series.shifts and series.quantity.name in _ABSOLUTE:
        yield _ABSOLUTE_REMARK
    if not series.shifts:
        yield f"No change point: {series.why_none or 'the level stays within its noise'}."


def _size(change: ChangePoint, series: Series) -> str:
    unit = "%" if series.quantity.change_unit == "%" else "points"
    return f"{change.change:+.1f} {unit}, {'worse' if change.worse else 'better'}"


def _unit(series: Series) -> Unit:
    return unit_for([point.value for point in series.points], UNITS[series.quantity.unit])


def _series_fields(series: Series) -> JsonObject:
    return {
        "cell": series.key.cell._asdict(),
        "host": series.key.host,
        "data": series.key.data,
        "quantity": series.quantity.name,
        "unit": series.quantity.unit,
        "points": [_point_fields(point) for point in series.points],
        "changes": [{**asdict(change), "commits": change.commits} for change in series.shifts],
        "why_none": series.why_none or None,
    }


def _point_fields(point: HistoryPoint) -> JsonObject:
    return {name: getattr(point, name) for name in ("run", "created", "revision", "value", "low", "high")}
