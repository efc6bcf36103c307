"""How a report reaches stdout: as wide as the terminal, coloured only where somebody looks."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.records.record import Record
    from harness.records.store import RunFolder
    from harness.workload.tasks.metrics import Counts
    from reports import SamplesOf

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
    from reports import render_records

    width, color = wide(plain=plain)
    return render_records(records, form, width=width, color=color, price=price, counts=counts).rstrip("\n")


def wide(*, plain: bool = False) -> tuple[int, bool]:
    """Return how many columns there are, and whether to use colour; `plain` is for files."""
    from reports.render.terminal import wants_color

    color = not plain and wants_color(sys.stdout, os.environ)
    return shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns, color


def counts_in(folders: "Sequence[RunFolder]") -> CountsOf:
    """Return what finds in a record's samples the counts that its scores are made of.

    It finds None where the samples lack them, or are not there: then changes of quality are told unpaired.
    """
    samples = samples_in(folders)

    def counts(record: "Record") -> "Counts | None":
        return (samples(record) or {}).get("counts")

    return counts


def samples_in(folders: "Sequence[RunFolder]") -> "SamplesOf":
    """Return what reads a record's samples, or finds None where they are not there as they were sealed."""
    from harness.common.errors import StoreError
    from harness.records.store import read_samples

    places = {folder.name: folder.path for folder in folders}

    def samples(record: "Record") -> "Mapping[str, Any] | None":
        if record.run not in places:
            return None
        try:
            return read_samples(places[record.run], record)
        except StoreError:
            return None  # the report says what it lacks

    return samples
