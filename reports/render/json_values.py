"""A report for machines: JSON, unrounded, in base units; what is absent says why and is never a NaN."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from harness.analysis.compute_limit import share_of_limit
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.ratios import Ratio, judge
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.values.figures import Absent, Figures, all_figures, failure_of
from reports.values.multiple_testing import in_one_family

SCHEMA_VERSION = 1


_NOT_SHOWN = ("over", "quantity", "family")
_OF_ESTIMATE = tuple(field.name for field in fields(Estimate))
_OF_RATIO = tuple(field.name for field in fields(Ratio) if field.name not in _NOT_SHOWN)


def as_json(records: Sequence[Record]) -> str:
    """Return the report on these records as JSON: `schema_version`, and `rows`, one for each record."""
    return with_rows({}, in_one_family(all_figures(records)))


def with_rows(more: Mapping[str, Any], found: Sequence[Sequence[Figures]]) -> str:
    """Return a report of figures as JSON text with a line for each row, and `more` beside the rows.

    Row by row, as the rows of thousands of records would fill the memory all at once.
    """
    head = json.dumps({"schema_version": SCHEMA_VERSION, **more}, allow_nan=False)
    made = ",\n".join(json.dumps(_row(item), allow_nan=False) for group in found for item in group)
    return f'{head[:-1]}, "rows": [\n{made}\n]}}\n'


def encoded(report: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return a report as JSON text; a NaN in it is a bug, and raises ValueError."""
    return json.dumps(report, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


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
        "quality": each(item.quality) or because("its answers were not scored"),
        "latency_ns": each(item.latency) or because("it was not measured per request"),
        "time_per_request_ns": as_value(item.time),
        "throughput_per_s": as_value(item.throughput),
        "joules_per_request": as_joules(item.energy),
        "net_joules_per_request": as_joules(item.net),
        **({} if item.whole is None else {"whole_joules_per_request": as_joules(item.whole)}),
        "peak_memory_bytes": as_value(item.peak_bytes),
        "speedup": {"over": each(item.speedup)},
        "energy_reduction": {
            "grade": item.energy.grade if isinstance(item.energy, EnergyEstimate) else "unavailable",
            "over": each(item.energy_reduction),
        },
        **({"whole_energy_reduction": {"over": each(item.whole_reduction)}} if item.whole_reduction else {}),
        **_limit(record),
        "warnings": [asdict(warning) for warning in item.warnings],
        "failure": record.failure.model_dump(mode="json") if record.failure else None,
    }


def _limit(record: Record) -> dict[str, Any]:
    """Return the cores' arithmetic limit and the share of it, where it was measured."""
    if record.limit is None:
        return {}
    share = failure_of(record) or share_of_limit(record)
    return {"limit": record.limit.model_dump(mode="json"), "share_of_int8_limit": as_value(share)}


def each(found: Mapping[str, Estimate | Ratio | Absent]) -> dict[str, Any]:
    """Return JSON values by the same names."""
    return {name: as_value(value) for name, value in found.items()}


def as_value(found: Estimate | Ratio | Absent | int) -> Any:  # noqa: ANN401 -- a JSON value
    """Return a number as it is, an estimate by its fields, a ratio with its verdict, or why there is none."""
    match found:
        case int():
            return found
        case Estimate():
            return {name: getattr(found, name) for name in _OF_ESTIMATE}
        case Ratio():
            shown = {name: getattr(found, name) for name in _OF_RATIO}
            if typical := shown.pop("typical"):  # what the verdict looked at, where that is not the value
                shown["typical"] = dict(zip(("value", "low", "high"), typical, strict=True))
            return {**shown, "verdict": judge(found).verdict}
        case NotComparable():
            return {**because(found.reason), "field": found.field}
        case _:
            return because(found.reason)


def as_joules(found: EnergyEstimate | Absent) -> dict[str, Any]:
    """Return an energy in joules with its kind, or why there is none."""
    if not isinstance(found, EnergyEstimate):
        return because(found.reason)
    shown = as_value(found.microjoules)
    joules = {name: shown[name] / 1e6 for name in ("value", "low", "high")}
    return {**shown, **joules, "grade": found.grade, "scope": found.scope, "source": found.source}


def because(reason: str) -> dict[str, Any]:
    """Return absence as JSON holds it."""
    return {"unavailable": f"because {reason}"}
