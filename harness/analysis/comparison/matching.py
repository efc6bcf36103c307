"""Matching of the records of two runs, by what was measured rather than by the id of the cell.

The id of a cell changes with the fingerprint of the data and with every new setting, so that runs of two
versions of the program may share no id although they measured the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.analysis.comparison.differences import Difference
from harness.analysis.statistics.pairing import as_text
from harness.records.record import Record


class CellKey(NamedTuple):
    """The settings that identify a cell over time."""

    task: str
    variant: str
    device: str
    scenario: str
    boundary: str
    threads: int
    instances: int
    batch: int
    rate: float
    max_length: int

    def __str__(self) -> str:
        """Format it for a heading: default settings are left out."""
        parts = [self.task, self.variant, self.device, self.scenario]
        parts += [self.boundary] if self.boundary != "encoded" else []
        parts += [f"{self.threads} threads" if self.threads != 1 else "1 thread"]
        parts += [f"{self.instances} instances"] if self.instances != 1 else []
        parts += [f"batch {self.batch}"] if self.batch != 1 else []
        parts += [f"{self.rate:g} requests/s"] if self.rate else []
        return ", ".join([*parts, f"length {self.max_length}"])


@dataclass(frozen=True, slots=True)
class MatchedCells:
    """Pairs of records of the same cell, before and after, and records of cells that only one run has."""

    pairs: tuple[tuple[Record, Record], ...]
    only_before: tuple[Record, ...]
    only_after: tuple[Record, ...]


def key_of(record: Record) -> CellKey:
    """Return the key of a record's cell; the head of a gate has the key of its variant."""
    cell = record.cell
    return CellKey(
        cell.task,
        cell.variant.removesuffix("@head"),
        cell.device,
        cell.scenario,
        cell.boundary,
        cell.threads,
        cell.instances,
        cell.batch,
        cell.rate,
        cell.max_length,
    )


def match_cells(before: Sequence[Record], after: Sequence[Record]) -> MatchedCells:
    """Match the records of two runs, in the order of the first; two single records match as they are."""
    if len(before) == len(after) == 1:
        return MatchedCells(((before[0], after[0]),), (), ())
    old = {key_of(record): record for record in before}
    new = {key_of(record): record for record in after}
    return MatchedCells(
        tuple((record, new[key]) for key, record in old.items() if key in new),
        tuple(record for key, record in old.items() if key not in new),
        tuple(record for key, record in new.items() if key not in old),
    )


def unlike_settings(before: Sequence[CellKey], after: Sequence[CellKey]) -> tuple[Difference, ...]:
    """Return the settings of which no value of the first cells is one of the second cells."""
    return tuple(
        Difference("settings", name.replace("max_length", "maximum length"), _listed(old), _listed(new))
        for name in CellKey._fields
        if not set(old := [getattr(key, name) for key in before])
        & set(new := [getattr(key, name) for key in after])
    )


def _listed(values: Sequence[object]) -> str:
    return ", ".join(dict.fromkeys(map(as_text, values)))
