"""Records become tables and plots: pure functions from records to text, no hardware, no files of their own.

records --book_of--> figures with intervals --tables_of--> cells --text | markdown | latex | html--> people
                                            --data | tidy--> JSON and CSV for machines
                                            --ci--> what trackers of benchmarks and CI servers read
                                            --plots--> drawings, each with its data
a ladder's records --climb--> rungs --ladder_tables--> the same
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.formats import FILES, FORMATS, as_markdown, as_text, files_of, render_records, write_report
    from reports.layout.style import SamplesOf, Style
    from reports.render.json_values import as_json
    from reports.render.terminal import wants_color
    from reports.report import TABLES, UNASKED, CostFactors, Report, build_report
    from reports.values.prices import Grid, Price, grid_of, price_of, prices_of

__all__ = [
    "FILES",
    "FORMATS",
    "TABLES",
    "UNASKED",
    "CostFactors",
    "Grid",
    "Price",
    "Report",
    "SamplesOf",
    "Style",
    "as_json",
    "as_markdown",
    "as_text",
    "build_report",
    "files_of",
    "grid_of",
    "price_of",
    "prices_of",
    "render_records",
    "wants_color",
    "write_report",
]

_HOMES = {
    "report": ("TABLES", "UNASKED", "Report", "CostFactors", "build_report"),
    "render.json_values": ("as_json",),
    "formats": ("FILES", "FORMATS", "as_markdown", "as_text", "files_of", "render_records", "write_report"),
    "values.prices": ("Grid", "Price", "grid_of", "price_of", "prices_of"),
    "layout.style": ("SamplesOf", "Style"),
    "render.terminal": ("wants_color",),
}
"""Which module each name is from: `bench compare` shows tables, and loads none of the other formats."""


def __getattr__(name: str) -> object:
    """Load what is asked for when it is asked for (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"reports.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
