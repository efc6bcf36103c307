"""The report on a ladder: the paper's Table 3 for the user's own model, data and machine.

records of one run --ladder_of--> Ladder --as_text | as_markdown--> what people read
                                         --as_rows | as_json--> what machines read
"""

from dataclasses import asdict
from typing import Any

from harness.analysis.statistics.quality_change import QualityChange
from harness.records.estimate import Unavailable
from reports.layout.style import WIDTH
from reports.render import markdown, terminal
from reports.render.json_values import as_joules, as_value, because, each, encoded
from reports.tables.ladder import ladder_tables
from reports.values import adaptive_curves
from reports.values.figures import Absent
from reports.values.ladder_model import Gain, LadderReport, RungFigures
from reports.values.ladder_values import ladder_of, ladders_in
from reports.values.preparation import BreakEven, Joules, PreparationCost

__all__ = ["LadderReport", "as_json", "as_markdown", "as_rows", "as_text", "ladder_of", "ladders_in"]


def as_text(ladder: LadderReport, *, width: int = WIDTH, color: bool = False) -> str:
    """Return the tables for a terminal of this width."""
    tables = ladder_tables(ladder)
    return "\n".join(terminal.render_table(table, width=width, color=color) for table in tables)


def as_markdown(ladder: LadderReport) -> str:
    """Return the tables as GitHub Markdown."""
    return "\n".join(map(markdown.render_table, ladder_tables(ladder)))


def as_json(ladder: LadderReport) -> str:
    """Return the ladder as JSON, as `as_rows` makes it."""
    return encoded(as_rows(ladder))


def as_rows(ladder: LadderReport) -> dict[str, Any]:
    """Return name, price and one row per rung as JSON values, unrounded and in base units."""
    known = (*ladder.offline, *ladder.single)
    return {
        "ladder": ladder.name,
        "run": known[0].record.run if known else None,
        "price": asdict(ladder.price),
        "rungs": [_row(rung, ladder) for rung in ladder.rungs],
        "curves": adaptive_curves.as_json(ladder),
    }


def _row(rung: RungFigures, ladder: LadderReport) -> dict[str, Any]:
    reference = rung.words.reference
    return {
        "rung": rung.words.name,
        "over": rung.words.over,
        "about": rung.words.about,
        "status": rung.status,
        "instances_x_threads": _text(rung.placement),
        "batch": _text(rung.batch),
        "time_per_request_ns": as_value(rung.time),
        "speedup": _gain(rung.speedup),
        "joules_per_request": as_joules(rung.energy),
        "energy_reduction": _gain(rung.energy_reduction),
        "quality": {ladder.metric: as_value(rung.quality)},
        "kept_gain": as_value(rung.kept_gain),
        "quality_change_points": _change(rung.quality_change),
        "latency_ns": each(rung.latency),
        "peak_memory_bytes": as_value(rung.peak_bytes),
        "disk_bytes": as_value(rung.disk_bytes),
        "usd_per_100m_requests": as_value(rung.usd),
        "preparation": _spent(rung.spent),
        "break_even_requests": {"energy": _pays(rung.pays_energy), "money": _pays(rung.pays_money)},
        "paper": reference.model_dump() if reference else None,
    }


def _gain(found: Gain) -> dict[str, Any]:
    return {"step": as_value(found.step), "cumulative": as_value(found.cumulative)}


def _change(found: QualityChange | Absent) -> Any:  # noqa: ANN401 -- a JSON value
    if not isinstance(found, QualityChange):
        return as_value(found)
    return {**asdict(found.points), "metric": found.metric, "paired": found.paired, "note": found.note}


def _spent(found: PreparationCost) -> dict[str, Any]:
    joules = found.energy
    energy = (
        {"value": joules.value, "grade": joules.grade} if isinstance(joules, Joules) else as_value(joules)
    )
    seconds = found.seconds
    return {"seconds": seconds if isinstance(seconds, float) else as_value(seconds), "joules": energy}


def _pays(found: BreakEven | Absent) -> Any:  # noqa: ANN401 -- a JSON value
    if isinstance(found, BreakEven):
        return "never" if found.requests is None else found.requests
    return as_value(found)


def _text(found: str | Unavailable) -> Any:  # noqa: ANN401 -- a JSON value
    return found if isinstance(found, str) else because(found.reason)
