"""`bench run --dry-run`: what would be measured, and how long it would take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.cli.context import CliContext

if TYPE_CHECKING:
    from harness.common.progress import ProgressReporter
    from harness.records.store import Store
    from harness.runs.forecast import CellForecast, Forecast, GroupForecast, Known
    from harness.runs.planning.options import RunOptions

NOT_COUNTED = "Not counted: making what is not in the cache, and starting workers."


def foretold(
    toolbox: CliContext, store: "Store", runs: "Sequence[RunOptions]", told: "ProgressReporter", *, json: bool
) -> str:
    """Return, for people or as JSON, what these runs would do."""
    import tempfile
    from pathlib import Path

    from harness.runs.forecast import forecast, plan_dry

    known = _newest(store)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        catalog, machine = toolbox.catalog(), toolbox.machine()
        found = [forecast(*plan_dry(one, catalog, Path(scratch), machine, told), known) for one in runs]
    if json:
        import json as encoder

        return encoder.dumps([_facts(one) for one in found], indent=1)
    return "\n".join([*(line for one in found for line in _lines(one)), _total(found), NOT_COUNTED])


def _newest(store: "Store") -> "Known":
    """Return what finds the newest record of a cell in the store."""
    from harness.runs.forecast import same_cell

    records, _ = store.records(store.runs())
    newest_first = sorted(records, key=lambda record: record.created, reverse=True)

    def known(plan: Any, cell: Any) -> Any:  # noqa: ANN401 -- a Plan, a Cell, a Record
        return next((one for one in newest_first if one.rounds and same_cell(plan, cell, one)), None)

    return known


def _lines(one: "Forecast") -> list[str]:
    return [line for group in one.groups for line in _group_lines(group)]


def _group_lines(group: "GroupForecast") -> list[str]:
    cell = group.cells[0].cell
    threads = cell.cores or cell.threads
    # what is asked for where it may be one of several
    special = [f"batch {cell.batch}"] * (cell.batch > 1) + [f"{cell.rate:g} requests/s"] * bool(cell.rate)
    settings = [
        *(f"{cell.task} on {cell.device}", cell.scenario, cell.boundary, *special),
        f"{threads} thread{'s' * (threads != 1)}",
        f"at most {cell.max_length} tokens",
    ]
    width = max(len(each.cell.variant) for each in group.cells)
    return [
        ", ".join(settings),
        f"  {_rounds(group)}",
        *(f"  {each.cell.variant:<{width}}  {_instances(each)}{_said(each.seconds)}" for each in group.cells),
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
    threads = f"{each.cell.threads} thread{'s' * (each.cell.threads != 1)}"
    return f"{count} instances of {threads}  " if count > 1 else ""


def _said(seconds: float | None) -> str:
    if seconds is None:
        return "cannot be known: the store has no record of it on this machine and these data"
    return f"about {_time(seconds)}"


def _total(found: "Sequence[Forecast]") -> str:
    cells = [each.seconds for one in found for group in one.groups for each in group.cells]
    known = [seconds for seconds in cells if seconds is not None]
    groups = sum(len(one.groups) for one in found)
    runs = (
        f"{len(found)} run{'s' * (len(found) != 1)}, {groups} group{'s' * (groups != 1)}, {len(cells)} cells"
    )
    if not known:
        return f"{runs}: how long they take cannot be known."
    least = "about" if len(known) == len(cells) else f"at least, of the {len(known)} that are known,"
    return f"{runs}: {least} {_time(sum(known))}."


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "1 s"


def _facts(one: "Forecast") -> dict[str, Any]:
    return {
        "task": one.plan.task,
        "configuration": one.plan.configuration,
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
            for group in one.groups
        ],
    }
