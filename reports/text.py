"""A report for the terminal: as wide as it is, plain where colour is not wanted.

A table that does not fit is cut between its parts (speed, energy, cost), each beside the names again; if that
is not enough, intervals go below their values, and at last columns are dealt out one by one.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from harness.record import Record
from reports.cells import Cell, Column, Part, Table
from reports.overview import overview
from reports.plain import printable
from reports.table import speed_table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable

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


def as_text(records: Sequence[Record], *, width: int = WIDTH, color: bool = False) -> str:
    """Return the report on these records for a terminal of this width."""
    if not records:
        return "No records.\n"
    return "\n".join(
        render_table(table, width=width, color=color) for table in [*speed_table(records), *overview(records)]
    )


def wants_color(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether to use colour: on a terminal, unless NO_COLOR is set to anything (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def render_table(table: Table, *, width: int = WIDTH, color: bool = False) -> str:
    """Return one table with its notes, doubts and facts."""
    out = io.StringIO()
    console = _console(out, width, color=color)
    _title(console, table)
    for indexes, stacked in blocks(table, width):
        needed = max(width, _needed(table, indexes, stacked=stacked))  # digits are never cut off
        _console(out, needed, color=color).print(_rich_table(table, indexes, stacked=stacked))
        console.print()
    _grid(console, [(f"({number})", [note]) for number, note in enumerate(table.notes, 1)], style="default")
    for remark in table.remarks:
        console.print(_plain(remark), style="dim")
    _doubts(console, table)
    _facts(console, table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


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
    from rich.cells import cell_len

    shown = [part for cell in cells for part in _shown(cell, stacked=stacked)]
    if column.folds:
        shown = [word for part in shown for word in part.split()]
    widest = max(map(cell_len, [*column.heading.split(), *shown]))
    return min(widest, _NAME_WIDTH) if column.part == "name" or column.folds else widest


def _shown(cell: Cell, *, stacked: bool) -> tuple[str, ...]:
    lines = tuple(map(printable, cell.lines))
    return lines if stacked else (" ".join(lines),)


def _console(out: io.StringIO, width: int, *, color: bool) -> "Console":
    from rich.console import Console

    return Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )


def _rich_table(table: Table, indexes: Sequence[int], *, stacked: bool) -> "RichTable":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    made = RichTable(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style="bold"
    )
    for at in indexes:
        column = table.columns[at]
        width = _width(column, [row[at] for row in table.rows], stacked=stacked)
        made.add_column(
            _plain(column.heading),
            justify=column.align,
            vertical="top",
            width=None if column.folds else width,
            overflow="fold",
        )
    for row in table.rows:
        made.add_row(*(_cell(row[at], stacked=stacked) for at in indexes))
    return made


def _cell(cell: Cell, *, stacked: bool) -> "RenderableType":
    from rich.text import Text

    first, *rest = map(printable, cell.lines)
    made = Text(first)
    for interval in rest:
        made.append("\n" if stacked else " ").append(interval, style="dim")
    return made


def _title(console: "Console", table: Table) -> None:
    console.print(_plain(table.title), style="bold")
    console.print()


def _doubts(console: "Console", table: Table) -> None:
    if not table.doubts:
        return
    _heading(console, "Doubts")
    rows = [
        (doubt.code, [*doubt.sentences, *(f"-> {step}" for step in doubt.next_steps)])
        for doubt in table.doubts
    ]
    _grid(console, rows, style="yellow")


def _facts(console: "Console", table: Table) -> None:
    if table.facts:
        _heading(console, "What was measured")
        _grid(console, [(fact.label, [fact.text]) for fact in table.facts], style="dim")


def _heading(console: "Console", words: str) -> None:
    console.print()
    console.print(_plain(words), style="bold")


def _grid(console: "Console", rows: Sequence[tuple[str, Sequence[str]]], *, style: str) -> None:
    """Print labels beside their lines, all lines at one indent."""
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style=style)
    grid.add_column(overflow="fold")
    for label, lines in rows:
        grid.add_row(_plain(label), Text("\n".join(map(printable, lines))))
    console.print(grid)


def _plain(words: str) -> "RenderableType":
    from rich.text import Text

    return Text(printable(words))
