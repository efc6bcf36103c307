"""`bench run`: measure variants of one task, interleaved, and print the table."""

from typing import TYPE_CHECKING

import typer

from harness.cli.context import CliContext
from harness.cli.measure.dry_run import foretold
from harness.cli.measure.null_test import keep_traces
from harness.cli.options.arrivals import BatchSizes, Promised, Rates, Window, load_of
from harness.cli.options.common import (
    Boundary,
    Condition,
    DataFolder,
    DeviceNames,
    HeldOut,
    Instances,
    Json,
    LabelColumn,
    LabelNames,
    Launches,
    Limit,
    MaxLength,
    MeterName,
    MetricName,
    ModelName,
    NullTest,
    Precision,
    ProfileName,
    QualityOf,
    Quiet,
    Resume,
    Roofline,
    Rounds,
    ScenarioNames,
    Seed,
    SplitName,
    StoreFolder,
    SystemCommand,
    TaskName,
    TextColumns,
    Threads,
    TimeBudget,
    VariantNames,
    more_rounds,
    names,
    own_data,
)
from harness.cli.options.config_file import ConfigFile, DryRun, crossed
from harness.cli.options.sustainlp import ProtocolName, by_protocol

if TYPE_CHECKING:
    from harness.common.progress import ProgressReporter
    from harness.records.record import Record
    from harness.records.store import RunFolder, Store
    from harness.runs.execution.run import Run
    from harness.runs.planning.options import RunOptions

PARTIAL, NOTHING_MEASURED = 5, 4


def run(
    context: typer.Context,
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    split: SplitName = None,
    model: ModelName = "embedded",
    device: DeviceNames = "cpu",
    meter: MeterName = "",
    variants: VariantNames = None,
    scenario: ScenarioNames = "",
    batch: BatchSizes = "",
    rate: Rates = "",
    slo: Promised = "",
    window: Window = None,
    boundary: Boundary = "encoded",
    protocol: ProtocolName = "",
    system_command: SystemCommand = "",
    threads: Threads = None,
    instances: Instances = 1,
    max_length: MaxLength = 256,
    profile: ProfileName = "default",
    rounds: Rounds = None,
    launches: Launches = None,
    precision: Precision = None,
    time_budget: TimeBudget = None,
    null_test: NullTest = "",
    condition: Condition = "",
    limit: Limit = None,
    quality: QualityOf = "full",
    roofline: Roofline = False,
    seed: Seed = 0,
    config: ConfigFile = None,
    dry_run: DryRun = False,
    resume: Resume = None,
    store: StoreFolder = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the baseline and its faster variants, interleaved, and print the table."""
    from harness.cli.output.progress import narrator
    from harness.records.store import Store
    from harness.runs.planning.options import RunOptions

    del config  # it has become the defaults of the others
    toolbox: CliContext = context.obj
    place = Store(toolbox.store(store))
    wanted = RunOptions(
        task=task,
        data=data,
        own=own_data(text, label, metric, labels, held_out),
        model=model,
        device=device,
        meter=meter,
        variants=names(variants) if variants else None,
        scenarios=names(scenario),
        **load_of(batch, rate, slo, window),
        boundary=boundary,
        command=system_command,
        threads=threads,
        instances=instances,
        max_length=max_length,
        profile=profile,
        rounds=rounds,
        **more_rounds(launches, precision, time_budget, null_test, condition),
        sample=limit,
        seed=seed,
        quality=quality,
        roofline=roofline,
    )
    with narrator(quiet=quiet) as told:
        if resume:
            ready = resumed(toolbox, place, resume, told)
        else:
            wanted = by_protocol(context, protocol, wanted)
            runs = asked_for(context, wanted, names(task), split, told)
            if dry_run:
                typer.echo(foretold(toolbox, place, runs, told, json=json))
                raise typer.Exit
            ready = started(toolbox, place, runs, told)
        records = measured(ready)
    keep_traces(records, place.root / "traces")
    show(records, [run.folder for run in ready], json=json)
    raise typer.Exit(exit_code(records))


def asked_for(
    context: typer.Context,
    wanted: "RunOptions",
    tasks: tuple[str, ...],
    split: str | None,
    told: "ProgressReporter",
) -> "list[RunOptions]":
    """Return the options of every run: of each combination of what is crossed, and each task."""
    from harness.runs.multi_run import options_per_task

    return [one for each in crossed(context, wanted) for one in options_per_task(each, tasks, split, told)]


def exit_code(records: "list[Record]") -> int:
    """Return 0 if every cell is complete, 5 if some failed, 4 if nothing was measured."""
    if all(record.status == "complete" for record in records):
        return 0
    return PARTIAL if any(record.rounds for record in records) else NOTHING_MEASURED


def started(
    toolbox: CliContext, store: "Store", wanted: "list[RunOptions]", told: "ProgressReporter"
) -> "list[Run]":
    """Return new runs, checked and prepared."""
    from harness.runs.multi_run import start_all

    return start_all(wanted, toolbox.catalog(), store, toolbox.cache(), toolbox.machine(), told)


def resumed(toolbox: CliContext, store: "Store", name: str, told: "ProgressReporter") -> "list[Run]":
    """Return the unfinished runs that are to go on."""
    from harness.runs.execution.run import resume
    from harness.runs.multi_run import labelled_progress

    open_runs = store.unfinished() if name in ("latest", "all") else [store.run(name)]
    folders = open_runs[-1:] if name == "latest" else open_runs
    cache, machine = toolbox.cache(), toolbox.machine()
    return [
        resume(each, cache, machine, labelled_progress(each.plan().task, len(folders), told))
        for each in folders
    ]


def measured(ready: "list[Run]") -> "list[Record]":
    """Measure every run and return the records."""
    from harness.common.errors import InterruptedRun
    from harness.runs.execution.run import execute

    records = []
    for run in ready:
        try:
            records += execute(run)
        except KeyboardInterrupt:
            left = run.folder.name if run is ready[-1] else "all"
            raise InterruptedRun(
                "interrupted; every finished round is kept.",
                where=run.folder.name,
                remedy=f"`bench run --resume {left}` goes on with it.",
            ) from None
    return records


def show(
    records: "list[Record]", folders: "list[RunFolder]", *, json: bool, price: float | None = None
) -> None:
    """Print the report, and how to get it again."""
    from harness.cli.output.report_output import counts_in, rendered

    typer.echo(rendered(records, "json" if json else "text", price=price, counts=counts_in(folders)))
    if not json:
        runs = " ".join(folder.name for folder in folders)
        runs += "" if price is None else f" --price-per-hour {price:g}"
        typer.echo(f"\nRecords: {' '.join(str(folder.path) for folder in folders)}")
        typer.echo(f"The table again: bench report {runs}")
        typer.echo(f"For a pull request: bench report {runs} --format markdown")
