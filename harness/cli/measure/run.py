"""`bench run`: measure variants of a task, interleaved, and print the table."""

from typing import TYPE_CHECKING

import typer

from harness.cli.context import CliContext
from harness.cli.measure.dry_run import format_dry_run
from harness.cli.measure.null_test import keep_traces
from harness.cli.options.amount import LaunchOptions
from harness.cli.options.config_file import RunControl, cross_options
from harness.cli.options.data import RunData
from harness.cli.options.execution import ClusterOptions, RunExecution
from harness.cli.options.groups import run_options
from harness.cli.options.load import LoadOptions
from harness.cli.options.output import RecordOutput
from harness.cli.options.selection import DevicesOptions, ProtocolName, VariantOptions, apply_protocol
from harness.cli.options.units import named
from harness.cli.output.export_paths import named_paths
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Mapping, Sequence

    from harness.analysis.verdict import ExportPaths
    from harness.cli.cluster.runs import ClusterRun
    from harness.common.progress import ProgressReporter
    from harness.records.record import Record
    from harness.records.store import RunFolder, Store
    from harness.runs.cluster.point import Point
    from harness.runs.cluster.ray_hosts import RayHost
    from harness.runs.execution.run import Run
    from harness.runs.planning.options import RunOptions


def run(
    typer_context: typer.Context,
    context: CliContext,
    data: RunData,
    model: DevicesOptions,
    variants: VariantOptions,
    amount: LaunchOptions,
    load: LoadOptions,
    execution: RunExecution,
    control: RunControl,
    cluster: ClusterOptions,
    output: RecordOutput,
    protocol: ProtocolName = "",
) -> None:
    """Measure the baseline and faster variants, interleaved."""
    from harness.cli.output.progress import notices, progress_reporter
    from harness.runs.execution.exclusive import cpus_held

    cluster.check()
    store, permitted = context.open_store(output.store), amount.max_quality_loss
    options = run_options(data, model, variants, load, amount, execution)
    planned: list[RunOptions] = []
    with (
        progress_reporter(quiet=output.quiet) as progress,
        cpus_held(context.machine(), execution.busy, notices(progress, quiet=output.quiet)) as hold_cpus,
    ):
        if control.resume is None:
            options = apply_protocol(typer_context, protocol, options)
            planned = _planned(typer_context, options, data, progress)
            if control.dry_run:
                typer.echo(format_dry_run(context, store, planned, progress, json=output.json))
                raise typer.Exit
        if cluster.cluster:
            _measure_on_cluster(typer_context, cluster, planned, control, output, permitted, progress)
        runs = begin_runs(context, store, planned, control.resume, progress, hold_cpus)
        records = execute_runs(runs)
    keep_traces(records, store.root / "traces")
    folders, paths = [run.folder for run in runs], named_paths(runs, planned)
    print_report(records, folders, json=output.json, permitted=permitted, paths=paths)
    raise typer.Exit(exit_code_of(records))


def begin_runs(
    context: CliContext,
    store: "Store",
    planned: "Sequence[RunOptions]",
    resume: str | None,
    progress: "ProgressReporter",
    hold_cpus: "Callable[[], None]",
) -> "list[Run]":
    """Return the runs, prepared: those that are resumed, or new ones; they hold the CPUs from now on."""
    from harness.runs.execution.multi_run import start_all

    if resume is not None:
        hold_cpus()
        return resume_runs(context, store, resume, progress)
    catalog, cache, machine = context.catalog(), context.cache(), context.machine()
    return start_all(planned, catalog, store, cache, machine, progress, hold_cpus)


def _planned(
    typer_context: typer.Context, options: "RunOptions", data: RunData, progress: "ProgressReporter"
) -> "list[RunOptions]":
    """Return the options of each run: of each combination of crossed values, and of each task."""
    from harness.runs.execution.multi_run import options_per_task

    tasks = named(data.task, "--task")
    return [
        per_task
        for crossed in cross_options(typer_context, options)
        for per_task in options_per_task(crossed, tasks, data.split, progress)
    ]


def _measure_on_cluster(
    typer_context: typer.Context,
    cluster: ClusterOptions,
    planned: "Sequence[RunOptions]",
    control: RunControl,
    output: RecordOutput,
    permitted: float | None,
    progress: "ProgressReporter",
) -> None:
    """Measure on the hosts of a cluster, print the report, and exit."""
    from harness.cli.cluster.commands import named_files
    from harness.cli.cluster.runs import begun_queues, measure_on_hosts, new_queues, points_of

    store, resume = typer_context.obj.open_store(output.store), control.resume

    def queues_for(hosts: "Sequence[RayHost]") -> "list[deque[Point]]":
        if resume is not None:
            return begun_queues(hosts, resume)
        points = points_of(typer_context, planned)
        return new_queues(hosts, points, cluster.per_host, named_files(planned))

    measured = measure_on_hosts(cluster.cluster, cluster.hosts, queues_for, store, progress)
    progress.finish()
    report_cluster_run(measured, store, json=output.json, permitted=permitted)


def report_cluster_run(
    measured: "ClusterRun",
    store: "Store",
    *,
    json: bool,
    price: float | None = None,
    permitted: float | None = None,
) -> None:
    """Keep traces, print one report on what all hosts sealed, and exit."""
    keep_traces(measured.records, store.root / "traces")
    if measured.records:
        print_report(measured.records, measured.folders, json=json, price=price, permitted=permitted)
    raise typer.Exit(measured.exit_code)


def exit_code_of(records: "Sequence[Record]") -> ExitCode:
    """Return 0 if every cell is complete, 5 if some failed, 4 if nothing was measured."""
    if records and all(record.status == "complete" for record in records):
        return ExitCode.DONE
    return ExitCode.PARTIAL if any(record.rounds for record in records) else ExitCode.NOTHING_MEASURED


def resume_runs(context: CliContext, store: "Store", name: str, progress: "ProgressReporter") -> "list[Run]":
    """Return the unfinished runs of this name: an id, `latest`, or `all`."""
    from harness.runs.execution.multi_run import labelled_progress
    from harness.runs.execution.run import resume

    unfinished = store.unfinished() if name in ("latest", "all") else [store.run(name)]
    folders = unfinished[-1:] if name == "latest" else unfinished
    cache, machine = context.cache(), context.machine()
    return [
        resume(folder, cache, machine, labelled_progress(folder.plan().task, len(folders), progress))
        for folder in folders
    ]


def execute_runs(runs: "list[Run]", command: str = "run") -> "list[Record]":
    """Measure and index every run, and return the records.

    `bench COMMAND --resume` continues an interrupted one.
    """
    from harness.api import update_index
    from harness.common.errors import InterruptedRun
    from harness.records.store import Store
    from harness.runs.execution.run import execute

    records = []
    for run in runs:
        try:
            records += execute(run)
        except KeyboardInterrupt:
            name = run.folder.name if run is runs[-1] else "all"
            raise InterruptedRun(
                "interrupted; every finished round is kept.",
                where=run.folder.name,
                remedy=f"`bench {command} --resume {name}` continues.",
            ) from None
        update_index(Store(run.folder.path.parents[1]), [run.folder], run.narrator)
    return records


def print_report(
    records: "list[Record]",
    folders: "list[RunFolder]",
    *,
    json: bool,
    price: float | None = None,
    permitted: float | None = None,
    paths: "Mapping[str, ExportPaths] | None" = None,
) -> None:
    """Print the tables, where the records are, the commands that print them again, and the verdict last."""
    from harness.cli.output.report_output import counts_in, render_report

    runs = " ".join(folder.name for folder in folders)
    runs += "" if price is None else f" --price-per-hour {price:g}"
    footer = (
        f"Records: {' '.join(str(folder.path) for folder in folders)}",
        f"The table again: bench report {runs}",
        f"For a pull request: bench report {runs} --format markdown",
    )
    text = render_report(
        records,
        "json" if json else "text",
        price=price,
        counts=counts_in(folders),
        footer=footer,
        permitted=permitted,
        paths=paths,
    )
    typer.echo(text)
