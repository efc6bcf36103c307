"""`bench run --dry-run`: what would be measured, and the expected time."""

import json as json_module
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.context import CliContext
from harness.cli.options.units import format_time, plural

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.common.progress import ProgressReporter
    from harness.records.cell import Cell
    from harness.records.plan import Plan
    from harness.records.record import Record
    from harness.records.store import Store
    from harness.runs.forecast import CellForecast, Forecast, GroupForecast, Known
    from harness.runs.planning.options import RunOptions

NOT_COUNTED = "Not counted: preparing artifacts that are not in the cache, and starting workers."


def format_dry_run(
    context: CliContext,
    store: "Store",
    runs: "Sequence[RunOptions]",
    progress: "ProgressReporter",
    *,
    json: bool,
    change: "Callable[[Plan], Plan]" = lambda plan: plan,
) -> str:
    """Return, as text or JSON, what these runs would measure; `change` is applied to each plan."""
    from harness.runs.forecast import forecast, plan_dry

    newest_record = _newest_record(store)
    catalog, machine = context.catalog(), context.machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        plans = [plan_dry(options, catalog, Path(scratch), machine, progress) for options in runs]
        forecasts = [forecast(change(plan), split, newest_record) for plan, split in plans]
    if json:
        return json_module.dumps(list(map(_facts, forecasts)), indent=1)
    lines = [line for each in forecasts for group in each.groups for line in _group_lines(group)]
    return "\n".join([*lines, _total(forecasts), NOT_COUNTED])


def _newest_record(store: "Store") -> "Known":
    """Return a function that finds the newest record of a cell in the store."""
    from harness.runs.forecast import same_cell

    records, _ = store.records(store.runs())
    newest_first = sorted(records, key=lambda record: record.created, reverse=True)

    def newest_record(plan: "Plan", cell: "Cell") -> "Record | None":
        return next(
            (record for record in newest_first if record.rounds and same_cell(plan, cell, record)), None
        )

    return newest_record


def _group_lines(group: "GroupForecast") -> list[str]:
    cell = group.cells[0].cell
    # shown only where a run may have several of them
    batch = [f"batch {cell.batch}"] if cell.batch > 1 else []
    rate = [f"{cell.rate:g} requests/s"] if cell.rate else []
    settings = [
        f"{cell.task} on {cell.device}",
        cell.scenario,
        cell.boundary,
        *batch,
        *rate,
        plural(cell.cores or cell.threads, "thread"),
        f"at most {cell.max_length} tokens",
    ]
    width = max(len(each.cell.variant) for each in group.cells)
    return [
        ", ".join(settings),
        f"  {_rounds(group)}",
        *(
            f"  {each.cell.variant:<{width}}  {_instances(each)}{_expected(each.seconds)}"
            for each in group.cells
        ),
        "",
    ]


def _rounds(group: "GroupForecast") -> str:
    fewest, most = min(group.slices), max(group.slices)
    size = f"{most}" if fewest == most else f"{fewest} to {most}"
    launches = f" in each of {group.launches} launches" if group.launches > 1 else ""
    rest = f", then {group.untimed:,} untimed" if group.untimed else ""
    return f"{group.rounds} rounds{launches} of {size} requests, {sum(group.slices):,} different ones{rest}"


def _instances(each: "CellForecast") -> str:
    count = each.cell.instances
    return f"{count} instances of {plural(each.cell.threads, 'thread')}  " if count > 1 else ""


def _expected(seconds: float | None) -> str:
    if seconds is None:
        return "unknown: the store has no record of it on this machine and these data"
    return f"about {format_time(seconds)}"


def _total(forecasts: "Sequence[Forecast]") -> str:
    groups = [group for each in forecasts for group in each.groups]
    expected = [cell.seconds for group in groups for cell in group.cells]
    known = [seconds for seconds in expected if seconds is not None]
    counts = f"{plural(len(forecasts), 'run')}, {plural(len(groups), 'group')}, {len(expected)} cells"
    if not known:
        return f"{counts}: expected time unknown."
    bound = "about" if len(known) == len(expected) else f"at least, for the {len(known)} cells with a record,"
    return f"{counts}: {bound} {format_time(sum(known))}."


def _facts(forecast: "Forecast") -> "JsonObject":
    return {
        "task": forecast.plan.task,
        "configuration": forecast.plan.configuration,
        "groups": [
            {
                "group": group.cells[0].cell.group,
                "rounds": group.rounds,
                "launches": group.launches,
                "requests": list(group.slices),
                "untimed": group.untimed,
                "cells": [
                    {**each.cell.facts().model_dump(exclude={"id", "group"}), "seconds": each.seconds}
                    for each in group.cells
                ],
            }
            for group in forecast.groups
        ],
    }
