"""The formats of a report by name, and the functions that the command line and programs call."""

from collections.abc import Callable, Sequence

from harness.common.errors import UsageError, unknown_name
from harness.common.json_types import JsonObject
from harness.common.plugins import usable
from harness.records.record import Record
from reports import exports
from reports.exports.tidy.tidy_csv import as_csv
from reports.layout.style import WIDTH, Style
from reports.render import latex, markdown, terminal
from reports.render.json_values import with_rows
from reports.render.ladder_json import ladder_fields
from reports.render.verdict_json import verdict_fields
from reports.report import DEFAULT_TABLES, TABLES, Report, build_report, tables_of
from reports.values.figures import all_figures
from reports.values.footprint import CostFactors
from reports.values.ladder_values import CountsOf
from reports.values.multiple_testing import in_one_family
from reports.values.prices import price_of

_EMPTY = "No records.\n"


def _text(report: Report, style: Style) -> str:
    """Return the tables, and at the end the verdict: a reader sees the last lines first."""
    tables = tables_of(report, style.tables or DEFAULT_TABLES)
    if not tables:
        return _EMPTY
    rendered = [terminal.render_table(table, width=style.width, color=style.color) for table in tables]
    footer = "".join(f"{line}\n" for line in style.footer)
    verdicts = terminal.render_verdicts(report.verdict_texts(), width=style.width, color=style.color)
    return "\n".join([*rendered, *([footer] if footer else []), verdicts])


def _markdown(report: Report, style: Style) -> str:
    """Return the verdict, and below it the tables."""
    tables = tables_of(report, style.tables or DEFAULT_TABLES)
    if not tables:
        return _EMPTY
    verdicts = markdown.render_verdicts(report.verdict_texts())
    return "\n".join([verdicts, *map(markdown.render_table, tables)])


def _latex(report: Report, style: Style) -> str:
    return "\n".join(map(latex.render_table, tables_of(report, style.tables or tuple(TABLES))))


def _json(report: Report, style: Style) -> str:
    del style
    verdicts: JsonObject = {"verdicts": [verdict_fields(verdict) for verdict in report.verdicts()]}
    if not report.ladders:
        return with_rows(verdicts, report.groups)
    ladders = [ladder_fields(ladder) for ladder in report.ladders]
    return with_rows({**verdicts, "ladders": ladders}, in_one_family(all_figures(report.records)))


def _html(report: Report, style: Style) -> str:
    from reports.html import as_page  # with its templates; other formats do without

    return as_page(report, style)


FORMATS: dict[str, Callable[[Report, Style], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
    "csv": lambda report, _: as_csv(report),
    "html": _html,
    "json": _json,
    **exports.TEXTS,
}
"""The renderers of text formats by their names on the command line."""

FILES: dict[str, Callable[[Report, Style], dict[str, bytes]]] = exports.FILES
"""The renderers of formats that are files by name: several files, or a binary one."""


UNMARKED = ("bencher", "codecarbon", "github-action-benchmark", "pytest-benchmark")
"""Formats that have no place to mark a run as unfinished."""

MARKS_UNFINISHED = "marks_unfinished"
"""The attribute by which a plug-in's format declares that it marks a report that is `unfinished`."""


def check_finished(report: Report, format: str) -> None:  # noqa: A002 -- the option's own name
    """Raise UsageError for a run that is not finished in a format that cannot mark it."""
    if report.unfinished and format in UNMARKED:
        raise UsageError(
            f"the run is not finished, and the format {format} has no place to mark it.",
            remedy="`bench run --resume` finishes it; text, markdown, html, csv and json mark it.",
        )


def write_report(report: Report, format: str, style: Style) -> str:  # noqa: A002 -- the option's own name
    """Return a report in a text format, plug-ins included; raises UsageError for an unknown format."""
    check_finished(report, format)
    if format in FORMATS:
        return FORMATS[format](report, style)
    plugins = usable("report", (*FORMATS, *FILES))
    if format not in plugins:
        raise unknown_name("format", format, (*FORMATS, *FILES, *plugins))
    plugin = plugins[format]
    function = plugin.load()
    if report.unfinished and plugin.call(getattr, function, MARKS_UNFINISHED, False) is not True:
        raise UsageError(
            f"the run is not finished, and {plugin.description} does not mark such runs.",
            remedy=f"`bench run --resume` finishes it. A format that marks it has {MARKS_UNFINISHED} = True.",
        )
    return plugin.check(str, "what it returns", plugin.call(function, report, style))


def files_of(report: Report, format: str, style: Style) -> dict[str, bytes] | None:  # noqa: A002 -- likewise
    """Return the files of a format by their usual names; None for a text format."""
    check_finished(report, format)
    return FILES[format](report, style) if format in FILES else None


def render_records(
    records: Sequence[Record],
    format: str,  # noqa: A002 -- the option's own name
    *,
    width: int = WIDTH,
    color: bool = False,
    price: float | None = None,
    counts: CountsOf | None = None,
) -> str:
    """Return the report on these records; raises UsageError for an unknown format.

    The rungs of a ladder have tables of their own. `width`, in columns, and `color` apply to text. `price`,
    in USD an hour, applies to ladders. `counts` pair changes of quality by example.
    """
    report = build_report(records, CostFactors((price_of(price),)), counts)
    return write_report(report, format, Style(width=width, color=color))
