"""An SVG as part of a page: names of its own, ink in the page's colour, described for who cannot see it."""

import re
from html import escape

from reports.layout.escaping import printable
from reports.plots.drawing import INK, Plot, as_svg

_IDS = re.compile(r'(?<= )id="([^"]*)"')
_USES = re.compile(r'((?<= )xlink:href="#|url\(#)')
_DECLARATIONS = re.compile(r' (?:xmlns(?::\w+)?|version)="[^"]*"')
_SIZE = re.compile(r' width="[^"]*pt" height="[^"]*pt"')


def inline_svg(plot: Plot, prefix: str) -> str:
    """Return the drawing for a page in which `prefix` begins no other name."""
    head, tag, body = as_svg(plot, transparent=True).partition(">")
    about = escape(printable(f"{plot.title}. {plot.about}"))
    head = _SIZE.sub("", _DECLARATIONS.sub("", head)) + f' role="img" aria-label="{about}"'
    drawn = _IDS.sub(rf'id="{prefix}-\1"', head + tag + body)
    drawn = _USES.sub(rf"\1{prefix}-", drawn)
    for color in (INK, "#000000"):  # black on a dark page would not be seen
        drawn = drawn.replace(f": {color}", ": currentColor")
    return drawn.strip()
