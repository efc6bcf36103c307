"""Cells and groups: what is measured, and with what it is compared."""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from harness.records.record import CellFacts
from harness.records.side import SIDE_MARK, without_side


@dataclass(frozen=True, slots=True)
class Cell:
    """task x variant x settings, on this data and this model: frozen, hashed.

    `data` and `model` are fingerprints, so that a cell of other data or other weights is another cell.
    `command`, `definition` and `rung` are the sha256 of an external program, of a user's own task and of a
    ladder's rung, empty for all others. `threads` are those of each of `instances`, and `cores` what all
    together may use. `twin` numbers the copies of a null test, from 0. `rate` is what scenario
    `server` offers, in requests per second; 0 where a search for the highest rate within `slo` finds it.
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
        """A readable name with a hash of all settings of the cell; also its file name."""
        return cell_ids(self, asdict(self))[0]

    @property
    def group(self) -> str:
        """The group's name: cells that differ in the variant, or in how it uses the cores, are compared."""
        return cell_ids(self, asdict(self))[1]

    def facts(self) -> CellFacts:
        """Return the cell as a record holds it."""
        recorded = {name: value for name, value in asdict(self).items() if name in _FACTS}
        return CellFacts(id=self.id, group=self.group, **recorded)


OWN = ("variant", "command", "rung", "instances", "cores", "twin")
"""What the cells of a group may differ in."""

_FACTS = CellFacts.model_fields.keys()


def group_cells(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Sort cells into their groups, in order of first appearance."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups


def round_order(cells: Sequence[str], index: int, seed: int) -> list[str]:
    """Return the cells in the shuffled order of round `index`."""
    order = list(cells)
    random.Random(f"order {seed} {index}").shuffle(order)  # noqa: S311 -- a seeded draw, not a secret
    return order


def cell_ids(cell: Cell, facts: Mapping[str, object], own: Sequence[str] = OWN) -> tuple[str, str]:
    """Return the ids of a cell and of its group: hashes of these facts, without `own` for the group."""
    device = cell.device.replace(":", "")
    common = {name: value for name, value in facts.items() if name not in own}
    common["threads"] = cell.cores or cell.threads
    if SIDE_MARK in cell.variant:
        # at a gate a variant is compared with its own other sides only, and their models may differ
        common |= {"sides_of": without_side(cell.variant), "model": ""}
    return (
        f"{cell.task}-{cell.variant.replace(' ', '-')}-{device}-{cell.scenario}-{_digest(facts)}",
        f"{cell.task}-{device}-{cell.scenario}-{_digest(common)}",
    )


def _digest(facts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
