"""The two files of github-action-benchmark, whose tool name gives the better direction: one file for each.

An entry is `{name, unit, value, range, extra}`. The action compares an entry with that of the same name in
the previous run. It reads a range only as `± number`, so `range` is the larger half of the interval, and
`extra` has the interval itself.
"""

from harness.common.json_types import JsonObject
from reports.exports.measures import Better, Measure, measures_of, named
from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.render.json_values import encoded
from reports.report import Report
from reports.values.figures import Figures

FILES: dict[str, Better] = {"smaller-is-better.json": "smaller", "bigger-is-better.json": "bigger"}
"""For the tools `customSmallerIsBetter` and `customBiggerIsBetter`."""


def as_files(report: Report, style: Style) -> dict[str, bytes]:
    """Return both files by name; one without entries is an empty array."""
    del style
    entries = [
        (measure.better, _entry(name, measure, figures))
        for name, figures in named(report)
        for measure in measures_of(figures)
    ]
    return {
        file: encoded([entry for direction, entry in entries if direction == better]).encode()
        for file, better in FILES.items()
    }


def _entry(name: str, measure: Measure, figures: Figures) -> JsonObject:
    record = figures.record
    half_width = max(measure.high - measure.value, measure.value - measure.low)
    interval = f"[{measure.low:.6g}, {measure.high:.6g}] {measure.unit}"
    extra = (interval, measure.note, f"run {record.run}", f"host {record.host.fingerprint[:12]}")
    return {
        "name": f"{name}: {measure.label}",
        "unit": measure.unit,
        "value": measure.value,
        **({"range": f"± {half_width:.6g}"} if half_width > 0 else {}),
        "extra": "\n".join(map(printable, extra)),
    }
