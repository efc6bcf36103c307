"""A report as GitHub Markdown: for pull requests, the summary of a job, a README."""

from collections.abc import Iterable, Sequence

from reports.layout.escaping import escape_markdown, printable
from reports.layout.table_model import Column, Part, Table, TableCell
from reports.layout.verdict_sentences import VerdictText

_SPLIT: tuple[tuple[Part, ...], ...] = (("speed", "energy"), ("cost",))
"""GitHub scrolls rows of more than about 100 characters: gains come first, absolute figures below."""


def render_table(table: Table) -> str:
    """Return one table with its notes, remarks, warnings and facts."""
    sections = (
        [f"### {escape_markdown(table.title)}"],
        *(_grid(table, parts) for parts in _SPLIT),
        [f"{number}. {escape_markdown(note)}" for number, note in enumerate(table.notes, 1)],
        [f"{escape_markdown(remark)}  " for remark in table.remarks],
        _warnings(table),
        _facts(table),
    )
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def render_verdicts(texts: Sequence[VerdictText]) -> str:
    """Return the verdicts as paragraphs, each with its command in a block of code."""
    parts = []
    for text in texts:
        label = f"{escape_markdown(text.about)}: " if text.about else ""
        parts.append(f"**Verdict.** {label}{escape_markdown(text.sentence)}\n")
        if text.command:
            parts.append(f"```sh\n{printable(text.command)}\n```\n")
    return "\n".join(parts)


def markdown_row(cells: Iterable[str]) -> str:
    """Return one row of a Markdown table from escaped cells."""
    return f"| {' | '.join(cells)} |"


def _grid(table: Table, parts: tuple[Part, ...]) -> list[str]:
    """Return the names and the columns of these parts; nothing where there are only names."""
    indexes = [index for index, column in enumerate(table.columns) if column.part in ("name", *parts)]
    columns = [table.columns[index] for index in indexes]
    if len(columns) == 1:
        return []
    return [
        markdown_row(escape_markdown(column.heading) for column in columns),
        markdown_row(map(_alignment, columns)),
        *(markdown_row(_cell(row[index]) for index in indexes) for row in table.rows),
    ]


def _alignment(column: Column) -> str:
    return "---:" if column.align == "right" else ":---"


def _cell(cell: TableCell) -> str:
    text, *interval = cell.lines  # intervals come from this package, and their brackets make no link
    return " ".join([escape_markdown(text), *interval])


def _warnings(table: Table) -> list[str]:
    if not table.warnings:
        return []
    lines = ["**Warnings**", ""]
    for warning in table.warnings:
        sentences = " ".join(map(escape_markdown, warning.sentences))
        lines.append(f"- **{escape_markdown(warning.code)}**: {sentences}")
        lines += [f"  - {escape_markdown(step)}" for step in warning.next_steps]
    return lines


def _facts(table: Table) -> list[str]:
    if not table.facts:
        return []
    facts = [f"- {fact.label}: {escape_markdown(fact.text)}" for fact in table.facts]
    return ["**What was measured**", "", *facts]
