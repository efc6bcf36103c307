"""A report for the terminal: as wide as it is, plain where colour is not wanted.

A table that does not fit is cut between its parts (speed, energy, cost), each beside the names again; if that
is not enough, intervals go below their values, and at last columns are dealt out one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from reports.layout.escaping import printable
from reports.layout.style import WIDTH
from reports.layout.table_model import Column, Part, Table, TableCell
from reports.layout.terminal_lines import (
    Line,
    Style,
    StyledText,
    cells_of,
    low,
    painted,
    row,
    shares,
    wrapped,
)

_GAP = 2
_NAME_WIDTH = 28
_CUTS: tuple[tuple[tuple[Part, ...], ...], ...] = (
    (("speed", "energy", "cost"),),
    (("speed", "energy"), ("cost",)),
    (("speed",), ("energy",), ("cost",)),
)


def wants_color(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether to use colour: on a terminal, unless NO_COLOR is set to anything (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def render_table(table: Table, *, width: int = WIDTH, color: bool = False) -> str:
    """Return one table with its notes, warnings and facts."""
    laid = [_laid(column, [cells[at] for cells in table.rows]) for at, column in enumerate(table.columns)]
    lines = [
        *_wrapped(table.title, width, "bold"),
        (),
        *(line for block in _blocks(laid, width) for line in (*_block(*block, width=width), ())),
        *_grid([(f"({number})", [note]) for number, note in enumerate(table.notes, 1)], width, ""),
        *(line for remark in table.remarks for line in _wrapped(remark, width, "dim")),
        *_warnings(table, width),
        *_facts(table, width),
    ]
    return "".join([f"{painted(line, color=color)}\n" for line in lines])


@dataclass(frozen=True, slots=True)
class _Laid:
    """A column as a terminal shows it: the lines of its cells, and how wide it is.

    That is the width of the widest cell or heading word, with intervals `beside` their values or `below`.
    Names are folded at a limit of their own; of a column that folds it is the least width.
    """

    column: Column
    cells: Sequence[tuple[str, ...]]
    beside: int
    below: int

    def width(self, *, stacked: bool) -> int:
        return self.below if stacked else self.beside


Block = tuple[list[_Laid], bool]
"""Columns, names included, and whether intervals go below their values."""


def _laid(column: Column, cells: Sequence[TableCell]) -> _Laid:
    lines = [tuple(map(printable, cell.lines)) for cell in cells]
    parts = [part for cell in lines for part in cell]
    return _Laid(column, lines, _width(column, list(map(" ".join, lines))), _width(column, parts))


def _width(column: Column, shown: Sequence[str]) -> int:
    words = [word for part in shown for word in part.split()] if column.folds else shown
    widest = max(map(cells_of, [*column.heading.split(), *words]))
    return min(widest, _NAME_WIDTH) if column.part == "name" or column.folds else widest


def _blocks(laid: Sequence[_Laid], width: int) -> list[Block]:
    """Return how to cut a table to a width: the fewest cuts that keep rows on one line."""
    for cut in _CUTS:
        parts = [columns for part in cut if len(columns := _columns_of(laid, part)) > 1]
        if all(_needed(part, stacked=False) <= width for part in parts):
            return [(part, False) for part in parts]
    return [block for part in parts for block in _stacked(part, width)]


def _stacked(part: list[_Laid], width: int) -> list[Block]:
    """Return one part as it fits: inline, stacked, or dealt out to tables of as many columns as fit."""
    if _needed(part, stacked=False) <= width:
        return [(part, False)]
    name, *others = part
    dealt = [[name]]
    for column in others:
        if len(dealt[-1]) > 1 and _needed([*dealt[-1], column], stacked=True) > width:
            dealt.append([name])
        dealt[-1].append(column)
    return [(columns, True) for columns in dealt]


def _columns_of(laid: Sequence[_Laid], parts: Sequence[Part]) -> list[_Laid]:
    return [each for each in laid if each.column.part in ("name", *parts)]


def _needed(laid: Sequence[_Laid], *, stacked: bool) -> int:
    return sum([each.width(stacked=stacked) for each in laid]) + _GAP * (len(laid) - 1)


def _block(laid: Sequence[_Laid], stacked: bool, *, width: int) -> Iterator[Line]:
    widths = _widths(laid, stacked=stacked, width=width)
    right = [each.column.align == "right" for each in laid]
    headings = [_wrapped(each.column.heading, wide, "bold") for each, wide in zip(laid, widths, strict=True)]
    yield from row(low(headings), widths, _GAP, right=right)
    yield (StyledText("\u2500" * (sum(widths) + _GAP * (len(widths) - 1))),)
    for cells in zip(*(each.cells for each in laid), strict=True):
        shown = [_cell(cell, wide, stacked=stacked) for cell, wide in zip(cells, widths, strict=True)]
        yield from row(shown, widths, _GAP, right=right)


def _widths(laid: Sequence[_Laid], *, stacked: bool, width: int) -> list[int]:
    """Return the width of every column; those that fold share what the others leave."""
    needed = max(width, _needed(laid, stacked=stacked))  # digits are never cut off
    folds = [each for each in laid if each.column.folds]
    rest = sum(each.width(stacked=stacked) for each in laid if not each.column.folds)
    natural = [
        max(map(cells_of, [each.column.heading, *(" ".join(cell) for cell in each.cells)])) for each in folds
    ]
    folded = iter(shares(natural, needed - _GAP * (len(laid) - 1) - rest))
    return [next(folded) if each.column.folds else each.width(stacked=stacked) for each in laid]


def _cell(cell: tuple[str, ...], width: int, *, stacked: bool) -> list[Line]:
    """Return a cell's lines: intervals are dim, beside the value or below it."""
    first, *rest = cell
    values = _wrapped_line(first, width, "")
    intervals: list[Line] = [(StyledText(each, "dim"),) for each in rest]
    if stacked or not intervals:
        return [*values, *intervals]
    return [*values[:-1], (*values[-1], StyledText(" "), *intervals[0])]


def _wrapped(text: str, width: int, style: Style) -> list[Line]:
    return _wrapped_line(printable(text), width, style)


def _wrapped_line(line: str, width: int, style: Style) -> list[Line]:
    return [(StyledText(each, style),) for each in wrapped(line, width)]


def _warnings(table: Table, width: int) -> list[Line]:
    if not table.warnings:
        return []
    rows = [
        (warning.code, [*warning.sentences, *(f"-> {step}" for step in warning.next_steps)])
        for warning in table.warnings
    ]
    return [(), (StyledText("Warnings", "bold"),), *_grid(rows, width, "yellow")]


def _facts(table: Table, width: int) -> list[Line]:
    if not table.facts:
        return []
    rows = [(fact.label, [fact.text]) for fact in table.facts]
    return [(), (StyledText("What was measured", "bold"),), *_grid(rows, width, "dim")]


def _grid(rows: Sequence[tuple[str, Sequence[str]]], width: int, style: Style) -> list[Line]:
    """Return labels beside their lines, all lines at one indent."""
    labels = [printable(label) for label, _ in rows]
    own = max(map(cells_of, labels), default=0)
    room = max(width - own - _GAP, 1)
    found: list[Line] = []
    for label, (_, texts) in zip(labels, rows, strict=True):
        told = [line for text in texts for line in _wrapped(text, room, "")]
        found += row([[(StyledText(label, style),)], told], [own, room], _GAP, right=[False, False])
    return found
