r"""A report as LaTeX: tables in the booktabs style, with one tabular for each part of a table.

The document's preamble needs only `\usepackage{booktabs}`. Characters beyond Latin-1 are written as their
code points, because some engines lack fonts for them.
"""

import re
from collections.abc import Iterable

from reports.layout.escaping import printable
from reports.layout.table_model import Column, Part, Table, TableCell

_SPLIT: tuple[Part, ...] = ("speed", "energy", "cost")

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotesingle{}\textquotesingle{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"-{}",  # LaTeX turns two in a row into a dash
    ",": r",{}",  # and two commas into a low quotation mark
    **{char: f"\\{char}" for char in "{}$&%#_"},
}
_PLAIN_HYPHEN = re.compile(r"(-|,)\{\}(?!\1)")
_LATIN_1_LETTERS = set(map(chr, range(0xC0, 0x100))) - set("\xd0\xde\xf0\xfe\xd7\xf7")
"""Without eth and thorn, which LaTeX's OT1 encoding lacks, and without the signs for times and divided by."""


def escape_latex(text: str) -> str:
    """Return text that LaTeX sets literally."""
    return _PLAIN_HYPHEN.sub(r"\1", "".join(map(_escaped, printable(text))))


def render_table(table: Table) -> str:
    """Return one table with its notes, remarks, warnings and facts."""
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\small",
        rf"\caption{{{escape_latex(table.title)}}}",
        *(line for part in _SPLIT for line in _tabular(table, part)),
        *_below(table),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(char: str) -> str:
    if char in _SPECIAL:
        return _SPECIAL[char]
    return char if char.isascii() or char in _LATIN_1_LETTERS else f"U+{ord(char):04X}"


def _tabular(table: Table, part: Part) -> list[str]:
    """Return the names and the columns of one part; nothing where there are only names."""
    indexes = [index for index, column in enumerate(table.columns) if column.part in ("name", part)]
    columns = [table.columns[index] for index in indexes]
    if len(columns) == 1:
        return []
    return [
        rf"\begin{{tabular}}{{{''.join(map(_alignment, columns))}}}",
        r"\toprule",
        _row(map(_heading, columns)),
        r"\midrule",
        *(_row(_cell(row[index]) for index in indexes) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}\par\medskip",
    ]


def _alignment(column: Column) -> str:
    if column.folds:
        return r"p{0.3\linewidth}"
    return "r" if column.align == "right" else "l"


def _heading(column: Column) -> str:
    """Return a heading; one of several words is broken into two lines of about equal length."""
    words = column.heading.split(" ")
    if len(words) == 1 or column.folds:
        return escape_latex(column.heading)
    breaks = [(" ".join(words[:index]), " ".join(words[index:])) for index in range(1, len(words))]
    first, second = min(breaks, key=lambda halves: abs(len(halves[0]) - len(halves[1])))
    return rf"\shortstack[{_alignment(column)}]{{{escape_latex(first)}\\{escape_latex(second)}}}"


def _row(cells: Iterable[str]) -> str:
    """Return one row; without the braces LaTeX reads a bracket or star at its start as an argument."""
    return " & ".join(f"{{{cell}}}" for cell in cells) + r" \\"


def _cell(cell: TableCell) -> str:
    note = "" if cell.note is None else rf"\textsuperscript{{{cell.note}}}"
    interval = rf" {{\scriptsize {escape_latex(cell.interval)}}}" if cell.interval else ""
    return f"{escape_latex(cell.text)}{note}{interval}"


def _below(table: Table) -> list[str]:
    notes = [
        rf"\textsuperscript{{{number}}} {escape_latex(note)}" for number, note in enumerate(table.notes, 1)
    ]
    warnings = [
        rf"\textbf{{Warning, {escape_latex(warning.code)}:}} "
        + escape_latex(" ".join((*warning.sentences, *warning.next_steps)))
        for warning in table.warnings
    ]
    facts = [rf"\textbf{{{escape_latex(fact.label)}:}} {escape_latex(fact.text)}" for fact in table.facts]
    lines = [*notes, *map(escape_latex, table.remarks), *warnings, *facts]
    if not lines:
        return []
    return [
        r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
        *(rf"{line}\par" for line in lines),
        r"\end{minipage}",
    ]
