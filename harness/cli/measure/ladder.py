"""`bench ladder`: prepare the rungs of a ladder, measure all, and print what each step gains and costs."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.measure.run import begin_runs, execute_runs, exit_code_of, print_report
from harness.cli.options.amount import LaunchOptions
from harness.cli.options.data import DataOptions
from harness.cli.options.execution import Resume, RooflineExecution
from harness.cli.options.groups import run_options
from harness.cli.options.load import LoadOptions
from harness.cli.options.output import Price, RecordOutput
from harness.cli.options.panels import what_option
from harness.cli.options.selection import Boundary, DevicesOptions, LadderOptions, load_ladder
from harness.cli.output.export_paths import named_paths

if TYPE_CHECKING:
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
    output: RecordOutput,
    shapes: Shapes = None,
    boundary: Boundary = "encoded",
    resume: Resume = None,
    price_per_hour: Price = None,
) -> None:
    """Measure a ladder's rungs: what each step gains and costs."""
    from harness.cli.output.progress import notices, progress_reporter
    from harness.runs.execution.exclusive import cpus_held

    catalog, store = context.catalog(), context.open_store(output.store)
    scenarios = (*SCENARIOS, "server") if load.rate or load.slo else SCENARIOS
    options = run_options(data, model, load, amount, execution)
    steps = None if shapes else ladder.load(catalog)
    options = replace(options, ladder=steps, scenarios=scenarios, boundary=boundary)
    with (
        progress_reporter(quiet=output.quiet) as progress,
        cpus_held(context.machine(), execution.busy, notices(progress, quiet=output.quiet)) as hold_cpus,
    ):
        if shapes and resume is None:
            _check_shape_options(typer_context)
            options = _shape_options(shapes, options, context, ladder.rungs)
        runs = begin_runs(context, store, [options], resume, progress, hold_cpus)
        records = execute_runs(runs)
    paths = named_paths(runs, [] if resume is not None else [options], ladder.ladder)
    folders, permitted = [run.folder for run in runs], amount.max_quality_loss
    print_report(records, folders, json=output.json, price=price_per_hour, permitted=permitted, paths=paths)
    raise typer.Exit(exit_code_of(records))


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
    shapes: str, options: "RunOptions", context: CliContext, rungs: str | None
) -> "RunOptions":
    from harness.common.errors import unknown_name
    from harness.studies.untrained_shapes import STUDIES, of_shapes

    if shapes not in STUDIES:
        raise unknown_name("set of shapes", shapes, STUDIES)
    study = STUDIES[shapes]
    return of_shapes(
        study, options, load_ladder(study.ladder, rungs, None, context.catalog()), context.cache()
    )
