"""Printing on stdout: JSON, and lines whose control characters are escaped."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from harness.common.json_types import JsonValue


def escape(text: str) -> str:
    """Return text with control characters made visible, so that no file name drives a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


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
