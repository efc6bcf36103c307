"""`bench ladder` and `bench optimize`: a fine-tuned model becomes faster ones, prepared and measured."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.context import CliContext
from harness.cli.measure.run import exit_code, measured, resumed, show
from harness.cli.options.arrivals import BatchSizes, Promised, Rates, Window, load_of
from harness.cli.options.common import (
    Boundary,
    DataFolder,
    DeviceName,
    DeviceNames,
    HeldOut,
    Json,
    LabelColumn,
    LabelNames,
    Launches,
    Limit,
    MaxLength,
    MeterName,
    MetricName,
    ModelName,
    Precision,
    Price,
    ProfileName,
    QualityOf,
    Quiet,
    Resume,
    Roofline,
    Rounds,
    Seed,
    StoreFolder,
    TaskName,
    TextColumns,
    Threads,
    TimeBudget,
    more_rounds,
    names,
    own_data,
)

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.records.ladder import Ladder
    from harness.runs.execution.preparation import Prepared
    from harness.runs.planning.options import RunOptions
    from harness.runs.worker.messages import PreparedArtifact

LadderName = Annotated[
    str, typer.Option("--ladder", metavar="NAME|FILE", help="A ladder of `bench list`, or your own as YAML.")
]
RungNames = Annotated[
    str | None, typer.Option("--rungs", metavar="NAME,...", help="These rungs only (default: all).")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the ladder, such as student=minilm."),
]
Shapes = Annotated[
    str | None,
    typer.Option(
        "--shapes",
        metavar="paper",
        help="The paper's architectures, untrained, at BoolQ's lengths: speed and energy only; or paper-gpu.",
    ),
]
SCENARIOS = ("offline", "single-stream")
"""The rungs' speed is that of `offline`; percentiles of `single-stream` stand beside it."""


def ladder(
    context: typer.Context,
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    model: ModelName = "embedded",
    ladder: LadderName = "fastformers",
    rungs: RungNames = None,
    parameter: Parameters = None,
    shapes: Shapes = None,
    price_per_hour: Price = None,
    device: DeviceNames = "cpu",
    meter: MeterName = "",
    boundary: Boundary = "encoded",
    threads: Threads = None,
    max_length: MaxLength = 256,
    profile: ProfileName = "default",
    rounds: Rounds = None,
    launches: Launches = None,
    precision: Precision = None,
    time_budget: TimeBudget = None,
    batch: BatchSizes = "",
    rate: Rates = "",
    slo: Promised = "",
    window: Window = None,
    limit: Limit = None,
    seed: Seed = 0,
    quality: QualityOf = "full",
    roofline: Roofline = False,
    store: StoreFolder = None,
    resume: Resume = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prepare every rung of a ladder, measure all interleaved, and print what each step gains and costs."""
    from harness.cli.output.progress import narrator
    from harness.records.store import Store
    from harness.runs.execution.run import start
    from harness.runs.planning.options import RunOptions

    toolbox: CliContext = context.obj
    catalog = toolbox.catalog()
    place = Store(toolbox.store(store))
    wanted = RunOptions(
        task=task,
        data=data,
        own=own_data(text, label, metric, labels, held_out),
        model=model,
        ladder=None if shapes else ladder_named(ladder, rungs, parameter, catalog),
        device=device,
        meter=meter,
        scenarios=(*SCENARIOS, *(("server",) if rate or slo else ())),
        **load_of(batch, rate, slo, window),
        **more_rounds(launches, precision, time_budget),
        boundary=boundary,
        threads=threads,
        max_length=max_length,
        profile=profile,
        rounds=rounds,
        sample=limit,
        seed=seed,
        quality=quality,
        roofline=roofline,
    )
    with narrator(quiet=quiet) as told:
        if resume:
            ready = resumed(toolbox, place, resume, told)
        else:
            if shapes:
                _alone(context)
                wanted = _of_shapes(shapes, wanted, catalog, toolbox.cache(), rungs)
            ready = [start(wanted, catalog, place, toolbox.cache(), toolbox.machine(), told)]
        records = measured(ready)
    show(records, [run.folder for run in ready], json=json, price=price_per_hour)
    raise typer.Exit(exit_code(records))


def optimize(
    context: typer.Context,
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    model: ModelName = "embedded",
    ladder: LadderName = "fastformers",
    rungs: RungNames = None,
    parameter: Parameters = None,
    device: DeviceName = "cpu",
    meter: MeterName = "",
    threads: Threads = None,
    max_length: MaxLength = 256,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prepare every rung of a ladder and measure none: what was made, how long it took, what it cost."""
    from harness.cli.output.progress import narrator
    from harness.runs.execution.preparation import prepare
    from harness.runs.planning.options import RunOptions
    from harness.runs.planning.planner import plan_run

    toolbox: CliContext = context.obj
    catalog, machine = toolbox.catalog(), toolbox.machine()
    wanted = RunOptions(
        task=task,
        data=data,
        own=own_data(text, label, metric, labels, held_out),
        model=model,
        ladder=ladder_named(ladder, rungs, parameter, catalog),
        device=device,
        meter=meter,
        threads=threads,
        max_length=max_length,
        seed=seed,
    )
    with narrator(quiet=quiet) as told:
        plan = plan_run(wanted, catalog, toolbox.cache(), machine, told)
        prepared = prepare(plan, toolbox.cache(), machine, told)
    typer.echo(_written(prepared, json=json))
    raise typer.Exit((5 if prepared.artifacts else 4) if prepared.broken else 0)


def ladder_named(name: str, rungs: str | None, parameters: list[str] | None, catalog: "Catalog") -> "Ladder":
    """Return a ladder that ships, or the user's own from a file, with only these of its rungs."""
    from harness.common.errors import unknown_name
    from harness.records.ladder import parse_ladder, parse_parameters, read_ladder

    values = parse_parameters(tuple(parameters or ()))
    if name in catalog.ladders:
        found = parse_ladder(catalog.ladders[name], name, values)
    elif Path(name).suffix in (".yaml", ".yml") or Path(name).is_file():
        found = read_ladder(Path(name), values)
    else:
        raise unknown_name("ladder", name, catalog.ladders)
    return found.only(names(rungs)) if rungs else found


def _alone(context: typer.Context) -> None:
    """Refuse what a study of shapes decides itself, rather than do as if nothing had been said."""
    from harness.common.errors import UsageError

    decided = ("task", "model", "data", "ladder", "parameter", "max_length")
    said = [
        name for name in decided if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if said:
        raise UsageError(
            f"--shapes decides {', '.join(said)} itself.",
            remedy="Leave them out; a ladder of your own may have a recipe `shape` (docs/shapes.md).",
        )


def _of_shapes(
    shapes: str, wanted: "RunOptions", catalog: "Catalog", cache: Path, rungs: str | None
) -> "RunOptions":
    from harness.common.errors import unknown_name
    from harness.studies.untrained_shapes import STUDIES, of_shapes

    if shapes not in STUDIES:
        raise unknown_name("set of shapes", shapes, STUDIES)
    return of_shapes(
        STUDIES[shapes], wanted, ladder_named(STUDIES[shapes].ladder, rungs, None, catalog), cache
    )


def _written(prepared: "Prepared", *, json: bool) -> str:
    import json as encoder

    rows = [_row(name, made) for name, made in prepared.artifacts.items()]
    rows += [{"rung": name, "failed": broken.message} for name, broken in prepared.broken.items()]
    if json:
        return encoder.dumps(rows, indent=1)
    return "\n\n".join(_told(row) for row in rows)


def _row(name: str, made: "PreparedArtifact") -> dict[str, Any]:
    from harness.systems.artifact_cache import folder_bytes

    known = ("selection", "preparation")
    facts = {key: made.manifest[key] for key in known if key in made.manifest}
    size = folder_bytes(made.folder)
    return {"rung": name, "key": made.key, "cached": not made.fresh, "size_bytes": size, **facts}


def _told(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"{row['rung']}: not made: {row['failed']}"
    state = "from the cache" if row["cached"] else "made now"
    lines = [f"{row['rung']}: {row['size_bytes'] / 1e6:.1f} MB, {state}"]
    if "selection" in row:
        lines.append(f"  on the held-out part of train: {_scores(row['selection'])}")
    lines.extend(map(_step, row.get("preparation", ())))
    return "\n".join(lines)


def _step(step: dict[str, Any]) -> str:
    spent = f"{step['seconds']:,.1f} s, {_joules(step['energy'])}"
    return f"  {step['recipe']:<16} {step['key'][:12]}  {spent}"


def _scores(selection: Any) -> str:  # noqa: ANN401 -- a JSON value of a manifest
    """Return the metrics of a step on what no recipe learned from, or why there are none."""
    if not isinstance(selection, dict):
        return str(selection)
    metrics = selection.get("metrics", selection)
    shown = [f"{name} {value:.1%}" for name, value in metrics.items() if isinstance(value, float)]
    return ", ".join(shown)


def _joules(energy: Any) -> str:  # noqa: ANN401 -- readings, or why there are none
    if not isinstance(energy, list):
        return f"energy {energy or 'unavailable, because the manifest has none'}"
    told = [
        f"{each['microjoules'] / 1e6:,.0f} J {each['grade']}" for each in energy if each.get("microjoules")
    ]
    return ", ".join(told) or "energy unavailable, because no zone was read"
