"""`bench tune`: the fastest or most frugal variant within a quality budget, and what else was tried."""

from typing import TYPE_CHECKING, Any

import typer

from harness.cli.context import CliContext
from harness.cli.measure.ladder import SCENARIOS, LadderName, Parameters, RungNames, ladder_named
from harness.cli.measure.run import exit_code, show
from harness.cli.options.common import (
    DataFolder,
    DeviceName,
    HeldOut,
    Json,
    LabelColumn,
    LabelNames,
    MaxLength,
    MaxLoss,
    MeterName,
    MetricName,
    ModelName,
    Objective,
    Price,
    ProfileName,
    Quiet,
    Seed,
    StoreFolder,
    TaskName,
    TextColumns,
    Threads,
    own_data,
)

if TYPE_CHECKING:
    from harness.studies.search import Candidate, SearchOutcome


def tune(
    context: typer.Context,
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    model: ModelName = "embedded",
    ladder: LadderName = "tune",
    rungs: RungNames = None,
    parameter: Parameters = None,
    max_quality_loss: MaxLoss = 1.0,
    objective: Objective = "speed",
    price_per_hour: Price = None,
    device: DeviceName = "cpu",
    meter: MeterName = "",
    threads: Threads = None,
    max_length: MaxLength = 256,
    profile: ProfileName = "default",
    seed: Seed = 0,
    store: StoreFolder = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search a ladder for the best within a quality budget; a part of train decides, val is reported."""
    from harness.cli.output.progress import narrator
    from harness.records.store import Store
    from harness.runs.planning.options import RunOptions
    from harness.studies.search import SearchContext, search_ladder

    toolbox: CliContext = context.obj
    catalog = toolbox.catalog()
    wanted = RunOptions(
        task=task,
        data=data,
        own=own_data(text, label, metric, labels, held_out),
        model=model,
        ladder=ladder_named(ladder, rungs, parameter, catalog),
        device=device,
        meter=meter,
        scenarios=SCENARIOS,
        threads=threads,
        max_length=max_length,
        profile=profile,
        seed=seed,
    )
    with narrator(quiet=quiet) as told:
        place = SearchContext(Store(toolbox.store(store)), toolbox.cache(), toolbox.machine(), told)
        found = search_ladder(wanted, catalog, place, max_loss=max_quality_loss, objective=objective)
    _show(found, max_quality_loss, objective, json=json, price=price_per_hour)
    raise typer.Exit(exit_code([*found.searched, *found.final]))


def _show(found: "SearchOutcome", budget: float, objective: str, *, json: bool, price: float | None) -> None:
    import json as encoder

    if json:
        runs = [folder.name for folder in found.folders]
        facts = {"winner": found.winner, "tried": [_row(each) for each in found.tried], "runs": runs}
        typer.echo(encoder.dumps({**facts, "objective": objective, "max_quality_loss": budget}, indent=1))
        return
    word = "faster" if objective == "speed" else "less energy"
    typer.echo(f"Tried on a tenth of train that no recipe learned from, at most {budget:g} points lost")
    typer.echo("(the model itself may have: variants that learn nothing then look better than they are):")
    width = max(len(each.name) for each in found.tried)
    for each in found.tried:
        typer.echo(f"  {each.name:<{width}}  {_gain(each, word):<28}  {_points(each):<30}  {each.why}")
    if found.winner is None:
        typer.echo("\nNone of them gains anything within the budget: keep the baseline.")
        return
    typer.echo(f"\nThe winner is {found.winner}. On the split that is reported, which chose nothing:\n")
    show(list(found.final), [found.folders[-1]], json=False, price=price)
    typer.echo(f"The search's own table: bench report {found.folders[0].name}")


def _gain(each: "Candidate", word: str) -> str:
    if each.gain is None:
        return "n/a"
    return f"{each.gain.value:.2f}x {word} [{each.gain.low:.2f}, {each.gain.high:.2f}]"


def _points(each: "Candidate") -> str:
    if each.points is None:
        return "n/a"
    return f"{each.points.value:+.2f} points [{each.points.low:+.2f}, {each.points.high:+.2f}]"


def _row(each: "Candidate") -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(each)
