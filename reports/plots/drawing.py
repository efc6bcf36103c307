"""Draws plots: reproducible files, in colours that colour-blind readers can tell apart.

data --a function of this package--> Plot --as_svg | as_png | data_csv-->

Drawing does not depend on matplotlib's global state: settings hold within one drawing, the user's
matplotlibrc is not read, and pyplot is not imported.
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
"""M. Okabe and K. Ito, "Color Universal Design", 2008, without yellow, which is hard to see on paper."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
"""As many as colours: they distinguish series in print without colour."""

INK = "#1a1b1c"
"""The colour of text, axes and ticks. Nothing else has it, so that a page can replace it with its own."""

_LATIN_END = 0x250
"""The end of the Latin letters; the font lacks many of the letters beyond."""

_COORDINATES = re.compile(r'(?<= )(?:d|x|y)="[^"]*"')
"""Coordinates in an SVG, with six decimals of a point where two are finer than the eye."""

Row = tuple[str | float | int | None, ...]
Interval = tuple[float, float, float]
"""Value, low, high."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing and the data that it shows: a row for each point, under `columns`.

    `name` is a file name without its suffix, `about` explains the plot, `records` names the records shown.
    `tips` are the texts that a page shows over the marks with the ids `tip_id(0)`, `tip_id(1)`, ...
    """

    name: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    draw: Callable[["Figure"], None]
    size: tuple[float, float] = (6.0, 3.6)
    records: tuple[str, ...] = ()
    tips: tuple[str, ...] = ()


def tip_id(index: int) -> str:
    """Return the id of the mark that the tip of this number belongs to."""
    return f"tip-{index}"


def as_svg(plot: Plot, *, transparent: bool = False) -> str:
    """Return an SVG with text as text; the same plot gives the same bytes."""
    out = io.StringIO()
    with _figure(plot) as figure:
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=no_metadata, transparent=transparent)
    svg = re.sub(r"^.*?(?=<svg )", "", out.getvalue(), flags=re.DOTALL)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return _COORDINATES.sub(_two_decimals, re.sub(r"[ \t]+\n", "\n", svg))


def as_png(plot: Plot) -> bytes:
    """Return a PNG of 200 dots per inch."""
    out = io.BytesIO()
    with _figure(plot) as figure:
        figure.savefig(out, format="png", dpi=200, metadata={"Software": None})
    return out.getvalue()


def data_csv(plot: Plot) -> str:
    """Return the data of a plot as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(plot.columns)
    writer.writerows([safe(value) if isinstance(value, str) else value for value in row] for row in plot.rows)
    return out.getvalue()


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a colour and a marker for each name; beyond seven names they repeat in other combinations."""
    return {
        name: {
            "color": COLORS[index % len(COLORS)],
            "marker": MARKERS[(index + index // len(COLORS)) % len(MARKERS)],
        }
        for index, name in enumerate(names)
    }


def label(text: str) -> str:
    """Return a text that can be drawn: on one line, in letters that the font has."""
    latin = (char if ord(char) < _LATIN_END else char.encode("unicode_escape").decode() for char in text)
    return printable("".join(latin))


def short(text: str, length: int = 26) -> str:
    """Return a label of at most `length` characters."""
    return label(text if len(text) <= length else f"{text[: length - 3]}...")


def heading(figure: "Figure", title: str) -> None:
    """Write the title across the figure, on as many lines as it needs."""
    lines = textwrap.wrap(label(title), round(13 * figure.get_figwidth()))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10.0)


def plain_axes(axes: "Axes") -> None:
    """Remove the box and draw faint grid lines behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#808080", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def plain_numbers(axes: "Axes", which: str) -> None:
    """Label a logarithmic axis with plain numbers: `0.5`, `20`, `1,000`."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axes.get_xlim() if which == "x" else axes.get_ylim())
    wide = high / low > 1e3  # noqa: PLR2004 -- more than three decades
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.10g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def finish(
    figure: "Figure", axes: "Axes", title: str, labels: tuple[str, str], *, legend: bool = True
) -> None:
    """Add title, labels of both axes and legend; call it after the data are drawn."""
    plain_axes(axes)
    axes.set_xlabel(label(labels[0]))
    axes.set_ylabel(label(labels[1]))
    heading(figure, title)
    if legend:
        figure.legend(loc="outside right center", fontsize=8.0)


def finish_rows(
    figure: "Figure", axes: "Axes", title: str, names: Sequence[str], axis: str, *, mark: float | None
) -> None:
    """Name the rows from the top, on a logarithmic axis with a line at `mark`; call it after drawing them."""
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.invert_yaxis()
    axes.set_xscale("log")
    if mark is not None:
        axes.axvline(mark, color=INK, linewidth=0.8)
    plain_numbers(axes, "x")
    plain_axes(axes)
    axes.set_xlabel(label(axis))
    heading(figure, title)


def text_beside(axes: "Axes", text: str, place: tuple[float, int], *, gap: int, bold: bool = False) -> None:
    """Write the figure of a row to the right of its mark."""
    axes.annotate(
        label(text),
        place,
        xytext=(gap, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        fontweight="bold" if bold else "normal",
    )


def error_bars(intervals: Sequence[Interval]) -> list[list[float]]:
    """Return the lengths below and above each value, as matplotlib's `errorbar` takes them."""
    return [
        [max(value - low, 0.0) for value, low, _ in intervals],
        [max(high - value, 0.0) for value, _, high in intervals],
    ]


def _two_decimals(coordinates: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", coordinates.group())


@contextmanager
def _figure(plot: Plot) -> Iterator["Figure"]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # the caller's settings are restored afterwards
    with mpl.rc_context(), warnings.catch_warnings():
        # long names can leave no room: the drawing then keeps its plain margins
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        mpl.rcdefaults()
        for setting, value in _settings(plot).items():
            mpl.rcParams[setting] = value
        figure = Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure)
        yield figure


def _settings(plot: Plot) -> dict[Any, Any]:
    ink_settings = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(ink_settings, INK),
        # matplotlib reads `none`, in any case, as no salt, and then draws ids at random
        "svg.hashsalt": f"{plot.name}." if plot.name.lower() == "none" else plot.name,
        "svg.fonttype": "none",
        "text.parse_math": False,  # a dollar sign in a name is literal
        "font.size": 9.0,
        "axes.titlesize": 10.0,
        "legend.frameon": False,
        "axes.unicode_minus": False,
    }
