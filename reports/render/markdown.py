"""A report as GitHub Markdown: for pull requests, the step summary of a job, a README."""

from collections.abc import Iterable, Sequence

from reports.layout.escaping import escape_markdown
from reports.layout.table_model import Column, Part, Table, TableCell

_CUT: tuple[tuple[Part, ...], ...] = (("speed", "energy"), ("cost",))
"""GitHub shows about 100 characters in a row before it scrolls: gains first, what they are made of below."""


def render_table(table: Table) -> str:
    """Return one table with its notes, warnings and facts."""
    sections = (
        [f"### {escape_markdown(table.title)}"],
        *(_rows(table, parts) for parts in _CUT),
        [f"{number}. {escape_markdown(note)}" for number, note in enumerate(table.notes, 1)],
        [f"{escape_markdown(remark)}  " for remark in table.remarks],
        _warnings(table),
        _facts(table),
    )
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _rows(table: Table, parts: Sequence[Part]) -> list[str]:
    indexes = [at for at, column in enumerate(table.columns) if column.part in ("name", *parts)]
    columns = [table.columns[at] for at in indexes]
    if len(columns) == 1:
        return []  # names alone
    return [
        _row(escape_markdown(column.heading) for column in columns),
        _row(map(_rule, columns)),
        *(_row(_cell(row[at]) for at in indexes) for row in table.rows),
    ]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(column: Column) -> str:
    return "---:" if column.align == "right" else ":---"


def _cell(cell: TableCell) -> str:
    text, *interval = cell.lines  # intervals are ours, and link to nothing
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
    return [
        "**What was measured**",
        "",
        *(f"- {fact.label}: {escape_markdown(fact.text)}" for fact in table.facts),
    ]
