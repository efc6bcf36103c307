"""Measures a plan's first row again under random arrivals, to compare with what the plan predicts."""

from dataclasses import replace
from pathlib import Path

from harness.analysis.capacity.plan import PlanRow
from harness.analysis.capacity.validation import WINDOWS, ValidatedLoad, rates_of, validate, window_ms_of
from harness.catalog import Catalog
from harness.common.errors import UsageError
from harness.common.progress import ProgressReporter
from harness.records.record import Record
from harness.records.store import Store, read_samples
from harness.runs.execution.run import execute
from harness.runs.multi_run import start_all
from harness.runs.planning.options import RunOptions
from harness.runs.planning.planner import plan_run
from harness.runs.services import Machine


def check_plan(
    row: PlanRow,
    percent: float,
    given: RunOptions,
    *,
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    progress: ProgressReporter,
) -> tuple[ValidatedLoad, ...]:
    """Measure the variant of a row in `server` at three loads of one machine, and compare.

    `given` holds the data and the model of the plan's run, which records do not name in full. UsageError if
    they are others, or for a rung of a ladder.
    """
    options = server_options(row, given)
    plan = plan_run(options, catalog, cache, machine, progress)
    _require_same(row.record, plan.data.fingerprint, plan.model.fingerprint)
    runs = start_all([options], catalog, store, cache, machine, progress)
    compared = [
        validate(row.times, record, read_samples(run.folder.path, record), percent)
        for run in runs
        for record in execute(run)
    ]
    return tuple(load for load in compared if load is not None)


def server_options(row: PlanRow, given: RunOptions) -> RunOptions:
    """Return the options of a run of the row's variant with new arrivals at three rates."""
    record = row.record
    cell = record.cell
    if cell.rung:
        raise UsageError(
            f"{cell.variant} is a rung of a ladder, which is not measured again by itself.",
            where="--validate",
            remedy="Measure it with `bench ladder --scenario server --rate N`, and plan from that run.",
        )
    return replace(
        given,
        task=cell.task,
        device=cell.device,
        variants=(cell.variant,),
        scenarios=("server",),
        rates=rates_of(row.times),
        window_ms=window_ms_of(row.times),
        boundary=cell.boundary,
        threads=int(record.configuration.get("threads") or cell.threads),
        max_length=cell.max_length,
        profile="default",
        rounds=WINDOWS,
        sample=record.data.sample,
        seed=record.seed + 1,
        quality="sample",
    )


def _require_same(record: Record, data: str, model: str) -> None:
    inputs = (("--data", data, record.data.fingerprint), ("--model", model, record.model.fingerprint))
    for option, here, there in inputs:
        if here != there:
            raise UsageError(
                f"not the {option.removeprefix('--')} of the run {record.run}.",
                where=option,
                remedy=f"Give the {option} with which it was measured.",
            )
