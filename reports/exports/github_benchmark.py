"""Two files for github-action-benchmark, which takes the direction from its tool: one file for each.

An entry is `{name, unit, value, range, extra}`. The action compares entries of the same name with the run
before; it reads a range only as `± number`, so that is the larger half of the interval, and the interval
itself stands in `extra`.
"""

from typing import Any

from reports.exports.measures import Better, Measure, measures_of, named
from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.render.json_values import encoded
from reports.report import Report
from reports.values.figures import Figures

FILES: dict[str, Better] = {"smaller-is-better.json": "smaller", "bigger-is-better.json": "bigger"}
"""For the tools `customSmallerIsBetter` and `customBiggerIsBetter`."""


def as_files(book: Report, style: Style) -> dict[str, bytes]:
    """Return both files by name; one without entries is an empty array."""
    del style
    entries = [
        (found, _entry(name, found, item)) for name, item in named(book) for found in measures_of(item)
    ]
    return {
        file: encoded([entry for found, entry in entries if found.better == better]).encode()
        for file, better in FILES.items()
    }


def _entry(name: str, found: Measure, item: Figures) -> dict[str, Any]:
    half = max(found.high - found.value, found.value - found.low)
    within = f"[{found.low:.6g}, {found.high:.6g}] {found.unit}"
    extra = (within, found.note, f"run {item.record.run}", f"host {item.record.host.fingerprint[:12]}")
    return {
        "name": f"{name}: {found.label}",
        "unit": found.unit,
        "value": found.value,
        **({"range": f"± {half:.6g}"} if half > 0 else {}),
        "extra": "\n".join(map(printable, extra)),
    }
