"""Reports: pure functions from records to tables, plots and text, without hardware, files or stores.

records --build_report--> figures with intervals --tables_of--> cells --text | markdown | latex | html-->
                                                 --json | csv--> programs
                                                 --exports--> benchmark trackers and CI servers
                                                 --plots--> drawings, each with its data
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.formats import FILES, FORMATS, files_of, render_records, write_report
    from reports.layout.style import SamplesOf, Style
    from reports.render.terminal import wants_color
    from reports.report import DEFAULT_TABLES, TABLES, Report, build_report
    from reports.values.footprint import CostFactors, Embodied, Water, embodied_of, water_of
    from reports.values.group_verdict import VerdictOptions
    from reports.values.prices import Grid, Price, grid_of, price_of, prices_by_name, prices_of

__all__ = [
    "DEFAULT_TABLES",
    "FILES",
    "FORMATS",
    "TABLES",
    "CostFactors",
    "Embodied",
    "Grid",
    "Price",
    "Report",
    "SamplesOf",
    "Style",
    "VerdictOptions",
    "Water",
    "build_report",
    "embodied_of",
    "files_of",
    "grid_of",
    "price_of",
    "prices_by_name",
    "prices_of",
    "render_records",
    "wants_color",
    "water_of",
    "write_report",
]

_MODULES = (
    "layout.style",
    "values.prices",
    "values.footprint",
    "values.group_verdict",
    "render.terminal",
    "report",
    "formats",
)
"""The modules that define the public names, lightest first: a program loads only the formats that it uses."""


def __getattr__(name: str) -> object:
    """Load the module of a public name on first use (PEP 562)."""
    for module in _MODULES if name in __all__ else ():
        loaded = import_module(f"reports.{module}")
        if hasattr(loaded, name):
            return getattr(loaded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
