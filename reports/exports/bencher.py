"""Bencher Metric Format: `{benchmark: {measure: {value, lower_value, upper_value}}}`.

`latency` (nanoseconds) and `throughput` (operations a second) are Bencher's own measures; it creates the
others on first use. The format has no field for a note, so the name of a measure marks modelled joules.
"""

import re

from harness.common.json_types import JsonObject
from harness.records.reading import CPU_TIME, model_of
from reports.exports.measures import Measure, measures_of, named
from reports.layout.style import Style
from reports.render.json_values import encoded
from reports.report import Report

_BENCHER_NAMES = {"time_per_request": "latency"}
_LONGEST_NAME, _LONGEST_SLUG = 1024, 64
_MODELLED = {CPU_TIME: "modelled-cpu-time-as-"}
_OTHER_MODEL = "modelled-as-"


def as_bmf(report: Report, style: Style) -> str:
    """Return the report in Bencher Metric Format; a record without any measure is left out."""
    del style
    benchmarks = {
        name[:_LONGEST_NAME]: {slug(measure): _metric(measure) for measure in measures_of(figures)}
        for name, figures in named(report)
    }
    return encoded({name: measures for name, measures in benchmarks.items() if measures})


def slug(measure: Measure) -> str:
    """Return a measure's name as Bencher requires it: lower case, digits and hyphens, at most 64 of them."""
    plain = re.sub(r"[^a-z0-9]+", "-", _BENCHER_NAMES.get(measure.name, measure.name).lower()).strip("-")
    prefix = _MODELLED.get(model_of(measure.source), _OTHER_MODEL) if measure.grade == "modelled" else ""
    return f"{prefix}{plain}"[:_LONGEST_SLUG].strip("-")


def _metric(measure: Measure) -> JsonObject:
    if measure.low == measure.high:
        return {"value": measure.value}
    return {"value": measure.value, "lower_value": measure.low, "upper_value": measure.high}
