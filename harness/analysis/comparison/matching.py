"""Which record of one run is held against which record of another: by what was measured, not by its hash.

A cell's id changes with the data's fingerprint and with every new setting, so that runs of two versions of
the program share no id though they measured the same thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.records.record import Record


class CellKey(NamedTuple):
    """What makes two records the same cell over time."""

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
        """Say it as a heading does: what is usual is left out."""
        parts = [self.task, self.variant, self.device, self.scenario]
        parts += [self.boundary] if self.boundary != "encoded" else []
        parts += [f"{self.threads} threads" if self.threads != 1 else "1 thread"]
        parts += [f"{self.instances} instances"] if self.instances != 1 else []
        parts += [f"batch {self.batch}"] if self.batch != 1 else []
        parts += [f"{self.rate:g} requests/s"] if self.rate else []
        return ", ".join([*parts, f"length {self.max_length}"])


@dataclass(frozen=True, slots=True)
class MatchedCells:
    """Pairs of records of the same cell, before and after, and the cells that only one side has."""

    pairs: tuple[tuple[Record, Record], ...]
    only_before: tuple[Record, ...]
    only_after: tuple[Record, ...]


def key_of(record: Record) -> CellKey:
    """Return what makes a record's cell the same over time; a gate's head counts as the variant itself."""
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
        getattr(cell, "rate", 0.0),
        cell.max_length,
    )


def match_cells(before: Sequence[Record], after: Sequence[Record]) -> MatchedCells:
    """Match the records of two runs, in the order of the first; two single records match as they are."""
    if len(before) == len(after) == 1:
        return MatchedCells(((before[0], after[0]),), (), ())
    theirs = {key_of(record): record for record in after}
    ours = {key_of(record): record for record in before}
    return MatchedCells(
        tuple((record, theirs[key]) for key, record in ours.items() if key in theirs),
        tuple(record for key, record in ours.items() if key not in theirs),
        tuple(record for key, record in theirs.items() if key not in ours),
    )
