"""`bench search`: find the fastest, most frugal or best variant within a quality budget."""

import dataclasses
from typing import TYPE_CHECKING

import typer

from harness.cli.context import CliContext
from harness.cli.measure.ladder import SCENARIOS
from harness.cli.measure.run import exit_code_of, print_report
from harness.cli.options.amount import ProfileName
from harness.cli.options.data import DataOptions
from harness.cli.options.execution import ExecutionOptions, HostsOptions, ResumeSearch
from harness.cli.options.groups import run_options
from harness.cli.options.output import Price, RecordOutput
from harness.cli.options.selection import ModelOptions, SearchGoal, SearchLadder
from harness.cli.output.terminal import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.common.json_types import JsonObject
    from harness.common.progress import ProgressReporter
    from harness.records.store import Store
    from harness.runs.planning.options import RunOptions
    from harness.studies.search import Candidate, SearchOutcome


def search(
    typer_context: typer.Context,
    context: CliContext,
    data: DataOptions,
    model: ModelOptions,
    ladder: SearchLadder,
    goal: SearchGoal,
    execution: ExecutionOptions,
    cluster: HostsOptions,
    output: RecordOutput,
    profile: ProfileName = "default",
    resume: ResumeSearch = None,
    price_per_hour: Price = None,
) -> None:
    """Search a ladder for the best rung within a quality budget. Part of train decides; val is reported."""
    from harness.cli.cluster.search import search_on_cluster
    from harness.cli.output.progress import notices, progress_reporter
    from harness.runs.execution.exclusive import cpus_held

    cluster.check()
    options = dataclasses.replace(
        run_options(data, model, execution),
        ladder=ladder.load(context.catalog()),
        scenarios=SCENARIOS,
        profile=profile,
        quality="full",  # it decides
    )
    store, machine, name = context.open_store(output.store), context.machine(), ladder.ladder
    with progress_reporter(quiet=output.quiet) as progress:
        if cluster.cluster:
            searches, code = search_on_cluster(
                typer_context, cluster, options, name, store, goal, progress, resume
            )
            _show_hosts(searches, goal, price_per_hour, json=output.json)
            raise typer.Exit(code)
        report = notices(progress, quiet=output.quiet)
        with cpus_held(machine, execution.busy, report) as hold_cpus:
            outcome = _search_here(options, context, store, goal, progress, hold_cpus, resume)
    _show(outcome, goal, price_per_hour, json=output.json)
    raise typer.Exit(exit_code_of([*outcome.searched, *outcome.final]))


def _search_here(
    options: "RunOptions",
    context: CliContext,
    store: "Store",
    goal: SearchGoal,
    progress: "ProgressReporter",
    hold_cpus: "Callable[[], None]",
    resume: str | None,
) -> "SearchOutcome":
    from harness.api import update_index
    from harness.studies.search import SearchContext, search_ladder

    where = SearchContext(store, context.cache(), context.machine(), progress, hold_cpus)
    outcome = search_ladder(
        options,
        context.catalog(),
        where,
        max_loss=goal.max_quality_loss,
        objective=goal.objective,
        resume=resume,
    )
    update_index(store, outcome.folders, progress)
    return outcome


def _show(outcome: "SearchOutcome", goal: SearchGoal, price: float | None, *, json: bool) -> None:
    if json:
        print_json(_facts(outcome, goal))
    else:
        _print(outcome, goal, price)


def _show_hosts(
    searches: "Mapping[str, SearchOutcome]", goal: SearchGoal, price: float | None, *, json: bool
) -> None:
    """Print the search of each host: unlike hosts may have unlike winners."""
    if json:
        print_json([{"host": host, **_facts(outcome, goal)} for host, outcome in searches.items()])
        return
    for host, outcome in searches.items():
        typer.echo(f"{host}\n{'=' * len(host)}")
        _print(outcome, goal, price)
        typer.echo("")


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
    if not outcome.final:  # of a host that was lost
        typer.echo(f"\nThe winner is {outcome.winner}, which was not measured on the reported split.")
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
