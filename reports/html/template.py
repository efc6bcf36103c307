"""What the pages share: templates that escape all text, the style, the script and its hash, and figures.

A policy in a page's head allows only the page's own script, by hash, and no network.
"""

import base64
import hashlib
import math
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING

from harness.common.json_types import JsonObject
from reports.html.inline import inline_svg
from reports.layout.escaping import printable
from reports.layout.number_format import shown
from reports.layout.table_model import TableCell
from reports.plots.drawing import Plot

if TYPE_CHECKING:
    from jinja2 import Template


def page_template(name: str) -> "Template":
    """Return a template of this folder; it extends `base.html` and imports `macros.html`."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def visible(value: object) -> object:
        return printable(value) if type(value) is str else value

    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, finalize=visible
    )
    environment.filters["sort_key"] = _sort_key
    return environment.get_template(name)


def page_assets() -> JsonObject:
    """Return the style, the script and the hash of the script, as every page's template takes them."""
    from markupsafe import Markup

    js, css = _asset("page.js"), _asset("page.css")
    return {
        "css": Markup(css),  # noqa: S704 -- our own file
        "js": Markup(js),  # noqa: S704 -- our own file
        "script_hash": f"sha256-{base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()}",
    }


def figure_fields(plot: Plot, number: int, record_numbers: Mapping[str, int]) -> JsonObject:
    """Return a plot as the template's macro takes it; `record_numbers` are those on the page, by name."""
    from markupsafe import Markup

    records = [
        (record_numbers[name], name.rpartition("/")[2]) for name in plot.records if name in record_numbers
    ]
    return {
        "id": f"p{number}",
        "title": plot.title,
        "about": plot.about,
        "svg": Markup(inline_svg(plot, f"p{number}")),  # noqa: S704 -- matplotlib escapes text
        "records": records,
        "columns": plot.columns,
        "rows": [[_value(value) for value in row] for row in plot.rows],
    }


def _asset(name: str) -> str:
    return resources.files("reports.html").joinpath(name).read_text(encoding="utf-8")


def _sort_key(cell: TableCell) -> str:
    """Return the value of a cell for JavaScript's `Number`; empty where the text is the sort key."""
    if cell.value is None or math.isnan(cell.value):
        return ""
    return f"{cell.value:.6g}".replace("inf", "Infinity")


def _value(value: object) -> str:
    if isinstance(value, float):
        return shown(value) if math.isfinite(value) else str(value)
    return "" if value is None else str(value)
