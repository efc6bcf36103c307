"""How plots are drawn: figures of their own, colours that the colour-blind tell apart, equal files.

data --a function of this package--> Plot --as_svg | as_png | data_csv-->

Nothing of matplotlib's global state is used: settings hold within one drawing, the user's matplotlibrc is not
read, and pyplot is not imported.
"""

import csv
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.layout.escaping import printable, safe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""M. Okabe and K. Ito, "Color Universal Design", 2008, without yellow, which paper swallows."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
"""As many as colours: in print without colour they tell series apart."""

INK = "#1a1b1c"
"""Of text, axes and ticks: a colour that nothing else has, so that a page can put its own in its place."""

_DRAWN = 0x250
"""Latin letters end here; of others the font has only some."""

_NUMBERS = re.compile(r'(?<= )(?:d|x|y)="[^"]*"')
"""Of an SVG: where things are, with six decimals of a point where two are more than can be seen."""

Row = tuple[str | float | int | None, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn, and the data that is drawn: a row for each point, under `columns`.

    `name` is a file's name without its ending, `about` says what to see, `records` names those it is of.
    """

    name: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    draw: Callable[["Figure"], None]
    size: tuple[float, float] = (6.0, 3.6)
    records: tuple[str, ...] = ()


def as_svg(plot: Plot, *, transparent: bool = False) -> str:
    """Return an SVG whose text is text; the same plot gives the same bytes."""
    out = io.StringIO()
    with _figure(plot) as figure:
        unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=unsaid, transparent=transparent)
    drawn = re.sub(r"^.*?(?=<svg )", "", out.getvalue(), flags=re.DOTALL)
    drawn = re.sub(r"\s*<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    return _NUMBERS.sub(_rounded, re.sub(r"[ \t]+\n", "\n", drawn))


def as_png(plot: Plot) -> bytes:
    """Return a PNG of 200 dots an inch."""
    out = io.BytesIO()
    with _figure(plot) as figure:
        figure.savefig(out, format="png", dpi=200, metadata={"Software": None})
    return out.getvalue()


def data_csv(plot: Plot) -> str:
    """Return what is drawn as CSV."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(plot.columns)
    lines.writerows([safe(each) if isinstance(each, str) else each for each in row] for row in plot.rows)
    return out.getvalue()


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a colour and a marker for each name; beyond seven both repeat in other pairs."""
    return {
        name: {
            "color": COLORS[at % len(COLORS)],
            "marker": MARKERS[(at + at // len(COLORS)) % len(MARKERS)],
        }
        for at, name in enumerate(names)
    }


def label(text: str) -> str:
    """Return a text that is drawn as it is: on one line, in letters that the font has."""
    drawn = "".join(char if ord(char) < _DRAWN else char.encode("unicode_escape").decode() for char in text)
    return printable(drawn)


def short(text: str, length: int = 26) -> str:
    """Return a label that fits."""
    return label(text if len(text) <= length else f"{text[: length - 3]}...")


def heading(figure: "Figure", title: str) -> None:
    """Write the title over the whole width, on as many lines as it needs."""
    lines = textwrap.wrap(label(title), round(13 * figure.get_figwidth()))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10.0)


def plain_axes(axes: "Axes") -> None:
    """Draw less: no box, faint lines behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#808080", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def plain_numbers(axes: "Axes", which: str) -> None:
    """Label a logarithmic axis in plain numbers, `0.5`, `20`, `1,000`, as many as there is room for."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axes.get_xlim() if which == "x" else axes.get_ylim())
    wide = high / low > 1e3  # noqa: PLR2004 -- more than three decades
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.10g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _rounded(found: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", found.group())


@contextmanager
def _figure(plot: Plot) -> Iterator["Figure"]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # whatever holds outside holds again afterwards
    with mpl.rc_context(), warnings.catch_warnings():
        # of names that leave no room: the drawing then keeps its plain margins
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        mpl.rcdefaults()
        for setting, value in _settings(plot).items():
            mpl.rcParams[setting] = value
        figure = Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure)
        yield figure


def _settings(plot: Plot) -> dict[Any, Any]:
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(inked, INK),
        # matplotlib takes the word none, in any case, for no salt, and then ids are drawn by lot
        "svg.hashsalt": f"{plot.name}." if plot.name.lower() == "none" else plot.name,
        "svg.fonttype": "none",
        "text.parse_math": False,  # a dollar in a name is a dollar
        "font.size": 9.0,
        "axes.titlesize": 10.0,
        "legend.frameon": False,
        "axes.unicode_minus": False,
    }
