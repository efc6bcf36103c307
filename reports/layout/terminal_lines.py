"""Words and columns laid out for a terminal, as lines of pieces, each with its style.

A library can do it, at some milliseconds for each row; a report may have ten thousand rows.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Style = Literal["", "bold", "dim", "yellow"]

_CODES: dict[Style, str] = {"bold": "1", "dim": "2", "yellow": "33"}


class StyledText(NamedTuple):
    """Text in one style."""

    text: str
    style: Style = ""


Line = tuple[StyledText, ...]


def cells_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int) -> list[str]:
    """Break a text between words; a word that is wider than the terminal is folded."""
    if cells_of(text) <= width:
        return [text.rstrip()]
    lines, line, used = [], "", 0
    for word in _words(text):
        bare = word.rstrip()
        own = cells_of(bare)
        if line and used + own > width:
            lines.append(line.rstrip())
            line, used = "", 0
        if own > width:
            *folded, word = _folded(word, width)  # noqa: PLW2901 -- what is left of it
            lines += folded
            bare = word.rstrip()
            own = cells_of(bare)
        line += word
        used += own + len(word) - len(bare)
    return [*lines, line.rstrip()]


def painted(line: Line, *, color: bool) -> str:
    """Return a line as a terminal takes it."""
    if not color:
        return "".join([piece.text for piece in line]).rstrip()
    return "".join(_painted(piece) for piece in line)


def row(
    cells: Sequence[Sequence[Line]], widths: Sequence[int], gap: int, *, right: Sequence[bool]
) -> list[Line]:
    """Set cells of several lines side by side, the first lines level."""
    height = max(map(len, cells))
    return [
        _joined([cell[at] if at < len(cell) else () for cell in cells], widths, gap, right)
        for at in range(height)
    ]


def low(cells: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Return cells with empty lines above, so that their last lines are level."""
    height = max(map(len, cells))
    return [[*[()] * (height - len(cell)), *cell] for cell in cells]


def shares(natural: Sequence[int], width: int) -> list[int]:
    """Return widths that together fit, by taking from the widest first."""
    found = list(natural)
    while sum(found) > width and max(found) > 1:
        widest = max(found)
        at = [place for place, each in enumerate(found) if each == widest]
        second = max([each for each in found if each < widest], default=1)
        over = sum(found) - width
        for number, place in enumerate(at):
            taken = over // len(at) + (number < over % len(at))
            found[place] = max(second, widest - taken, 1)
    return found


def _words(text: str) -> list[str]:
    """Return words with the blanks that follow them."""
    return re.findall(r"^ +|[^ ]+ *", text)


def _folded(word: str, width: int) -> list[str]:
    parts = [""]
    for char in word:
        if cells_of(parts[-1]) + cells_of(char) > width:
            parts.append("")
        parts[-1] += char
    return parts


def _joined(lines: Sequence[Line], widths: Sequence[int], gap: int, right: Sequence[bool]) -> Line:
    made: list[StyledText] = []
    between = " " * gap
    for line, width, at_right in zip(lines, widths, right, strict=True):
        used = 0
        for text, _ in line:
            used += len(text) if text.isascii() else cells_of(text)
        room = " " * (width - used)
        made += (
            (StyledText(room), *line, StyledText(between))
            if at_right
            else (*line, StyledText(room + between))
        )
    return tuple(made[:-1])


def _painted(piece: StyledText) -> str:
    return f"\x1b[{_CODES[piece.style]}m{piece.text}\x1b[0m" if piece.style and piece.text else piece.text
