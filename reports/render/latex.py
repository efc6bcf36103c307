r"""A report as LaTeX: tables in the booktabs style, each part of a wide one a tabular of its own.

The paper's preamble needs `\usepackage{booktabs}` and nothing else: characters beyond Latin-1 are shown by
their number, as not every engine has a font for them.
"""

import re
from collections.abc import Iterable, Sequence

from reports.layout.escaping import printable
from reports.layout.table_model import Column, Part, Table, TableCell

_CUT: tuple[tuple[Part, ...], ...] = (("speed",), ("energy",), ("cost",))

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
    "-": r"-{}",  # two in a row are a dash
    ",": r",{}",  # likewise a low quotation mark
    **{char: f"\\{char}" for char in "{}$&%#_"},
}
_PLAIN_HYPHEN = re.compile(r"(-|,)\{\}(?!\1)")
_LATIN_1_LETTERS = set(map(chr, range(0xC0, 0x100))) - set("\xd0\xde\xf0\xfe\xd7\xf7")
"""Without eth and thorn, which LaTeX's first encoding lacks, and without two signs of arithmetic."""


def escape_latex(text: str) -> str:
    """Return text that LaTeX sets as it is."""
    return _PLAIN_HYPHEN.sub(r"\1", "".join(map(_escaped, printable(text))))


def render_table(table: Table) -> str:
    """Return one table with its notes, remarks, warnings and facts."""
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\small",
        rf"\caption{{{escape_latex(table.title)}}}",
        *(line for part in _CUT for line in _tabular(table, part)),
        *_below(table),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(char: str) -> str:
    if char in _SPECIAL:
        return _SPECIAL[char]
    return char if char.isascii() or char in _LATIN_1_LETTERS else f"U+{ord(char):04X}"


def _tabular(table: Table, part: Sequence[Part]) -> list[str]:
    indexes = [at for at, column in enumerate(table.columns) if column.part in ("name", *part)]
    columns = [table.columns[at] for at in indexes]
    if len(columns) == 1:
        return []  # names alone
    return [
        rf"\begin{{tabular}}{{{''.join(map(_alignment, columns))}}}",
        r"\toprule",
        _row(map(_heading, columns)),
        r"\midrule",
        *(_row(_cell(row[at]) for at in indexes) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}\par\medskip",
    ]


def _alignment(column: Column) -> str:
    if column.folds:
        return r"p{0.3\linewidth}"
    return "r" if column.align == "right" else "l"


def _heading(column: Column) -> str:
    """Set a long heading on two lines."""
    words = column.heading.split(" ")
    if len(words) == 1 or column.folds:
        return escape_latex(column.heading)
    at = min(range(1, len(words)), key=lambda at: abs(len(" ".join(words[:at])) - len(" ".join(words[at:]))))
    first, second = (escape_latex(" ".join(part)) for part in (words[:at], words[at:]))
    return rf"\shortstack[{_alignment(column)}]{{{first}\\{second}}}"


def _row(cells: Iterable[str]) -> str:
    """Join cells; braces keep a bracket or star at the start of a row from being read as an argument."""
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
