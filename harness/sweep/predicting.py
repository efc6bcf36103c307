"""Answers without a clock: one variant over a whole split, as rows of the official prediction file."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from harness.cache import in_use
from harness.catalog import Catalog
from harness.errors import StoreError
from harness.runs.execution.run import cells_of, planned, prepare, read_split
from harness.sweep.cells import Cell
from harness.sweep.crew import Crew
from harness.sweep.machine import Machine
from harness.sweep.narrator import Narrator, count_up
from harness.sweep.options import RunOptions
from harness.sweep.plan import Plan
from harness.sweep.wire import error_from


def predict(
    wanted: RunOptions, catalog: Catalog, cache: Path, machine: Machine, narrator: Narrator
) -> list[dict[str, Any]]:
    """Return one official prediction row per example of the split, in file order."""
    plan = planned(wanted, catalog, cache, machine, narrator, labelled=False)
    prepared = prepare(plan, cache, machine, narrator)
    for failure in prepared.broken.values():
        raise error_from(failure)
    (cell,) = cells_of(plan)
    with in_use(Path(made["folder"]) for made in prepared.artifacts.values()):
        return _answered(plan, cell, Crew(plan, prepared.artifacts, [0], [0], machine, cache), narrator)


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a prediction file, whole or not at all: a JSON object a line."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        scratch.replace(path)
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()


def _answered(plan: Plan, cell: Cell, crew: Crew, narrator: Narrator) -> list[dict[str, Any]]:
    task = plan.asked
    examples = read_split(plan).examples
    narrator.stage("answer", len(examples))
    try:
        crew.open(cell)
        with crew.turn(cell) as worker:
            found = worker.ask("complete", count_up(narrator), indexes=list(range(len(examples))))
    finally:
        crew.end()
    return task.answer_rows(examples, found["answers"])
