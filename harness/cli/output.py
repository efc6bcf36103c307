"""How a report reaches stdout: as wide as the terminal, coloured only where somebody looks."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.record import Record
    from harness.store import RunFolder
    from harness.tasks.scoring import Counts

UNKNOWN_WIDTH = 120
"""Columns of a pipe or a log."""

CountsOf = Callable[["Record"], "Counts | None"]


def rendered(
    records: "Sequence[Record]",
    form: str,
    *,
    plain: bool = False,
    price: float | None = None,
    counts: CountsOf | None = None,
) -> str:
    """Return the report in this form; `plain` leaves out colour, for files.

    `price`, in USD an hour, and `counts`, which pair changes of quality by example, are for ladders.
    """
    from reports import render, wants_color

    color = not plain and wants_color(sys.stdout, os.environ)
    width = shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns
    return render(records, form, width=width, color=color, price=price, counts=counts).rstrip("\n")


def counts_in(folders: "Sequence[RunFolder]") -> CountsOf:
    """Return what finds in a record's samples the counts that its scores are made of.

    It finds None where the samples lack them, or are not there: then changes of quality are told unpaired.
    """
    from harness.errors import StoreError
    from harness.store import read_samples

    places = {folder.name: folder.path for folder in folders}

    def counts(record: "Record") -> "Counts | None":
        if record.run not in places:
            return None
        try:
            return read_samples(places[record.run], record).get("counts")
        except StoreError:
            return None  # the report's note then says that the change is unpaired

    return counts
