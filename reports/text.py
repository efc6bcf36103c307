"""A report for the terminal: as wide as it is, plain where colour is not wanted.

A table that does not fit is cut between its parts (speed, energy, cost), each beside the names again; if that
is not enough, intervals go below their values, and at last columns are dealt out one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from reports.cells import Cell, Column, Part, Table
from reports.lines import Line, Piece, Style, cells_of, low, painted, row, shares, wrapped
from reports.plain import printable

WIDTH = 80

_GAP = 2
_NAME_WIDTH = 28
_CUTS: tuple[tuple[tuple[Part, ...], ...], ...] = (
    (("speed", "energy", "cost"),),
    (("speed", "energy"), ("cost",)),
    (("speed",), ("energy",), ("cost",)),
)

Block = tuple[list[int], bool]
"""Columns by index, names included, and whether intervals go below their values."""


def wants_color(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether to use colour: on a terminal, unless NO_COLOR is set to anything (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def render_table(table: Table, *, width: int = WIDTH, color: bool = False) -> str:
    """Return one table with its notes, doubts and facts."""
    lines = [
        *_wrapped(table.title, width, "bold"),
        (),
        *(line for block in blocks(table, width) for line in (*_block(table, *block, width=width), ())),
        *_grid([(f"({number})", [note]) for number, note in enumerate(table.notes, 1)], width, ""),
        *(line for remark in table.remarks for line in _wrapped(remark, width, "dim")),
        *_doubts(table, width),
        *_facts(table, width),
    ]
    return "".join(f"{painted(line, color=color)}\n" for line in lines)


def blocks(table: Table, width: int) -> list[Block]:
    """Return how to cut a table to a width: the fewest cuts that keep rows on one line."""
    for cut in _CUTS:
        parts = [columns for part in cut if len(columns := _columns_of(table, part)) > 1]
        if all(_needed(table, part, stacked=False) <= width for part in parts):
            return [(part, False) for part in parts]
    return [block for part in parts for block in _stacked(table, part, width)]


def _stacked(table: Table, part: list[int], width: int) -> list[Block]:
    """Return one part as it fits: inline, stacked, or dealt out to tables of as many columns as fit."""
    if _needed(table, part, stacked=False) <= width:
        return [(part, False)]
    name, *others = part
    dealt = [[name]]
    for index in others:
        if len(dealt[-1]) > 1 and _needed(table, [*dealt[-1], index], stacked=True) > width:
            dealt.append([name])
        dealt[-1].append(index)
    return [(indexes, True) for indexes in dealt]


def _columns_of(table: Table, parts: Sequence[Part]) -> list[int]:
    return [at for at, column in enumerate(table.columns) if column.part in ("name", *parts)]


def _needed(table: Table, indexes: Sequence[int], *, stacked: bool) -> int:
    widths = [_width(table.columns[at], [row[at] for row in table.rows], stacked=stacked) for at in indexes]
    return sum(widths) + _GAP * (len(widths) - 1)


def _width(column: Column, cells: Sequence[Cell], *, stacked: bool) -> int:
    """Return the width of the widest cell or heading word.

    Names are folded at a limit of their own; of a column that folds it is the least width.
    """
    shown = [part for cell in cells for part in _shown(cell, stacked=stacked)]
    if column.folds:
        shown = [word for part in shown for word in part.split()]
    widest = max(map(cells_of, [*column.heading.split(), *shown]))
    return min(widest, _NAME_WIDTH) if column.part == "name" or column.folds else widest


def _shown(cell: Cell, *, stacked: bool) -> tuple[str, ...]:
    lines = tuple(map(printable, cell.lines))
    return lines if stacked else (" ".join(lines),)


def _block(table: Table, indexes: Sequence[int], stacked: bool, *, width: int) -> Iterator[Line]:
    columns = [table.columns[at] for at in indexes]
    widths = _widths(table, indexes, stacked=stacked, width=width)
    right = [column.align == "right" for column in columns]
    headings = [_wrapped(column.heading, wide, "bold") for column, wide in zip(columns, widths, strict=True)]
    yield from row(low(headings), widths, _GAP, right=right)
    yield (Piece("\u2500" * (sum(widths) + _GAP * (len(widths) - 1))),)
    for cells in table.rows:
        shown = [_cell(cells[at], wide, stacked=stacked) for at, wide in zip(indexes, widths, strict=True)]
        yield from row(shown, widths, _GAP, right=right)


def _widths(table: Table, indexes: Sequence[int], *, stacked: bool, width: int) -> list[int]:
    """Return the width of every column; those that fold share what the others leave."""
    needed = max(width, _needed(table, indexes, stacked=stacked))  # digits are never cut off
    found = {
        at: _width(table.columns[at], [one[at] for one in table.rows], stacked=stacked) for at in indexes
    }
    folds = [at for at in indexes if table.columns[at].folds]
    left = needed - _GAP * (len(indexes) - 1) - sum(found[at] for at in indexes if at not in folds)
    natural = [
        max(
            map(
                cells_of,
                [table.columns[at].heading, *(_shown(one[at], stacked=False)[0] for one in table.rows)],
            )
        )
        for at in folds
    ]
    return list((found | dict(zip(folds, shares(natural, left), strict=True))).values())


def _cell(cell: Cell, width: int, *, stacked: bool) -> list[Line]:
    """Return a cell's lines: intervals are dim, beside the value or below it."""
    first, *rest = map(printable, cell.lines)
    values = _wrapped(first, width, "")
    intervals: list[Line] = [(Piece(each, "dim"),) for each in rest]
    if stacked or not intervals:
        return [*values, *intervals]
    return [*values[:-1], (*values[-1], Piece(" "), *intervals[0])]


def _wrapped(text: str, width: int, style: Style) -> list[Line]:
    return [(Piece(line, style),) for line in wrapped(printable(text), width)]


def _doubts(table: Table, width: int) -> list[Line]:
    if not table.doubts:
        return []
    rows = [
        (doubt.code, [*doubt.sentences, *(f"-> {step}" for step in doubt.next_steps)])
        for doubt in table.doubts
    ]
    return [(), (Piece("Doubts", "bold"),), *_grid(rows, width, "yellow")]


def _facts(table: Table, width: int) -> list[Line]:
    if not table.facts:
        return []
    rows = [(fact.label, [fact.text]) for fact in table.facts]
    return [(), (Piece("What was measured", "bold"),), *_grid(rows, width, "dim")]


def _grid(rows: Sequence[tuple[str, Sequence[str]]], width: int, style: Style) -> list[Line]:
    """Return labels beside their lines, all lines at one indent."""
    labels = [printable(label) for label, _ in rows]
    own = max(map(cells_of, labels), default=0)
    room = max(width - own - _GAP, 1)
    found: list[Line] = []
    for label, (_, texts) in zip(labels, rows, strict=True):
        told = [line for text in texts for line in _wrapped(text, room, "")]
        found += row([[(Piece(label, style),)], told], [own, room], _GAP, right=[False, False])
    return found
