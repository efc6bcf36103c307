"""How a report reaches stdout: as wide as the terminal, coloured only where somebody looks."""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.record import Record

UNKNOWN_WIDTH = 120
"""Columns of a pipe or a log."""


def rendered(records: "Sequence[Record]", form: str, *, plain: bool = False) -> str:
    """Return the report in this form; `plain` leaves out colour, for files."""
    from reports import render, wants_color

    color = not plain and wants_color(sys.stdout, os.environ)
    width = shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns
    return render(records, form, width=width, color=color).rstrip("\n")
