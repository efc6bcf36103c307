"""What a run would do: its cells, groups and rounds, and the time they take where that is known.

The time comes from the newest record of the same cell, measured on this machine and these data; nothing is
guessed. No clock is read, no worker started, no meter read, no model loaded, and nothing is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from harness.catalog import Catalog
from harness.common.progress import ProgressReporter
from harness.measurement.energy.meter import MeterChoice
from harness.records.cell import Cell, group_cells
from harness.records.plan import ModelPlan, Plan, Profile
from harness.records.record import Record
from harness.runs.planning.meter_selection import SelectedMeter
from harness.runs.planning.options import RunOptions, check_each
from harness.runs.planning.planner import device_plan, find_data, make_plan
from harness.runs.planning.schedule import cells_of, is_completed, slices_of
from harness.runs.services import Machine
from harness.workload.data import Split, load_split

Known = Callable[[Plan, Cell], Record | None]
"""Finds the newest record of a cell of a plan on this machine."""


@dataclass(frozen=True, slots=True)
class CellForecast:
    """One cell of a run to come; `seconds` is None where no record shows how long its requests take."""

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
    options: RunOptions, catalog: Catalog, scratch: Path, machine: Machine, narrator: ProgressReporter
) -> tuple[Plan, Split]:
    """Return the plan of a run, without its model and its meter, and its data.

    What has to be written on the way, such as the embedded sample, lies below `scratch`.
    """
    by_device = check_each(replace(options, meter=""), catalog, machine, narrator)
    options = by_device[0]
    task_data = find_data(options, scratch)
    split = load_split(task_data.task, task_data.data, options.split)
    model = ModelPlan(
        name=Path(options.model).name,
        tier="embedded" if options.model == "embedded" else "local",
        folder="",
        fingerprint="",
        trained=True,
    )
    no_meter = SelectedMeter(MeterChoice(None), None)
    devices = [device_plan(part, machine, no_meter, board=None) for part in by_device]
    return make_plan(options, devices, task_data, split, model, machine), split


def forecast(plan: Plan, split: Split, known: Known) -> Forecast:
    """Return what a plan would do, and how long each cell takes where `known` has a record of it."""
    slices, rest = slices_of(plan, split.examples)
    groups, sizes = [], tuple(map(len, slices))
    for part in plan.parts():
        for cells in group_cells(cells_of(part)).values():
            untimed = len(rest) if is_completed(part, cells[0]) else 0
            forecasts = tuple(
                CellForecast(cell, seconds_of(known(part, cell), part.profile, sizes, untimed))
                for cell in cells
            )
            groups.append(
                GroupForecast(forecasts, part.profile.rounds, part.profile.launches, sizes, untimed)
            )
    return Forecast(plan, tuple(groups))


def seconds_of(record: Record | None, profile: Profile, slices: Sequence[int], untimed: int) -> float | None:
    """Return how long a cell takes at the speed of a record: loading, warming up, rounds and untimed pass.

    A window lasts `window_ms` at least. None without a record that has rounds.
    """
    if record is None or not record.rounds:
        return None
    request_s = median(item.wall_ns / item.requests for item in record.rounds) / 1e9
    visits = [
        max(profile.window_ms / 1e3, slices[index % len(slices)] * request_s) + profile.warmup * request_s
        for index in range(profile.all_rounds)
    ]
    opening = 0.0
    if record.start:
        opening = record.start.load_ns / 1e9 + record.start.warmup_requests * request_s
    return sum(visits) + profile.launches * opening + untimed * request_s


def same_cell(plan: Plan, cell: Cell, record: Record) -> bool:
    """Return whether a record is one of this cell, on the plan's machine, whatever its model's weights."""
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
