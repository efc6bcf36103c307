"""Printing on stdout: JSON, and lines whose control characters are escaped."""

import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from harness.common.json_types import JsonValue


UNKNOWN_WIDTH = 120
"""Columns of a pipe or a log."""


def escape(text: str) -> str:
    """Return text with control characters made visible, so that no file name drives a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def terminal_columns() -> int:
    """Return the number of columns of the terminal, or `UNKNOWN_WIDTH` in a pipe."""
    return shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns


def print_json(value: "JsonValue", indent: int | None = 1) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=indent))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, escaped."""
    for line in lines:
        typer.echo(escape(line))


def align(rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """Return rows as lines with columns of one width; those that are True in `right` are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = right or [False] * len(widths)
    return [
        "  ".join(
            cell.rjust(width) if side else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    ]


def hanging(rows: Iterable[tuple[str, str]], columns: int, indent: str = "  ") -> list[str]:
    """Return lines of two columns, escaped: a name, and a text that is wrapped beside it."""
    pairs = [(escape(name), escape(text)) for name, text in rows]
    width = max((len(name) for name, _ in pairs), default=0)
    lines: list[str] = []
    for name, text in pairs:
        lines += textwrap.wrap(
            text,
            max(columns, len(indent) + width + 32),
            initial_indent=f"{indent}{name.ljust(width)}  ",
            subsequent_indent=f"{indent}{' ' * width}  ",
            break_on_hyphens=False,
            break_long_words=False,
        ) or [f"{indent}{name}"]
    return lines
