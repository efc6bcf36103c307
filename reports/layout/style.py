"""Display options of a report, separate from its content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.records.record import Record

WIDTH = 80

SamplesOf = Callable[[Record], Mapping[str, Any] | None]
"""Reads a record's raw samples, arrays by name, or returns None. A plot calls it when it needs them."""


def _no_samples(record: Record) -> None:
    del record


@dataclass(frozen=True, slots=True)
class Style:
    """`tables` names the tables to show; empty means the format's default tables.

    `width`, in columns, and `color` are for the terminal, and so is `footer`, lines between the tables and
    the verdict. `samples` is for plots of single requests.
    """

    tables: tuple[str, ...] = ()
    width: int = WIDTH
    color: bool = False
    samples: SamplesOf = _no_samples
    footer: tuple[str, ...] = ()
