"""The history of a figure: points in order of time, and the levels they make; as text, JSON and plots."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.analysis.history import ChangePoint, HistoryPoint, Series
from harness.common.errors import unknown_name
from reports.documents.comparison import UNITS, value_with
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


def render(found: Sequence[Series], form: str, *, width: int = WIDTH, color: bool = False) -> str:
    """Return the histories in this format; UsageError for one that is not known."""
    if form not in FORMATS:
        raise unknown_name("format", form, FORMATS)
    if form == "json":
        return encoded({"schema_version": SCHEMA_VERSION, "series": [_words(each) for each in found]})
    return "\n".join(terminal.render_table(_table(each), width=width, color=color) for each in found)


def plots(found: Sequence[Series]) -> Iterator["Plot"]:
    """Yield a plot of every series that has two points at least."""
    from reports.plots.history import TrackedPoint as Mark
    from reports.plots.history import history

    for number, series in enumerate(found, 1):
        unit = _unit(series)
        marks = [
            Mark(
                point.revision or point.created[:10],
                point.value / unit.size,
                point.low / unit.size,
                point.high / unit.size,
                point.run,
            )
            for point in series.points
        ]
        if len(marks) > 1:
            name = f"history-{number:02d}-{series.quantity.name}-{series.key.cell.variant.replace(' ', '-')}"
            about = f"{series.quantity.heading}, {unit.name}".removesuffix(", ")
            yield history(name, str(series.key), marks, [shift.at for shift in series.shifts], unit=about)


def _table(series: Series) -> Table:
    unit, marks = _unit(series), {shift.at: shift for shift in series.shifts}
    rows = tuple(
        (
            TableCell(point.created[:16].replace("T", " ")),
            TableCell(point.revision or "-"),
            value_with(point.value, point.low, point.high, unit),
            TableCell(_mark(marks[at], series)) if at in marks else TableCell(""),
        )
        for at, point in enumerate(series.points)
    )
    remarks = [_told(shift, series) for shift in series.shifts]
    remarks += [_WITH_THE_MACHINE] if series.shifts and series.quantity.name in _ABSOLUTE else []
    if not remarks:
        remarks = [
            f"No change point: {series.why_none}."
            if series.why_none
            else "No change of level in its own noise."
        ]
    return Table(f"{series.quantity.heading}: {series.key}", _COLUMNS, rows, remarks=tuple(remarks))


_ABSOLUTE = ("throughput", "latency_p50", "latency_p90", "latency_p95", "latency_p99", "energy")
_WITH_THE_MACHINE = (
    "Absolute figures move with the machine and what else it does: a change is of code and machine together. "
    "`--quantity speedup` is of the code."
)


def _mark(shift: ChangePoint, series: Series) -> str:
    return f"<- {_change(shift, series)}"


def _change(shift: ChangePoint, series: Series) -> str:
    unit = "%" if series.quantity.change_unit == "%" else "points"
    return f"{shift.change:+.1f} {unit}, {'worse' if shift.worse else 'better'}"


def _told(shift: ChangePoint, series: Series) -> str:
    moved = f" Also changed there: {'; '.join(shift.moved)}." if shift.moved else ""
    return f"Changed by {_change(shift, series)}, in {shift.commits}.{moved}"


def _unit(series: Series) -> Unit:
    return unit_for([point.value for point in series.points], UNITS[series.quantity.unit])


def _words(series: Series) -> dict[str, Any]:
    return {
        "cell": series.key.cell._asdict(),
        "host": series.key.host,
        "data": series.key.data,
        "quantity": series.quantity.name,
        "unit": series.quantity.unit,
        "points": [_point_words(point) for point in series.points],
        "changes": [{**asdict(shift), "commits": shift.commits} for shift in series.shifts],
        "why_none": series.why_none or None,
    }


def _point_words(point: HistoryPoint) -> dict[str, Any]:
    kept = ("run", "created", "revision", "value", "low", "high")
    return {name: getattr(point, name) for name in kept}
