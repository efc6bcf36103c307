"""Cells and groups: what is measured, and with what it is compared."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from harness.records.record import CellFacts
from harness.records.side import SIDE_MARK, without_side


@dataclass(frozen=True, slots=True)
class Cell:
    """task x variant x settings, on this data and this model: frozen, hashed.

    `data` and `model` are fingerprints, so that a cell of other data or other weights is another cell;
    `command` is the sha256 of the program from outside, empty for all others; `definition` is that of what
    makes a user's own task. `rung` is that of a ladder's rung; `threads` are those of each of `instances`,
    and `cores` what all together may use. `twin` is 1 for the second cell of a variant against itself.
    `rate` is what scenario `server` offers, in requests per second; 0 where the search for the promise `slo`
    finds it.
    """

    task: str
    variant: str
    device: str
    scenario: str
    threads: int
    max_length: int
    data: str
    model: str
    boundary: Literal["encoded", "text", "process"] = "encoded"
    instances: int = 1
    batch: int = 1
    command: str = ""
    definition: str = ""
    rung: str = ""
    cores: int = 0
    twin: int = 0
    rate: float = 0.0
    slo: str = ""

    @property
    def id(self) -> str:
        """A readable name with a hash of everything that makes the cell: also its file name."""
        return cell_ids(self, asdict(self))[0]

    @property
    def group(self) -> str:
        """The group's name: cells that differ in the variant, or in how it uses the cores, are compared."""
        return cell_ids(self, asdict(self))[1]

    def facts(self) -> CellFacts:
        """Return the cell as the record has it."""
        known = asdict(self)
        return CellFacts(
            id=self.id, group=self.group, **{name: known[name] for name in known if name in _FACTS}
        )


OWN = ("variant", "command", "rung", "instances", "cores", "twin")
"""What the cells of a group may differ in."""

_FACTS = CellFacts.model_fields.keys()


def group_cells(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Sort cells into their groups, in order of first appearance."""
    sorted_cells: dict[str, list[Cell]] = {}
    for cell in cells:
        sorted_cells.setdefault(cell.group, []).append(cell)
    return sorted_cells


def cell_ids(cell: Cell, facts: Mapping[str, object], own: Sequence[str] = OWN) -> tuple[str, str]:
    """Return a cell's id and its group's, hashes of these of its facts; `own` are no part of the group's."""
    where = cell.device.replace(":", "")
    common = {name: value for name, value in facts.items() if name not in own}
    common["threads"] = cell.cores or cell.threads
    if (
        SIDE_MARK in cell.variant
    ):  # at a gate a variant is compared with its own other sides, and with no other
        common |= {"sides_of": without_side(cell.variant), "model": ""}  # whose models may differ
    return (
        f"{cell.task}-{cell.variant.replace(' ', '-')}-{where}-{cell.scenario}-{_digest(facts)}",
        f"{cell.task}-{where}-{cell.scenario}-{_digest(common)}",
    )


def _digest(facts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
