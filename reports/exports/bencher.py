"""Bencher Metric Format: `{benchmark: {measure: {value, lower_value, upper_value}}}`.

`latency` (nanoseconds) and `throughput` (operations a second) are Bencher's own measures; the others are made
as they come. The format has no place for a note, so modelled joules are told by their measure's name.
"""

import re
from typing import Any

from reports.exports.measures import Measure, measures_of, named
from reports.layout.style import Style
from reports.render.json_values import encoded
from reports.report import Report

_OWN = {"time_per_request": "latency"}
_LONGEST_NAME, _LONGEST_SLUG = 1024, 64
_MODELLED = "modelled-cpu-time-as-"


def as_bmf(book: Report, style: Style) -> str:
    """Return the report in Bencher Metric Format; a record of which nothing is known has no benchmark."""
    del style
    made = {
        name[:_LONGEST_NAME]: {slug(each): _metric(each) for each in measures_of(item)}
        for name, item in named(book)
    }
    return encoded({name: measures for name, measures in made.items() if measures})


def slug(found: Measure) -> str:
    """Return the measure's name as Bencher wants it: lower case, digits and hyphens, at most 64 of them."""
    plain = re.sub(r"[^a-z0-9]+", "-", _OWN.get(found.name, found.name).lower()).strip("-")
    return f"{_MODELLED if found.grade == 'modelled' else ''}{plain}"[:_LONGEST_SLUG].strip("-")


def _metric(found: Measure) -> dict[str, Any]:
    if found.low == found.high:
        return {"value": found.value}
    return {"value": found.value, "lower_value": found.low, "upper_value": found.high}
