"""A report for machines: JSON, unrounded, in base units; what is absent says why and is never a NaN."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.compare import Ratio, Refused, judge
from harness.estimate import Energy, Estimate
from harness.record import Record
from reports.figures import Absent, Figures, figures, groups

SCHEMA_VERSION = 1


def as_json(records: Sequence[Record]) -> str:
    """Return the report on these records as JSON: `schema_version`, and `rows` as `rows` makes them."""
    report = {"schema_version": SCHEMA_VERSION, "rows": rows(records)}
    return json.dumps(report, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return one row per record, group by group: its settings, estimates, ratios and doubts."""
    return [_row(item) for group in groups(records) for item in figures(group)]


def _row(item: Figures) -> dict[str, Any]:
    record = item.record
    return {
        "run": record.run,
        **record.cell.model_dump(mode="json"),
        "status": record.status,
        "profile": record.profile,
        "data": record.data.model_dump(mode="json"),
        "model": record.model.model_dump(mode="json"),
        "host": record.host.fingerprint,
        "rounds": len(record.rounds),
        "quality": _each(item.quality) or _because("its answers were not scored"),
        "latency_ns": _each(item.latency) or _because("it was not measured per request"),
        "time_per_request_ns": _value(item.time),
        "throughput_per_s": _value(item.throughput),
        "joules_per_request": _joules(item.energy),
        "peak_memory_bytes": _value(item.peak_bytes),
        "speedup": {"over": _each(item.speedup)},
        "energy_reduction": {
            "grade": item.energy.grade if isinstance(item.energy, Energy) else "unavailable",
            "over": _each(item.energy_reduction),
        },
        "doubts": [asdict(doubt) for doubt in item.doubts],
        "failure": record.failure.model_dump(mode="json") if record.failure else None,
    }


def _each(found: Mapping[str, Estimate | Ratio | Absent]) -> dict[str, Any]:
    return {name: _value(value) for name, value in found.items()}


def _value(found: Estimate | Ratio | Absent | int) -> Any:  # noqa: ANN401 -- a JSON value
    match found:
        case int():
            return found
        case Estimate():
            return asdict(found)
        case Ratio():
            numbers = {
                name: value for name, value in asdict(found).items() if name not in ("over", "quantity")
            }
            return {**numbers, "verdict": judge(found).verdict}
        case Refused():
            return {**_because(found.reason), "field": found.field}
        case _:
            return _because(found.reason)


def _joules(found: Energy | Absent) -> dict[str, Any]:
    if not isinstance(found, Energy):
        return _because(found.reason)
    shown = asdict(found.microjoules)
    joules = {name: shown[name] / 1e6 for name in ("value", "low", "high")}
    return {**shown, **joules, "grade": found.grade, "scope": found.scope, "source": found.source}


def _because(reason: str) -> dict[str, Any]:
    return {"unavailable": f"because {reason}"}
