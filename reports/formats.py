"""Every format of a report by its name, and what the command line and programs ask a report for."""

from collections.abc import Callable, Sequence

from harness.common.errors import unknown_name
from harness.common.plugins import usable
from harness.records.record import Record
from reports import exports, html
from reports.documents import ladder
from reports.exports.tidy_csv import as_csv
from reports.layout.style import WIDTH, Style
from reports.render import latex, markdown, terminal
from reports.render.json_values import with_rows
from reports.report import TABLES, UNASKED, CostFactors, Report, build_report, tables_of
from reports.tables.overview import overview
from reports.tables.speed import speed_table
from reports.values.figures import all_figures
from reports.values.ladder_values import CountsOf
from reports.values.multiple_testing import in_one_family
from reports.values.prices import price_of

NOTHING = "No records.\n"


def _text(book: Report, style: Style) -> str:
    tables = tables_of(book, style.tables or UNASKED)
    if not tables:
        return NOTHING
    return "\n".join(terminal.render_table(table, width=style.width, color=style.color) for table in tables)


def _markdown(book: Report, style: Style) -> str:
    return "\n".join(map(markdown.render_table, tables_of(book, style.tables or UNASKED))) or NOTHING


def _latex(book: Report, style: Style) -> str:
    return "\n".join(map(latex.render_table, tables_of(book, style.tables or tuple(TABLES))))


def _json(book: Report, style: Style) -> str:
    del style
    if not book.ladders:
        return with_rows({}, book.groups)
    ladders = [ladder.as_rows(one) for one in book.ladders]
    return with_rows({"ladders": ladders}, in_one_family(all_figures(book.records)))


FORMATS: dict[str, Callable[[Report, Style], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "csv": lambda book, _: as_csv(book),
    "html": html.as_page,
    "json": _json,
    **exports.TEXTS,
}
"""Every format by its name on the command line."""

FILES: dict[str, Callable[[Report, Style], dict[str, bytes]]] = exports.FILES
"""Formats that are files, by name: a folder of them, or one that is no text."""


def write_report(book: Report, format: str, style: Style) -> str:  # noqa: A002 -- the option's own name
    """Return a report in a format; UsageError for one that is not in the table."""
    if format in FORMATS:
        return FORMATS[format](book, style)
    more = usable("report", (*FORMATS, *FILES))
    if format not in more:
        raise unknown_name("format", format, (*FORMATS, *FILES, *more))
    return str(more[format].load()(book, style))


def files_of(book: Report, format: str, style: Style) -> dict[str, bytes] | None:  # noqa: A002 -- likewise
    """Return the files of a format that is files, by their usual names; None for a format that is a text."""
    return FILES[format](book, style) if format in FILES else None


def render_records(
    records: Sequence[Record],
    format: str,  # noqa: A002 -- the option's own name
    *,
    width: int = WIDTH,
    color: bool = False,
    price: float | None = None,
    counts: CountsOf | None = None,
) -> str:
    """Return the report on these records; UsageError for a format that is not in the table.

    The rungs of a ladder stand in its own tables, all other records in plain ones. `width`, in columns, and
    `color` are for text alone; the other formats are for files. `price`, in USD an hour, and `counts`, which
    pair changes of quality, are for ladders.
    """
    book = build_report(records, CostFactors((price_of(price),)), counts)
    return write_report(book, format, Style(width=width, color=color))


def as_text(records: Sequence[Record], *, width: int = WIDTH, color: bool = False) -> str:
    """Return the report on these records, ladders in plain tables too, for a terminal of this width."""
    tables = [*speed_table(records), *overview(records)]
    return "\n".join(terminal.render_table(table, width=width, color=color) for table in tables) or NOTHING


def as_markdown(records: Sequence[Record]) -> str:
    """Return the same as GitHub Markdown."""
    return "\n".join(map(markdown.render_table, [*speed_table(records), *overview(records)])) or NOTHING
