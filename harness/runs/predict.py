"""Untimed answers: one variant over a whole split, as rows of the official prediction file."""

import contextlib
import json
import os
from pathlib import Path

from harness.catalog import Catalog
from harness.common.errors import StoreError
from harness.common.json_types import JsonObject
from harness.common.progress import ProgressReporter, count_up
from harness.records.cell import Cell
from harness.records.plan import Plan
from harness.runs.execution.preparation import prepare
from harness.runs.execution.workers import WorkerGroup
from harness.runs.planning.options import RunOptions
from harness.runs.planning.planner import plan_run
from harness.runs.planning.schedule import cells_of, read_split
from harness.runs.services import Machine
from harness.runs.worker.messages import CompleteRequest, error_from
from harness.systems.artifact_cache import in_use


def predict(
    options: RunOptions, catalog: Catalog, cache: Path, machine: Machine, narrator: ProgressReporter
) -> list[JsonObject]:
    """Return one official prediction row per example of the split, in file order."""
    plan = plan_run(options, catalog, cache, machine, narrator, labelled=False)
    prepared = prepare(plan, cache, machine, narrator)
    for failure in prepared.broken.values():
        raise error_from(failure)
    (cell,) = cells_of(plan)
    workers = WorkerGroup(plan, prepared.artifacts, [0], [0], machine, cache)
    with in_use(artifact.folder for artifact in prepared.artifacts.values()):
        return _answer_rows(plan, cell, workers, narrator)


def write_rows(rows: list[JsonObject], path: Path) -> None:
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


def _answer_rows(
    plan: Plan, cell: Cell, workers: WorkerGroup, narrator: ProgressReporter
) -> list[JsonObject]:
    examples = read_split(plan).examples
    narrator.stage("answer", len(examples))
    try:
        workers.open(cell)
        with workers.turn(cell) as worker:
            result = worker.send(CompleteRequest(list(range(len(examples)))), count_up(narrator))
    finally:
        workers.end()
    return plan.asked.answer_rows(examples, result.answers)
