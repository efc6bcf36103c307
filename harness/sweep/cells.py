"""Cells and groups: what is measured, and with what it is compared."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from harness.record import CellFacts


@dataclass(frozen=True, slots=True)
class Cell:
    """task x variant x settings, on this data and this model: frozen, hashed.

    `data` and `model` are fingerprints, so that a cell of other data or other weights is another cell;
    `command` is the sha256 of the program from outside, empty for all others; `definition` is that of what
    makes a user's own task. `rung` is that of a ladder's rung; `threads` are those of each of `instances`,
    and `cores` what all together may use.
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

    @property
    def id(self) -> str:
        """A readable name with a hash of everything that makes the cell: also its file name."""
        where = self.device.replace(":", "")
        variant = self.variant.replace(" ", "-")
        return f"{self.task}-{variant}-{where}-{self.scenario}-{_digest(asdict(self))}"

    @property
    def group(self) -> str:
        """The group's name: cells that differ in the variant, or in how it uses the cores, are compared."""
        own = ("variant", "command", "rung", "instances", "cores")
        common = {name: value for name, value in asdict(self).items() if name not in own}
        common["threads"] = self.cores or self.threads
        return f"{self.task}-{self.device.replace(':', '')}-{self.scenario}-{_digest(common)}"

    def facts(self) -> CellFacts:
        """Return the cell as the record has it."""
        known = asdict(self)
        return CellFacts(
            id=self.id, group=self.group, **{name: known[name] for name in known if name in _FACTS}
        )


_FACTS = CellFacts.model_fields.keys()


def groups(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Sort cells into their groups, in order of first appearance."""
    sorted_cells: dict[str, list[Cell]] = {}
    for cell in cells:
        sorted_cells.setdefault(cell.group, []).append(cell)
    return sorted_cells


def _digest(facts: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
