"""The JSON that `pytest-benchmark` writes and compares: seconds a request, one value a round.

A benchmark's `data` are the rounds, each round's time over its requests, which are its iterations. All that
pytest-benchmark has no word for, such as energy, quality and warnings, stands in `extra_info`.
"""

import statistics
from collections.abc import Sequence
from typing import Any

from harness.records.estimate import Estimate
from harness.records.record import Record
from reports.exports.measures import Measure, measures_of, named
from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.render.json_values import encoded
from reports.report import Report
from reports.values.figures import Figures

VERSION = "5.2.3"
"""The version of pytest-benchmark whose form this is."""

_FENCE = 1.5
"""Tukey's: what is further than this many interquartile ranges from the quartiles is an outlier."""


def as_json(book: Report, style: Style) -> str:
    """Return the report in pytest-benchmark's form; a record that was not timed is left out."""
    del style
    items = named(book)
    records = [item.record for _, item in items]
    return encoded(
        {
            "machine_info": _machine(records),
            "commit_info": _commit(records),
            "benchmarks": [_bench(name, item) for name, item in items if isinstance(item.time, Estimate)],
            "datetime": max((record.created for record in records), default=""),
            "version": VERSION,
        }
    )


def stats(data: Sequence[float]) -> dict[str, Any]:
    """Return pytest-benchmark's statistics of seconds a request, one value a round; there is at least one."""
    ordered, count = sorted(data), len(data)
    middle = statistics.fmean(data)
    spread = statistics.stdev(data) if count > 1 else 0.0
    q1, median, q3 = statistics.quantiles(data, n=4, method="inclusive") if count > 1 else [data[0]] * 3
    low, high = q1 - _FENCE * (q3 - q1), q3 + _FENCE * (q3 - q1)
    far = sum(abs(value - middle) > spread for value in data)
    beyond = sum(not low <= value <= high for value in data)
    inside = [value for value in ordered if low <= value <= high] or ordered
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": middle,
        "stddev": spread,
        "rounds": count,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond,
        "stddev_outliers": far,
        "outliers": f"{far};{beyond}",
        "ld15iqr": inside[0],
        "hd15iqr": inside[-1],
        "ops": count / sum(data),
        "total": sum(data),
        "data": list(data),
    }


def _bench(name: str, item: Figures) -> dict[str, Any]:
    record = item.record
    data = [turn.wall_ns / turn.requests / 1e9 for turn in record.rounds]
    iterations = round(statistics.median(turn.requests for turn in record.rounds))
    return {
        "group": printable(record.cell.group),
        "name": name,
        "fullname": name,
        "params": {"task": printable(record.cell.task), "variant": printable(record.cell.variant)},
        "param": None,
        "extra_info": _extra(item),
        "options": {
            "disable_gc": True,
            "timer": "perf_counter_ns",
            "min_rounds": record.rounds_planned,
            "warmup": True,
        },
        "stats": {**stats(data), "iterations": iterations},
    }


def _extra(item: Figures) -> dict[str, Any]:
    record = item.record
    return {
        "run": printable(record.run),
        "cell": printable(record.cell.id),
        "host": record.host.fingerprint,
        "measures": {found.label: _words(found) for found in measures_of(item)},
        "warnings": [
            f"{printable(warning.code)}: {printable(warning.sentence)}" for warning in item.warnings
        ],
    }


def _words(found: Measure) -> dict[str, Any]:
    words = {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "unit": found.unit,
        "note": found.note,
    }
    return {**words, **({"grade": found.grade} if found.grade else {})}


def _machine(records: Sequence[Record]) -> dict[str, Any]:
    """Return what is known of the machine; of several machines, only which they were."""
    hosts = {record.host.fingerprint: record for record in records}
    if len(hosts) != 1:
        return {"hosts": sorted(hosts)}
    (record,) = hosts.values()
    facts = record.host.facts
    known = {
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
    return {name: value for name, value in known.items() if value is not None}


def _commit(records: Sequence[Record]) -> dict[str, Any]:
    """Return the commit that all records are of, or nothing."""
    found = {record.revision for record in records}
    revision = found.pop() if len(found) == 1 else None
    return {"id": revision.commit, "dirty": revision.dirty} if revision else {}
