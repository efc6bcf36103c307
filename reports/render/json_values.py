"""Figures as JSON: unrounded, in base units; an absent value has its reason and is never NaN."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

from harness.analysis.compute_limit import share_of_limit, skipped_share
from harness.analysis.energy.modelled_range import modelled_range
from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.ratios import Ratio, judge
from harness.common.json_types import JsonObject, JsonValue
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.values.figures import Absent, Figures, failure_of

SCHEMA_VERSION = 1

_NOT_SHOWN = ("over", "quantity", "family", "totals", "location")
_ESTIMATE_FIELDS = tuple(field.name for field in fields(Estimate))
_RATIO_FIELDS = tuple(field.name for field in fields(Ratio) if field.name not in _NOT_SHOWN)


def with_rows(more: Mapping[str, JsonValue], groups: Sequence[Sequence[Figures]]) -> str:
    """Return a report as JSON text with one line per record in `rows`, and the fields of `more` beside it.

    Each row is encoded by itself: the rows of thousands of records would fill the memory.
    """
    head = json.dumps({"schema_version": SCHEMA_VERSION, **more}, allow_nan=False)
    rows = ",\n".join(
        json.dumps(_record_fields(figures), allow_nan=False) for group in groups for figures in group
    )
    return f'{head[:-1]}, "rows": [\n{rows}\n]}}\n'


def encoded(report: Mapping[str, JsonValue] | Sequence[JsonValue]) -> str:
    """Return a report as JSON text; raises ValueError for a NaN, which is a bug."""
    return json.dumps(report, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _record_fields(figures: Figures) -> JsonObject:
    record = figures.record
    return {
        "run": record.run,
        **record.cell.model_dump(mode="json"),
        "status": record.status,
        "profile": record.profile,
        "data": record.data.model_dump(mode="json"),
        "model": record.model.model_dump(mode="json"),
        "host": record.host.fingerprint,
        "rounds": len(record.rounds),
        "quality": as_values(figures.quality) or because("its answers were not scored"),
        "latency_ns": as_values(figures.latency) or because("it was not measured per request"),
        **_steady_fields(record),
        "time_per_request_ns": as_value(figures.time),
        "throughput_per_s": as_value(figures.throughput),
        "joules_per_request": as_joules(figures.energy),
        **_range_fields(record),
        "net_joules_per_request": as_joules(figures.net),
        **({} if figures.whole is None else {"whole_joules_per_request": as_joules(figures.whole)}),
        "peak_memory_bytes": as_value(figures.peak_bytes),
        "speedup": {"over": as_values(figures.speedup)},
        "energy_reduction": {
            "grade": figures.energy.grade if isinstance(figures.energy, EnergyEstimate) else "unavailable",
            "over": as_values(figures.energy_reduction),
        },
        **(
            {"whole_energy_reduction": {"over": as_values(figures.whole_reduction)}}
            if figures.whole_reduction
            else {}
        ),
        **_limit_fields(record),
        "warnings": [asdict(warning) for warning in figures.warnings],
        "failure": record.failure.model_dump(mode="json") if record.failure else None,
    }


def _steady_fields(record: Record) -> JsonObject:
    """Return the percentile in steady state beside the measured one, in scenario `server`."""
    steady = record.load.steady if record.load else None
    return {} if steady is None else {"steady_state": steady.model_dump(mode="json")}


def _range_fields(record: Record) -> JsonObject:
    """Return the lowest and the highest energy as multiples of modelled joules, where their model has any."""
    limits = modelled_range(record)
    return {} if limits is None else {"modelled_range": {"low": limits.low, "high": limits.high}}


def _limit_fields(record: Record) -> JsonObject:
    """Return the compute limit of the cores and the share of it that was reached, where it was measured."""
    if record.limit is None:
        return {}
    share = failure_of(record) or share_of_limit(record)
    skipped = failure_of(record) or skipped_share(record)
    return {
        "limit": record.limit.model_dump(mode="json"),
        "share_of_int8_limit": as_value(share),
        "skipped_operations": skipped if isinstance(skipped, float) else because(skipped.reason),
    }


def as_values(figures: Mapping[str, Estimate | Ratio | Absent]) -> JsonObject:
    """Return the JSON values of named figures."""
    return {name: as_value(figure) for name, figure in figures.items()}


def as_value(figure: Estimate | Ratio | Absent | int) -> JsonValue:
    """Return a number, the fields of an estimate, a ratio with its verdict, or the reason for its absence."""
    match figure:
        case int():
            return figure
        case Estimate():
            return {name: getattr(figure, name) for name in _ESTIMATE_FIELDS}
        case Ratio():
            return _ratio_values(figure)
        case NotComparable():
            return {**because(figure.reason), "field": figure.field}
        case _:
            return because(figure.reason)


def _ratio_values(ratio: Ratio) -> JsonObject:
    """Return a ratio with its verdict, and what its interval and its p-value are of.

    `standard_error` is that of the natural logarithm, `freedom` the degrees of freedom of Student's t.
    """
    values: JsonObject = {name: getattr(ratio, name) for name in _RATIO_FIELDS}
    if ratio.location is not None:
        values["standard_error"] = math.sqrt(ratio.location.variance)
        values["freedom"] = ratio.location.freedom
    values["of"] = "the typical request" if ratio.totals else "totals"
    if ratio.totals:
        values["totals"] = dict(zip(("value", "low", "high"), ratio.totals, strict=True))
    return {**values, "verdict": judge(ratio).verdict}


def as_joules(energy: EnergyEstimate | Absent) -> JsonObject:
    """Return an energy in joules with grade, scope and source, or the reason for its absence."""
    if not isinstance(energy, EnergyEstimate):
        return because(energy.reason)
    estimate = as_value(energy.microjoules)
    joules = {name: estimate[name] / 1e6 for name in ("value", "low", "high")}
    return {**estimate, **joules, "grade": energy.grade, "scope": energy.scope, "source": energy.source}


def because(reason: str) -> JsonObject:
    """Return the JSON value of an absent figure."""
    return {"unavailable": f"because {reason}"}
