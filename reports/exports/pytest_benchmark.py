"""The JSON that `pytest-benchmark` writes and compares: seconds per request, one value per round.

The `data` of a benchmark are its rounds: the time of each over its requests, which are its iterations.
pytest-benchmark has no fields for energy, quality and warnings: these are in `extra_info`.
"""

import statistics
from collections.abc import Sequence

from harness.common.json_types import JsonObject
from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.exports.measures import Measure, measures_of, named
from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.render.json_values import encoded
from reports.report import Report
from reports.values.figures import Figures

VERSION = "5.2.3"
"""The version of pytest-benchmark whose format this is."""

_FENCE = 1.5
"""Tukey's fence: a value further than this many interquartile ranges from the quartiles is an outlier."""


def as_json(report: Report, style: Style) -> str:
    """Return the report in pytest-benchmark's format; a record that was not timed is left out."""
    del style
    everything = named(report)
    records = [figures.record for _, figures in everything]
    return encoded(
        {
            "machine_info": _machine(records),
            "commit_info": _commit(records),
            "benchmarks": [
                _benchmark(name, figures)
                for name, figures in everything
                if isinstance(figures.time, Estimate)
            ],
            "datetime": max((record.created for record in records), default=""),
            "version": VERSION,
        }
    )


def stats(data: Sequence[float]) -> JsonObject:
    """Return pytest-benchmark's statistics of `data`: seconds per request, at least one value."""
    ordered, count = sorted(data), len(data)
    mean = statistics.fmean(data)
    deviation = statistics.stdev(data) if count > 1 else 0.0
    q1, median, q3 = statistics.quantiles(data, n=4, method="inclusive") if count > 1 else [data[0]] * 3
    low, high = q1 - _FENCE * (q3 - q1), q3 + _FENCE * (q3 - q1)
    far_from_mean = sum(abs(value - mean) > deviation for value in data)
    outside = sum(not low <= value <= high for value in data)
    inside = [value for value in ordered if low <= value <= high] or ordered
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": count,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outside,
        "stddev_outliers": far_from_mean,
        "outliers": f"{far_from_mean};{outside}",
        "ld15iqr": inside[0],
        "hd15iqr": inside[-1],
        "ops": count / sum(data),
        "total": sum(data),
        "data": list(data),
    }


def _benchmark(name: str, figures: Figures) -> JsonObject:
    record = figures.record
    data = [turn.wall_ns / turn.requests / 1e9 for turn in record.rounds]
    iterations = round(statistics.median(turn.requests for turn in record.rounds))
    return {
        "group": printable(record.cell.group),
        "name": name,
        "fullname": name,
        "params": {"task": printable(record.cell.task), "variant": printable(record.cell.variant)},
        "param": None,
        "extra_info": _extra_info(figures),
        "options": {
            "disable_gc": True,
            "timer": "perf_counter_ns",
            "min_rounds": record.rounds_planned,
            "warmup": True,
        },
        "stats": {**stats(data), "iterations": iterations},
    }


def _extra_info(figures: Figures) -> JsonObject:
    record = figures.record
    return {
        "run": printable(record.run),
        "cell": printable(record.cell.id),
        "host": record.host.fingerprint,
        "measures": {measure.label: _measure_fields(measure) for measure in measures_of(figures)},
        "warnings": [
            f"{printable(warning.code)}: {printable(warning.sentence)}" for warning in figures.warnings
        ],
    }


def _measure_fields(measure: Measure) -> JsonObject:
    fields = {
        "value": measure.value,
        "low": measure.low,
        "high": measure.high,
        "unit": measure.unit,
        "note": measure.note,
    }
    return {**fields, **({"grade": measure.grade} if measure.grade else {})}


def _machine(records: Sequence[Record]) -> JsonObject:
    """Return the facts of the machine; of several machines only their fingerprints."""
    hosts = {record.host.fingerprint: record for record in records}
    if len(hosts) != 1:
        return {"hosts": sorted(hosts)}
    (record,) = hosts.values()
    facts = record.host.facts
    fields = {
        "node": record.host.name_sha256[:12],
        "machine": facts.get("architecture"),
        "release": facts.get("kernel"),
        "python_version": record.software.get("python"),
        "cpu": {
            name: fact
            for name, fact in (("brand_raw", facts.get("cpu_model")), ("count", facts.get("logical_cpus")))
            if fact is not None
        },
        "fingerprint": record.host.fingerprint,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _commit(records: Sequence[Record]) -> JsonObject:
    """Return the commit of the records if all have the same, else nothing."""
    revisions = {record.revision for record in records}
    revision = revisions.pop() if len(revisions) == 1 else None
    return {"id": revision.commit, "dirty": revision.dirty} if revision else {}
