"""`bench search`: find the fastest, most frugal or best variant within a quality budget."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli.context import CliContext
from harness.cli.measure.ladder import SCENARIOS
from harness.cli.measure.run import exit_code_of, print_report
from harness.cli.options.amount import ProfileName
from harness.cli.options.data import DataOptions
from harness.cli.options.execution import ExecutionOptions
from harness.cli.options.groups import OptionGroup, run_options
from harness.cli.options.output import Price, RecordOutput
from harness.cli.options.panels import what_option
from harness.cli.options.selection import ModelOptions, SearchLadder
from harness.cli.output.terminal import print_json

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.studies.search import Candidate, SearchOutcome


class SearchGoal(OptionGroup):
    """What the search maximises, and the quality it may lose."""

    max_quality_loss: Annotated[
        float,
        what_option("--max-quality-loss POINTS", "Largest loss of the first metric, in points.", min=0.0),
    ] = 1.0
    objective: Annotated[
        Literal["speed", "energy", "quality"],
        what_option("--objective speed|energy|quality", "Minimise time or joules, or maximise the score."),
    ] = "speed"


def search(
    context: CliContext,
    data: DataOptions,
    model: ModelOptions,
    ladder: SearchLadder,
    goal: SearchGoal,
    execution: ExecutionOptions,
    output: RecordOutput,
    profile: ProfileName = "default",
    price_per_hour: Price = None,
) -> None:
    """Search a ladder for the best rung within a quality budget. Part of train decides; val is reported."""
    from harness.api import update_index
    from harness.cli.output.progress import notices, progress_reporter
    from harness.runs.execution.exclusive import cpus_held
    from harness.studies.search import SearchContext, search_ladder

    catalog = context.catalog()
    options = dataclasses.replace(
        run_options(data, model, execution),
        ladder=ladder.load(catalog),
        scenarios=SCENARIOS,
        profile=profile,
        quality="full",  # it decides
    )
    store, cache, machine = context.open_store(output.store), context.cache(), context.machine()
    with (
        progress_reporter(quiet=output.quiet) as progress,
        cpus_held(machine, execution.busy, notices(progress, quiet=output.quiet)) as hold_cpus,
    ):
        where = SearchContext(store, cache, machine, progress, hold_cpus)
        outcome = search_ladder(
            options, catalog, where, max_loss=goal.max_quality_loss, objective=goal.objective
        )
        update_index(store, outcome.folders, progress)
    if output.json:
        print_json(_facts(outcome, goal))
    else:
        _print(outcome, goal, price_per_hour)
    raise typer.Exit(exit_code_of([*outcome.searched, *outcome.final]))


def _facts(outcome: "SearchOutcome", goal: SearchGoal) -> "JsonObject":
    return {
        "winner": outcome.winner,
        "tried": [dataclasses.asdict(candidate) for candidate in outcome.tried],
        "runs": [folder.name for folder in outcome.folders],
        "objective": goal.objective,
        "max_quality_loss": goal.max_quality_loss,
    }


def _print(outcome: "SearchOutcome", goal: SearchGoal, price: float | None) -> None:
    typer.echo(
        "Candidates on a tenth of train that no recipe learned from; "
        f"at most {goal.max_quality_loss:g} points may be lost."
    )
    typer.echo("The model itself may have learned from it, which flatters variants that learn nothing.")
    unit = "less energy" if goal.objective == "energy" else "faster"
    width = max(len(candidate.name) for candidate in outcome.tried)
    for candidate in outcome.tried:
        gain, points = _format_gain(candidate, unit), _format_points(candidate)
        typer.echo(f"  {candidate.name:<{width}}  {gain:<28}  {points:<30}  {candidate.why}")
    if outcome.winner is None:
        typer.echo("\nNo candidate gains anything within the budget: keep the baseline.")
        return
    typer.echo(f"\nThe winner is {outcome.winner}. On the reported split, which chose nothing:\n")
    final = list(outcome.final)
    print_report(final, [outcome.folders[-1]], json=False, price=price, permitted=goal.max_quality_loss)
    typer.echo(f"The table of the search: bench report {outcome.folders[0].name}")


def _format_gain(candidate: "Candidate", unit: str) -> str:
    gain = candidate.gain
    return "n/a" if gain is None else f"{gain.value:.2f}x {unit} [{gain.low:.2f}, {gain.high:.2f}]"


def _format_points(candidate: "Candidate") -> str:
    points = candidate.points
    return "n/a" if points is None else f"{points.value:+.2f} points [{points.low:+.2f}, {points.high:+.2f}]"
