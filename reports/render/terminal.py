"""A report for the terminal: fits its width, without colour codes where colour is not wanted.

A table that does not fit is split between its parts (speed, energy, cost); each piece repeats the names. If
that is not enough, intervals move below their values, and at last each piece takes as many columns as fit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from reports.layout.escaping import printable
from reports.layout.style import WIDTH
from reports.layout.table_model import Column, Part, Table, TableCell
from reports.layout.terminal_lines import (
    Line,
    StyledText,
    TextStyle,
    bottom_aligned,
    display_width,
    painted,
    shrunk,
    side_by_side,
    wrapped,
)
from reports.layout.verdict_sentences import VerdictText

_GAP = 2
_NAME_WIDTH = 28
_SPLITS: tuple[tuple[tuple[Part, ...], ...], ...] = (
    (("speed", "energy", "cost"),),
    (("speed", "energy"), ("cost",)),
    (("speed",), ("energy",), ("cost",)),
)


def wants_color(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether to use colour: on a terminal, unless NO_COLOR is set to anything (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def render_table(table: Table, *, width: int = WIDTH, color: bool = False) -> str:
    """Return one table with its notes, remarks, warnings and facts."""
    columns = [
        _measured(column, [row[index] for row in table.rows]) for index, column in enumerate(table.columns)
    ]
    notes = [(f"({number})", [note]) for number, note in enumerate(table.notes, 1)]
    lines = [
        *_wrapped(table.title, width, "bold"),
        (),
        *(line for block in _blocks(columns, width) for line in (*_block_lines(*block, width=width), ())),
        *_labelled(notes, width, ""),
        *(line for remark in table.remarks for line in _wrapped(remark, width, "dim")),
        *_warnings(table, width),
        *_facts(table, width),
    ]
    return "".join([f"{painted(line, color=color)}\n" for line in lines])


def render_verdicts(texts: Sequence[VerdictText], *, width: int = WIDTH, color: bool = False) -> str:
    """Return the verdicts under a heading; a command stays on one line, so that it can be copied."""
    lines: list[Line] = [(StyledText("Verdict" if len(texts) == 1 else "Verdicts", "bold"),)]
    for text in texts:
        label = f"{text.about}: " if text.about else ""
        lines += _wrapped(f"{label}{text.sentence}", width, "")
        lines += [(StyledText(f"  {printable(text.command)}", "bold"),)] if text.command else []
    return "".join([f"{painted(line, color=color)}\n" for line in lines]) if texts else ""


@dataclass(frozen=True, slots=True)
class _MeasuredColumn:
    """A column as a terminal shows it: the lines of its cells, and its width.

    The width is that of the widest cell or word of the heading: `beside` with intervals next to their values,
    `below` with intervals under them. Names have a limit; a column that folds has its least width here.
    """

    column: Column
    cells: Sequence[tuple[str, ...]]
    beside: int
    below: int

    def width(self, *, stacked: bool) -> int:
        return self.below if stacked else self.beside


Block = tuple[list[_MeasuredColumn], bool]
"""Columns, names included, and whether intervals go below their values."""


def _measured(column: Column, cells: Sequence[TableCell]) -> _MeasuredColumn:
    lines = [tuple(map(printable, cell.lines)) for cell in cells]
    parts = [part for cell in lines for part in cell]
    return _MeasuredColumn(column, lines, _width(column, list(map(" ".join, lines))), _width(column, parts))


def _width(column: Column, texts: Sequence[str]) -> int:
    unbroken = [word for text in texts for word in text.split()] if column.folds else texts
    widest = max(map(display_width, [*column.heading.split(), *unbroken]))
    return min(widest, _NAME_WIDTH) if column.part == "name" or column.folds else widest


def _blocks(columns: Sequence[_MeasuredColumn], width: int) -> list[Block]:
    """Return the split of a table for a width: the fewest pieces that keep each row on one line."""
    for split in _SPLITS:
        pieces = [piece for parts in split if len(piece := _columns_of(columns, parts)) > 1]
        if all(_total_width(piece, stacked=False) <= width for piece in pieces):
            return [(piece, False) for piece in pieces]
    return [block for piece in pieces for block in _fitted(piece, width)]


def _fitted(piece: list[_MeasuredColumn], width: int) -> list[Block]:
    """Return a piece with intervals beside, or below and split into as many columns at a time as fit."""
    if _total_width(piece, stacked=False) <= width:
        return [(piece, False)]
    name, *others = piece
    blocks = [[name]]
    for column in others:
        if len(blocks[-1]) > 1 and _total_width([*blocks[-1], column], stacked=True) > width:
            blocks.append([name])
        blocks[-1].append(column)
    return [(columns, True) for columns in blocks]


def _columns_of(columns: Sequence[_MeasuredColumn], parts: Sequence[Part]) -> list[_MeasuredColumn]:
    return [measured for measured in columns if measured.column.part in ("name", *parts)]


def _total_width(columns: Sequence[_MeasuredColumn], *, stacked: bool) -> int:
    return sum([measured.width(stacked=stacked) for measured in columns]) + _GAP * (len(columns) - 1)


def _block_lines(columns: Sequence[_MeasuredColumn], stacked: bool, *, width: int) -> Iterator[Line]:
    widths = _widths(columns, stacked=stacked, width=width)
    right = [measured.column.align == "right" for measured in columns]
    headings = [
        _wrapped(measured.column.heading, own, "bold") for measured, own in zip(columns, widths, strict=True)
    ]
    yield from side_by_side(bottom_aligned(headings), widths, _GAP, right=right)
    yield (StyledText("\u2500" * (sum(widths) + _GAP * (len(widths) - 1))),)
    for row in zip(*(measured.cells for measured in columns), strict=True):
        cells = [_cell_lines(cell, own, stacked=stacked) for cell, own in zip(row, widths, strict=True)]
        yield from side_by_side(cells, widths, _GAP, right=right)


def _widths(columns: Sequence[_MeasuredColumn], *, stacked: bool, width: int) -> list[int]:
    """Return the width of every column; columns that fold share the space that the others leave."""
    available = max(width, _total_width(columns, stacked=stacked))  # digits are never cut off
    natural = [
        max(map(display_width, [measured.column.heading, *map(" ".join, measured.cells)]))
        for measured in columns
        if measured.column.folds
    ]
    fixed = sum(measured.width(stacked=stacked) for measured in columns if not measured.column.folds)
    folded = iter(shrunk(natural, available - _GAP * (len(columns) - 1) - fixed))
    return [
        next(folded) if measured.column.folds else measured.width(stacked=stacked) for measured in columns
    ]


def _cell_lines(cell: tuple[str, ...], width: int, *, stacked: bool) -> list[Line]:
    """Return the lines of a cell; its interval is dim, beside the value or below it."""
    text, *rest = cell
    values = _wrapped_line(text, width, "")
    intervals: list[Line] = [(StyledText(interval, "dim"),) for interval in rest]
    if stacked or not intervals:
        return [*values, *intervals]
    return [*values[:-1], (*values[-1], StyledText(" "), *intervals[0])]


def _wrapped(text: str, width: int, style: TextStyle) -> list[Line]:
    return _wrapped_line(printable(text), width, style)


def _wrapped_line(line: str, width: int, style: TextStyle) -> list[Line]:
    return [(StyledText(part, style),) for part in wrapped(line, width)]


def _warnings(table: Table, width: int) -> list[Line]:
    rows = [
        (warning.code, [*warning.sentences, *(f"-> {step}" for step in warning.next_steps)])
        for warning in table.warnings
    ]
    return _section("Warnings", rows, width, "yellow")


def _facts(table: Table, width: int) -> list[Line]:
    return _section("What was measured", [(fact.label, [fact.text]) for fact in table.facts], width, "dim")


def _section(
    heading: str, rows: Sequence[tuple[str, Sequence[str]]], width: int, style: TextStyle
) -> list[Line]:
    return [(), (StyledText(heading, "bold"),), *_labelled(rows, width, style)] if rows else []


def _labelled(rows: Sequence[tuple[str, Sequence[str]]], width: int, style: TextStyle) -> list[Line]:
    """Return labels with their texts beside them; all texts have the same indent."""
    labels = [printable(label) for label, _ in rows]
    label_width = max(map(display_width, labels), default=0)
    text_width = max(width - label_width - _GAP, 1)
    lines: list[Line] = []
    for label, (_, texts) in zip(labels, rows, strict=True):
        text_lines = [line for text in texts for line in _wrapped(text, text_width, "")]
        cells: list[list[Line]] = [[(StyledText(label, style),)], text_lines]
        lines += side_by_side(cells, [label_width, text_width], _GAP, right=[False, False])
    return lines
