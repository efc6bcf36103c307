"""What a tracker of experiments receives of a record: parameters, metrics, notes, the time of each round.

    Report --tracked_records--> TrackedRecord --harness.cli.trackers--> MLflow, Weights & Biases

Names of metrics have their unit, and those of modelled joules have `modelled`: a tracker draws metrics of one
name in one chart.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.common.json_types import JsonValue
from harness.records.record import Record
from reports.exports.measures import Measure, measures_of, named
from reports.layout.escaping import printable
from reports.report import Report
from reports.values.figures import Figures

UNITS = {"ns": "_ns", "B": "_bytes", "J": "_joules", "requests/s": "_requests_per_s", "share": "", "x": ""}
"""What the name of a metric ends with, by the unit of the measure."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.:/ -]+")


@dataclass(frozen=True, slots=True)
class TrackedRecord:
    """One record for a tracker; `rounds` holds nanoseconds per request by round, `notes` texts by metric."""

    name: str
    record: Record
    parameters: Mapping[str, JsonValue]
    metrics: Mapping[str, float]
    notes: Mapping[str, str]
    rounds: Mapping[int, float]
    warnings: tuple[str, ...]

    @property
    def failure(self) -> str:
        """Why the record is not complete; empty where it is."""
        failure = self.record.failure
        return f"{failure.kind}: {failure.message}" if failure else ""


def tracked_records(report: Report) -> list[TrackedRecord]:
    """Return every record of a report for a tracker, those that failed without metrics."""
    return [_tracked(name, figures) for name, figures in named(report)]


def _tracked(name: str, figures: Figures) -> TrackedRecord:
    record, measures = figures.record, list(measures_of(figures))
    return TrackedRecord(
        name=name,
        record=record,
        parameters=dict(_parameters(record)),
        metrics={key: value for measure in measures for key, value in _metrics(measure)},
        notes={metric_name(measure): _note(measure) for measure in measures},
        rounds={turn.index: turn.wall_ns / turn.requests for turn in record.rounds if turn.requests},
        warnings=tuple(
            f"{printable(warning.code)}: {printable(warning.sentence)} {printable(warning.next_step)}"
            for warning in figures.warnings
        ),
    )


def metric_name(measure: Measure) -> str:
    """Return the name of a metric: that of the measure, its grade where it is modelled, and its unit."""
    name, over, reference = measure.name.partition(" over ")
    grade = "_modelled" if measure.grade == "modelled" else ""
    reference = f"_over_{reference}" if over else ""
    return _FORBIDDEN.sub("_", f"{name}{grade}{reference}{UNITS[measure.unit]}")


def _metrics(measure: Measure) -> Iterator[tuple[str, float]]:
    """Yield the value, and the ends of its interval where there is one."""
    name = metric_name(measure)
    yield name, measure.value
    if measure.low < measure.high:
        yield f"{name}_low", measure.low
        yield f"{name}_high", measure.high


def _note(measure: Measure) -> str:
    return f"{measure.unit}, {measure.better} is better; {measure.note}"


def _parameters(record: Record) -> Iterator[tuple[str, JsonValue]]:
    """Yield what was measured and where; neither a path nor the name of the machine."""
    cell, facts = record.cell, record.host.facts
    for field in ("task", "variant", "device", "scenario", "boundary", "threads", "instances", "batch"):
        yield field, getattr(cell, field)
    yield "max_length", cell.max_length
    yield "model", record.model.name
    yield "model_sha256", record.model.fingerprint[:16]
    yield "data", f"{record.data.name}/{record.data.split} ({record.data.tier})"
    yield "data_sha256", record.data.fingerprint[:16]
    yield "profile", record.profile
    yield "seed", record.seed
    yield "rounds", len(record.rounds)
    yield "launches", record.launches
    yield "host", record.host.fingerprint[:16]
    yield "cpu_model", str(facts.get("cpu_model", "unknown"))
    yield "meter", record.energy.meter or "none"
    for name in ("fastformers-bench", "python", "torch", "onnxruntime"):
        if name in record.software:
            yield f"version of {name}", record.software[name]
