"""A ladder as JSON: its name, its price, one row per rung, and the curves of adaptive rungs.

records of one run --build_ladder--> LadderReport --ladder_fields--> JSON
"""

from dataclasses import asdict

from harness.analysis.statistics.quality_change import QualityChange
from harness.common.json_types import JsonObject, JsonValue
from harness.records.estimate import Unavailable
from reports.render.json_values import as_joules, as_value, as_values, because
from reports.values.adaptive_curves import Curve, curves_of
from reports.values.figures import Absent
from reports.values.ladder_model import Gain, LadderReport, RungFigures
from reports.values.preparation import BreakEven, Joules, PreparationCost


def ladder_fields(ladder: LadderReport) -> JsonObject:
    """Return a ladder as a JSON object, unrounded and in base units."""
    measured = (*ladder.offline, *ladder.single_stream)
    return {
        "ladder": ladder.name,
        "run": measured[0].record.run if measured else None,
        "price": asdict(ladder.price),
        "rungs": [_rung_fields(rung, ladder) for rung in ladder.rungs],
        "curves": [curve_fields(curve) for curve in curves_of(ladder)],
    }


def curve_fields(curve: Curve) -> JsonObject:
    """Return a curve as a JSON object, unrounded and in base units; its points have the key `spots`."""
    return {"spots" if name == "points" else name: value for name, value in asdict(curve).items()}


def _rung_fields(rung: RungFigures, ladder: LadderReport) -> JsonObject:
    definition = rung.definition
    return {
        "rung": definition.name,
        "over": definition.over,
        "about": definition.about,
        "status": rung.status,
        "instances_x_threads": _text(rung.placement),
        "batch": _text(rung.batch),
        "time_per_request_ns": as_value(rung.time),
        "speedup": _gain_fields(rung.speedup),
        "joules_per_request": as_joules(rung.energy),
        "energy_reduction": _gain_fields(rung.energy_reduction),
        "quality": {ladder.metric: as_value(rung.quality)},
        "kept_gain": as_value(rung.kept_gain),
        "quality_change_points": _change_fields(rung.quality_change),
        "latency_ns": as_values(rung.latency),
        "peak_memory_bytes": as_value(rung.peak_bytes),
        "disk_bytes": as_value(rung.disk_bytes),
        "usd_per_100m_requests": as_value(rung.usd),
        "preparation": _preparation_fields(rung.preparation),
        "break_even_requests": {
            "energy": _break_even(rung.break_even_energy),
            "money": _break_even(rung.break_even_money),
        },
        "paper": definition.reference.model_dump() if definition.reference else None,
    }


def _gain_fields(gain: Gain) -> JsonObject:
    return {"step": as_value(gain.step), "cumulative": as_value(gain.cumulative)}


def _change_fields(change: QualityChange | Absent) -> JsonValue:
    if not isinstance(change, QualityChange):
        return as_value(change)
    return {**asdict(change.points), "metric": change.metric, "paired": change.paired, "note": change.note}


def _preparation_fields(cost: PreparationCost) -> JsonObject:
    seconds = cost.seconds if isinstance(cost.seconds, float) else as_value(cost.seconds)
    if isinstance(cost.energy, Joules):
        return {"seconds": seconds, "joules": {"value": cost.energy.value, "grade": cost.energy.grade}}
    return {"seconds": seconds, "joules": as_value(cost.energy)}


def _break_even(requests: BreakEven | Absent) -> JsonValue:
    if isinstance(requests, BreakEven):
        return "never" if requests.requests is None else requests.requests
    return as_value(requests)


def _text(text: str | Unavailable) -> JsonValue:
    return text if isinstance(text, str) else because(text.reason)
