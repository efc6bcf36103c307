"""Measures a plan's first row again under random arrivals, to compare with what the plan predicts."""

from dataclasses import replace
from pathlib import Path

from harness.analysis.capacity.plan import CapacityPlan
from harness.analysis.capacity.service_times import ServiceTimes
from harness.analysis.capacity.validation import (
    WINDOWS,
    ValidatedLoad,
    rates_of,
    sample_of,
    validate,
    window_ms_of,
)
from harness.catalog import Catalog
from harness.common.errors import UsageError
from harness.common.progress import ProgressReporter
from harness.records.plan import Plan
from harness.records.record import Record
from harness.records.store import Store, read_samples
from harness.runs.execution.multi_run import start_all
from harness.runs.execution.run import execute
from harness.runs.planning.options import ALL, RunOptions
from harness.runs.planning.planner import plan_run
from harness.runs.planning.schedule import cells_of
from harness.runs.services import Machine


def first_measurable(plan: CapacityPlan) -> ServiceTimes:
    """Return the times of the first row that serves one by one; UsageError if all collect batches."""
    for row in plan.rows:
        if isinstance(row.measured, ServiceTimes):
            return row.measured
    raise UsageError(
        "every row collects batches, and scenario server hands a system one request at a time.",
        where="--validate",
        remedy="Leave out --batching.",
    )


def check_plan(
    times: ServiceTimes,
    percent: float,
    given: RunOptions,
    budget_s: float,
    *,
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    progress: ProgressReporter,
) -> tuple[ValidatedLoad, ...]:
    """Measure the variant of a plan's row in `server` at three loads of one machine, and compare.

    `given` holds the data, the model and the ladder of the plan's run, which records do not name in full.
    The windows take `budget_s` seconds at most. UsageError if they are others.
    """
    options = server_options(times, given, budget_s)
    plan = plan_run(options, catalog, cache, machine, progress)
    _require_same(times.record, plan)
    runs = start_all([options], catalog, store, cache, machine, progress)
    compared = [
        validate(times, record, read_samples(run.folder.path, record), percent)
        for run in runs
        for record in execute(run)
    ]
    return tuple(load for load in compared if load is not None)


def server_options(times: ServiceTimes, given: RunOptions, budget_s: float) -> RunOptions:
    """Return the options of a run of a record's variant with new arrivals at three rates.

    Every window has the whole sample: the slices of a run have too few requests for a high percentile.
    """
    record = times.record
    cell, sample = record.cell, sample_of(times, record.data.sample, budget_s)
    return replace(
        given,
        task=cell.task,
        device=cell.device,
        variants=None if given.ladder else (cell.variant,),
        scenarios=("server",),
        rates=rates_of(times),
        window_ms=window_ms_of(times, sample, budget_s),
        boundary=cell.boundary,
        threads=int(record.configuration.get("threads") or cell.threads),
        max_length=cell.max_length,
        profile="default",
        rounds=WINDOWS,
        sample=sample,
        slice_at_least=ALL,
        seed=record.seed + 1,
        quality="sample",
    )


def _require_same(record: Record, plan: Plan) -> None:
    rungs = {cell.rung for cell in cells_of(plan)}
    inputs = (
        ("--data", {plan.data.fingerprint}, record.data.fingerprint),
        ("--model", {plan.model.fingerprint}, record.model.fingerprint),
        ("--ladder", rungs, record.cell.rung),
    )
    for option, here, there in inputs:
        if here != {there}:
            raise UsageError(
                f"not the {option.removeprefix('--')} of the run {record.run}.",
                where=option,
                remedy=f"Give the {option} with which it was measured.",
            )
