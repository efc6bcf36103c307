"""Lays out text and columns for a terminal, as lines of styled text.

rich's Table takes five times as long for 10,000 rows, and cuts off digits where columns do not fit.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

TextStyle = Literal["", "bold", "dim", "yellow"]

_CODES: dict[TextStyle, str] = {"bold": "1", "dim": "2", "yellow": "33"}


class StyledText(NamedTuple):
    """Text in one style."""

    text: str
    style: TextStyle = ""


Line = tuple[StyledText, ...]


def display_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int) -> list[str]:
    """Break a text between words; a word wider than `width` is broken inside."""
    if display_width(text) <= width:
        return [text.rstrip()]
    lines, line, used = [], "", 0
    for word in re.findall(r"^ +|[^ ]+ *", text):  # each with the blanks after it
        bare = word.rstrip()
        bare_width = display_width(bare)
        if line and used + bare_width > width:
            lines.append(line.rstrip())
            line, used = "", 0
        if bare_width > width:
            from rich.cells import chop_cells

            *folded, bare = chop_cells(bare, width)
            lines += folded
            bare_width = display_width(bare)
        blanks = len(word) - len(word.rstrip())
        line += bare + " " * blanks
        used += bare_width + blanks
    return [*lines, line.rstrip()]


def painted(line: Line, *, color: bool) -> str:
    """Return a line as text for a terminal, with colour codes where `color` is set."""
    if not color:
        return "".join([piece.text for piece in line]).rstrip()
    return "".join(_painted(piece) for piece in line)


def side_by_side(
    cells: Sequence[Sequence[Line]], widths: Sequence[int], gap: int, *, right: Sequence[bool]
) -> list[Line]:
    """Return the lines of one row: cells of several lines next to each other, aligned at the top."""
    height = max(map(len, cells))
    return [
        _joined([cell[index] if index < len(cell) else () for cell in cells], widths, gap, right)
        for index in range(height)
    ]


def bottom_aligned(cells: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Return cells of equal height, padded with empty lines at the top."""
    height = max(map(len, cells))
    return [[*[()] * (height - len(cell)), *cell] for cell in cells]


def shrunk(natural: Sequence[int], width: int) -> list[int]:
    """Return column widths that fit into `width` together; the widest columns shrink first."""
    widths = list(natural)
    while sum(widths) > width and max(widths) > 1:
        widest = max(widths)
        indexes = [index for index, own in enumerate(widths) if own == widest]
        second = max([own for own in widths if own < widest], default=1)
        excess = sum(widths) - width
        for order, index in enumerate(indexes):
            taken = excess // len(indexes) + (order < excess % len(indexes))
            widths[index] = max(second, widest - taken, 1)
    return widths


def _joined(lines: Sequence[Line], widths: Sequence[int], gap: int, right: Sequence[bool]) -> Line:
    pieces: list[StyledText] = []
    between = " " * gap
    for line, width, at_right in zip(lines, widths, right, strict=True):
        used = 0
        for text, _ in line:
            used += len(text) if text.isascii() else display_width(text)
        padding = " " * (width - used)
        pieces += (
            (StyledText(padding), *line, StyledText(between))
            if at_right
            else (*line, StyledText(padding + between))
        )
    return tuple(pieces[:-1])


def _painted(piece: StyledText) -> str:
    return f"\x1b[{_CODES[piece.style]}m{piece.text}\x1b[0m" if piece.style and piece.text else piece.text
