"""An SVG as part of a page: unique ids, the page's text colour, and a description for screen readers."""

import re
from html import escape

from reports.layout.escaping import printable
from reports.plots.drawing import INK, Plot, as_svg, tip_id

_IDS = re.compile(r'(?<= )id="([^"]*)"')
_REFERENCES = re.compile(r'((?<= )xlink:href="#|url\(#)')
_DECLARATIONS = re.compile(r' (?:xmlns(?::\w+)?|version)="[^"]*"')
_SIZE = re.compile(r' width="[^"]*pt" height="[^"]*pt"')


def inline_svg(plot: Plot, prefix: str) -> str:
    """Return the drawing for a page in which no other id begins with `prefix`."""
    head, bracket, body = as_svg(plot, transparent=True).partition(">")
    description = escape(printable(f"{plot.title}. {plot.about}"))
    head = _SIZE.sub("", _DECLARATIONS.sub("", head)) + f' role="img" aria-label="{description}"'
    svg = _IDS.sub(rf'id="{prefix}-\1"', head + bracket + body)
    svg = _REFERENCES.sub(rf"\1{prefix}-", svg)
    for index, tip in enumerate(plot.tips):
        mark = f'<g id="{prefix}-{tip_id(index)}">'
        svg = svg.replace(mark, f"{mark}<title>{escape(printable(tip))}</title>", 1)
    for color in (INK, "#000000"):  # black is invisible on a dark page
        svg = svg.replace(f": {color}", ": currentColor")
    return svg.strip()
