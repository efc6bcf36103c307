"""What GitHub shows of a step: its summary, in Markdown, and annotations, which are lines of its log.

    ::error title=...::message      a cell that failed
    ::warning title=...::message    rounds that are missing, a warning

GitHub takes a line break for the end of an annotation, and `::`, `,` and `%` for syntax: all are escaped. It
shows ten of each kind a step, so there is one for each kind of warning, not one for each record.
"""

from collections.abc import Iterator

from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.render import markdown
from reports.report import UNASKED, Report, tables_of
from reports.values.figures import Figures

LARGEST_BYTES = 1_000_000
"""GitHub refuses a step's summary above 1 MiB, all that the step wrote before counted in."""

_SHOWN = 3
"""Sentences of one warning in an annotation; all stand in the report."""


def as_summary(book: Report, style: Style) -> str:
    """Return the step's summary: the tables as Markdown under a heading, as many as GitHub takes."""
    parts = ["## bench\n"]
    tables = [markdown.render_table(table) for table in tables_of(book, style.tables or UNASKED)]
    size = len(parts[0].encode())
    for number, table in enumerate(tables):
        size += len(table.encode()) + 1
        if size > LARGEST_BYTES:
            left = len(tables) - number
            parts.append(f"{left} more tables are left out: GitHub takes no more than 1 MiB.\n")
            break
        parts.append(table)
    return "\n".join(parts) if tables else f"{parts[0]}\nNo records.\n"


def as_annotations(book: Report, style: Style) -> str:
    """Return a line for each failure and for each kind of warning; nothing where there is neither."""
    del style
    items = [item for group in book.every for item in group]
    return "".join(f"{line}\n" for line in (*_failures(items), *_warnings(items)))


def annotation(level: str, title: str, message: str) -> str:
    """Return one workflow command that GitHub shows as an annotation; `level` is error, warning or notice."""
    head = printable(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={head}::{printable(message).replace('%', '%25')}"


def _failures(items: list[Figures]) -> Iterator[str]:
    for item in items:
        record, failure = item.record, item.record.failure
        if record.status != "complete":
            level = "error" if record.status == "failed" else "warning"
            why = f"{failure.message} {failure.remedy or ''}".strip() if failure else "no reason was kept"
            yield annotation(level, f"{record.cell.variant} on {record.cell.task}: {record.status}", why)


def _warnings(items: list[Figures]) -> Iterator[str]:
    said: dict[str, dict[str, None]] = {}
    steps: dict[str, str] = {}
    for warning in (warning for item in items for warning in item.warnings):
        said.setdefault(warning.code, {})[warning.sentence] = None
        steps.setdefault(warning.code, warning.next_step)
    for code, sentences in said.items():
        more = f" (and {len(sentences) - _SHOWN} more)" if len(sentences) > _SHOWN else ""
        message = f"{' '.join(list(sentences)[:_SHOWN])}{more} {steps[code]}"
        yield annotation("warning", f"warning: {code}", message)
