"""What a run would do, before it does it: cells, groups, rounds, and the time they take where that is known.

Known is what the newest record of the same cell says, measured on this machine and these data; nothing is
guessed. No clock is looked at, no worker started, no meter read, no model found, and nothing is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from harness.catalog import Catalog
from harness.common.progress import ProgressReporter
from harness.measurement.energy.meter import MeterChoice
from harness.records.cell import Cell, group_cells
from harness.records.plan import Plan, Profile
from harness.records.record import Record
from harness.runs.planning.options import RunOptions, check_each
from harness.runs.planning.planner import find_data, make_plan
from harness.runs.planning.schedule import cells_of, is_completed, slices_of
from harness.runs.services import Machine
from harness.workload.data import Split, load_split

Known = Callable[[Plan, Cell], Record | None]
"""Finds the newest record of a cell of a plan on this machine."""


@dataclass(frozen=True, slots=True)
class CellForecast:
    """One cell of a run to come; `seconds` is None where no record says how long its requests take."""

    cell: Cell
    seconds: float | None


@dataclass(frozen=True, slots=True)
class GroupForecast:
    """The cells that would be compared, with the requests of each visit and of the untimed pass."""

    cells: tuple[CellForecast, ...]
    rounds: int
    launches: int
    slices: tuple[int, ...]
    untimed: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """One run to come."""

    plan: Plan
    groups: tuple[GroupForecast, ...]


def plan_dry(
    wanted: RunOptions, catalog: Catalog, scratch: Path, machine: Machine, narrator: ProgressReporter
) -> tuple[Plan, Split]:
    """Return the plan of a run, its model unseen and no meter read, and its data.

    What has to be written out on the way, such as the embedded sample, lies below `scratch`.
    """
    still = replace(machine, choose_meter=lambda _device: MeterChoice(None, ()), board=lambda _device: None)
    each = check_each(replace(wanted, meter=""), catalog, still, narrator)
    wanted = each[0]
    found = find_data(wanted, scratch)
    split = load_split(found.task, found.data, wanted.split)
    unseen = {
        "name": Path(wanted.model).name,
        "tier": "embedded" if wanted.model == "embedded" else "local",
        "folder": "",
        "fingerprint": "",
        "trained": True,
    }
    return make_plan(each, found, split, unseen, still), split


def forecast(plan: Plan, split: Split, known: Known) -> Forecast:
    """Return what a plan would do, and how long each cell takes where `known` has a record of it."""
    slices, rest = slices_of(plan, split.examples)
    found, sizes = [], tuple(map(len, slices))
    for part in plan.parts():
        for members in group_cells(cells_of(part)).values():
            untimed = len(rest) if is_completed(part, members[0]) else 0
            told = tuple(
                CellForecast(cell, seconds_of(known(part, cell), part.profile, sizes, untimed))
                for cell in members
            )
            found.append(GroupForecast(told, part.profile.rounds, part.profile.launches, sizes, untimed))
    return Forecast(plan, tuple(found))


def seconds_of(record: Record | None, profile: Profile, slices: Sequence[int], untimed: int) -> float | None:
    """Return how long a cell takes at the speed of a record: loading, warming up, rounds and untimed pass.

    A window lasts `window_ms` at least. None without a record that has rounds.
    """
    if record is None or not record.rounds:
        return None
    each = median(item.wall_ns / item.requests for item in record.rounds) / 1e9
    visits = [
        max(profile.window_ms / 1e3, slices[index % len(slices)] * each) + profile.warmup * each
        for index in range(profile.all_rounds)
    ]
    opening = 0.0
    if record.start:
        opening = record.start.load_ns / 1e9 + record.start.warmup_requests * each
    return sum(visits) + profile.launches * opening + untimed * each


def same_cell(plan: Plan, cell: Cell, record: Record) -> bool:
    """Say whether a record is one of this cell, on the plan's machine, whatever the weights of its model."""
    facts = cell.facts()
    settings = {
        name for name in type(facts).model_fields if name not in ("id", "group", "rung", "definition", "twin")
    }
    return (
        all(getattr(facts, name) == getattr(record.cell, name) for name in settings)
        and record.host.fingerprint == plan.host_fingerprint
        and record.data.fingerprint == plan.data.fingerprint
        and _same_model(plan, record)
    )


def _same_model(plan: Plan, record: Record) -> bool:
    if plan.model.tier == "embedded":
        return record.model.tier == "embedded"
    return Path(record.model.name).name == plan.model.name
