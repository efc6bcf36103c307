"""GitHub's view of a job step: its summary, in Markdown, and annotations, which are lines of its log.

    ::error title=...::message      a cell that failed
    ::warning title=...::message    rounds that are missing, a warning

GitHub ends an annotation at a line break and reads `::`, `,` and `%` as syntax, so these are escaped. It
shows ten annotations of each level per step, so there is one for each kind of warning, not for each record.
"""

from collections.abc import Iterator

from reports.layout.escaping import printable
from reports.layout.style import Style
from reports.render import markdown
from reports.report import DEFAULT_TABLES, Report, tables_of
from reports.values.figures import Figures

LARGEST_BYTES = 1_000_000
"""GitHub rejects a summary above 1 MiB, which includes all that the step wrote before."""

_MOST_SENTENCES = 3
"""Sentences of one kind of warning in an annotation; the report has all of them."""


def as_summary(report: Report, style: Style) -> str:
    """Return the step's summary: the verdict, and as many tables in Markdown as GitHub accepts."""
    parts = ["## bench\n", markdown.render_verdicts(report.verdict_texts())]
    tables = [markdown.render_table(table) for table in tables_of(report, style.tables or DEFAULT_TABLES)]
    size = len("".join(parts).encode())
    for number, table in enumerate(tables):
        size += len(table.encode()) + 1
        if size > LARGEST_BYTES:
            omitted = len(tables) - number
            parts.append(f"{omitted} more tables are left out: GitHub accepts at most 1 MiB.\n")
            break
        parts.append(table)
    return "\n".join(parts) if tables else f"{parts[0]}\nNo records.\n"


def as_annotations(report: Report, style: Style) -> str:
    """Return a line for each failure and for each kind of warning."""
    del style
    lines = (*_failures(report.all_figures), *_warnings(report.all_figures))
    return "".join(f"{line}\n" for line in lines)


def annotation(level: str, title: str, message: str) -> str:
    """Return one workflow command that GitHub shows as an annotation; `level` is error, warning or notice."""
    escaped = printable(title).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={escaped}::{printable(message).replace('%', '%25')}"


def _failures(everything: list[Figures]) -> Iterator[str]:
    for figures in everything:
        record, failure = figures.record, figures.record.failure
        if record.status != "complete":
            level = "error" if record.status == "failed" else "warning"
            message = (
                f"{failure.message} {failure.remedy or ''}".strip() if failure else "no reason was recorded"
            )
            yield annotation(level, f"{record.cell.variant} on {record.cell.task}: {record.status}", message)


def _warnings(everything: list[Figures]) -> Iterator[str]:
    sentences: dict[str, dict[str, None]] = {}
    next_steps: dict[str, str] = {}
    for warning in (warning for figures in everything for warning in figures.warnings):
        sentences.setdefault(warning.code, {})[warning.sentence] = None
        next_steps.setdefault(warning.code, warning.next_step)
    for code, distinct in sentences.items():
        omitted = len(distinct) - _MOST_SENTENCES
        more = f" (and {omitted} more)" if omitted > 0 else ""
        message = f"{' '.join(list(distinct)[:_MOST_SENTENCES])}{more} {next_steps[code]}"
        yield annotation("warning", f"warning: {code}", message)
