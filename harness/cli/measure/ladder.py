"""`bench ladder`: prepare the rungs of a ladder, measure all, and print what each step gains and costs."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.measure.run import (
    begin_runs,
    execute_runs,
    exit_code_of,
    print_report,
    report_cluster_run,
)
from harness.cli.options.amount import LaunchOptions
from harness.cli.options.data import DataOptions
from harness.cli.options.execution import HostsOptions, Resume, RooflineExecution
from harness.cli.options.groups import run_options
from harness.cli.options.load import LoadOptions
from harness.cli.options.output import Price, RecordOutput
from harness.cli.options.panels import what_option
from harness.cli.options.selection import Boundary, DevicesOptions, LadderOptions, load_ladder
from harness.cli.output.export_paths import named_paths

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from harness.cli.cluster.runs import ClusterRun
    from harness.common.progress import ProgressReporter
    from harness.records.store import Store
    from harness.runs.cluster.point import Point
    from harness.runs.cluster.ray_hosts import RayHost
    from harness.runs.planning.options import RunOptions

SCENARIOS = ("offline", "single-stream")
"""The rungs' speed is that of `offline`; percentiles of `single-stream` stand beside it."""

Shapes = Annotated[
    str | None,
    what_option(
        "--shapes paper", "The paper's architectures, untrained (docs/howto/shapes.md); or paper-gpu."
    ),
]


def ladder(
    typer_context: typer.Context,
    context: CliContext,
    data: DataOptions,
    model: DevicesOptions,
    ladder: LadderOptions,
    amount: LaunchOptions,
    load: LoadOptions,
    execution: RooflineExecution,
    cluster: HostsOptions,
    output: RecordOutput,
    shapes: Shapes = None,
    boundary: Boundary = "encoded",
    resume: Resume = None,
    price_per_hour: Price = None,
) -> None:
    """Measure a ladder's rungs: what each step gains and costs."""
    from harness.cli.output.progress import notices, progress_reporter
    from harness.runs.execution.exclusive import cpus_held

    cluster.check()
    store, permitted = context.open_store(output.store), amount.max_quality_loss
    planned = run_options(data, model, load, amount, execution)
    options = replace(planned, scenarios=_scenarios(load), boundary=boundary)
    options = options if shapes else replace(options, ladder=ladder.load(context.catalog()))
    with (
        progress_reporter(quiet=output.quiet) as progress,
        cpus_held(context.machine(), execution.busy, notices(progress, quiet=output.quiet)) as hold_cpus,
    ):
        if shapes and resume is None:
            options = _shape_options(typer_context, shapes, options, ladder.rungs)
        if cluster.cluster:
            measured = _on_cluster(typer_context, cluster, options, ladder.ladder, store, resume, progress)
            report_cluster_run(measured, store, json=output.json, price=price_per_hour, permitted=permitted)
        runs = begin_runs(context, store, [options], resume, progress, hold_cpus)
        records = execute_runs(runs)
    paths = named_paths(runs, [] if resume is not None else [options], ladder.ladder)
    folders = [run.folder for run in runs]
    print_report(records, folders, json=output.json, price=price_per_hour, permitted=permitted, paths=paths)
    raise typer.Exit(exit_code_of(records))


def _scenarios(load: LoadOptions) -> tuple[str, ...]:
    return (*SCENARIOS, "server") if load.rate or load.slo else SCENARIOS


def _on_cluster(
    typer_context: typer.Context,
    cluster: HostsOptions,
    options: "RunOptions",
    name: str,
    store: "Store",
    resume: str | None,
    progress: "ProgressReporter",
) -> "ClusterRun":
    """Train the rungs of the ladder called `name` on free hosts, and measure all on each host.

    A study of untrained shapes trains nothing, and reads no file that hosts could lack.
    """
    from harness.cli.cluster.commands import given_arguments, named_files, new_job, point_of
    from harness.cli.cluster.preparation import prepare_on_cluster, warn_of_trained_again
    from harness.cli.cluster.runs import begun_queues, measure_on_hosts, new_queues

    keys: set[str] = set()
    ladder = None if typer_context.params["shapes"] else options.ladder

    def queues_for(hosts: "Sequence[RayHost]") -> "list[deque[Point]]":
        if resume is not None:
            return begun_queues(hosts, resume)
        words, expected = given_arguments(typer_context), named_files([options], name) if ladder else {}
        point = point_of(typer_context, new_job(), f"000-{options.task}", "ladder", words)
        queues = new_queues(hosts, [point], "same", expected)
        if ladder:
            keys.update(prepare_on_cluster(typer_context, ladder, name, hosts, expected, progress))
        return queues

    measured = measure_on_hosts(cluster.cluster, cluster.hosts, queues_for, store, progress)
    progress.finish()
    warn_of_trained_again(measured.records, keys, progress)
    return measured


def _check_shape_options(typer_context: typer.Context) -> None:
    """Refuse options that a study of shapes sets itself, rather than ignore them."""
    from harness.common.errors import UsageError

    fixed = {"task", "model", "data", "ladder", "parameters", "max_length"}
    given = [
        parameter.opts[0]
        for parameter in typer_context.command.params
        if parameter.name in fixed
        and getattr(typer_context.get_parameter_source(parameter.name), "name", "") == "COMMANDLINE"
    ]
    if given:
        raise UsageError(
            f"--shapes sets {', '.join(given)} itself.",
            remedy="Leave them out; a ladder of your own may have a recipe `shape` (docs/howto/shapes.md).",
        )


def _shape_options(
    typer_context: typer.Context, shapes: str, options: "RunOptions", rungs: str | None
) -> "RunOptions":
    from harness.common.errors import unknown_name
    from harness.studies.untrained_shapes import STUDIES, of_shapes

    _check_shape_options(typer_context)
    context: CliContext = typer_context.obj
    if shapes not in STUDIES:
        raise unknown_name("set of shapes", shapes, STUDIES)
    study = STUDIES[shapes]
    return of_shapes(
        study, options, load_ladder(study.ladder, rungs, None, context.catalog()), context.cache()
    )
