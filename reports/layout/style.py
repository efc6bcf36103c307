"""How a report is to look, apart from what it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.records.record import Record

WIDTH = 80

SamplesOf = Callable[[Record], Mapping[str, Any] | None]
"""Reads a record's raw samples, arrays by name, or finds None; they are read where a plot needs them."""


def _no_samples(record: Record) -> None:
    del record


@dataclass(frozen=True, slots=True)
class Style:
    """`tables` names those that are shown, none of them meaning the format's usual ones.

    `width`, in columns, and `color` are for the terminal; `samples` is for plots of every single request.
    """

    tables: tuple[str, ...] = ()
    width: int = WIDTH
    color: bool = False
    samples: SamplesOf = _no_samples
