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
    from reports.formats import FILES, FORMATS, as_markdown, as_text, files_of, render_records, written
    from reports.layout.style import SamplesOf, Style
    from reports.render.json_values import as_json
    from reports.render.terminal import wants_color
    from reports.report import TABLES, UNASKED, Book, Factors, book_of
    from reports.values.prices import Grid, Price, grid_of, price_of, prices_of

__all__ = [
    "FILES",
    "FORMATS",
    "TABLES",
    "UNASKED",
    "Book",
    "Factors",
    "Grid",
    "Price",
    "SamplesOf",
    "Style",
    "as_json",
    "as_markdown",
    "as_text",
    "book_of",
    "files_of",
    "grid_of",
    "price_of",
    "prices_of",
    "render_records",
    "wants_color",
    "written",
]

_HOMES = {
    "report": ("TABLES", "UNASKED", "Book", "Factors", "book_of"),
    "render.json_values": ("as_json",),
    "formats": ("FILES", "FORMATS", "as_markdown", "as_text", "files_of", "render_records", "written"),
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
