"""`bench prepare`: prepare the rungs of a ladder and measure none."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.data import DataOptions
from harness.cli.options.execution import ExecutionOptions
from harness.cli.options.groups import run_options
from harness.cli.options.output import Output
from harness.cli.options.panels import what_option
from harness.cli.options.selection import LadderOptions, ModelOptions
from harness.cli.output.terminal import print_json
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject, JsonValue
    from harness.runs.execution.preparation import Prepared
    from harness.runs.worker.messages import PreparedArtifact


ForSearch = Annotated[
    bool, what_option("--for-search", "Train on the nine tenths of train that `bench search` trains on.")
]


def prepare(
    context: CliContext,
    data: DataOptions,
    model: ModelOptions,
    ladder: LadderOptions,
    execution: ExecutionOptions,
    output: Output,
    for_search: ForSearch = False,
) -> None:
    """Prepare a ladder's rungs; measure none. Prints their size, time and energy."""
    from harness.cli.output.progress import notices, progress_reporter
    from harness.runs.execution.exclusive import cpus_held
    from harness.runs.execution.preparation import prepare as prepare_plan
    from harness.runs.planning.planner import plan_run
    from harness.studies.search import search_stage

    catalog, cache, machine = context.catalog(), context.cache(), context.machine()
    options = replace(run_options(data, model, execution), ladder=ladder.load(catalog))
    with (
        progress_reporter(quiet=output.quiet) as progress,
        cpus_held(machine, execution.busy, notices(progress, quiet=output.quiet)) as hold_cpus,
    ):
        plan = plan_run(options, catalog, cache, machine, progress, before_work=hold_cpus)
        plan = search_stage(plan, cache) if for_search else plan
        prepared = prepare_plan(plan, cache, machine, progress)
    rungs = _rungs(prepared)
    if output.json:
        print_json(rungs)
    else:
        typer.echo("\n\n".join(map(_format_rung, rungs)))
    if prepared.broken:
        raise typer.Exit(ExitCode.PARTIAL if prepared.artifacts else ExitCode.NOTHING_MEASURED)


def _rungs(prepared: "Prepared") -> "list[JsonObject]":
    rungs = [_rung(name, artifact) for name, artifact in prepared.artifacts.items()]
    return rungs + [{"rung": name, "failed": error.message} for name, error in prepared.broken.items()]


def _rung(name: str, artifact: "PreparedArtifact") -> "JsonObject":
    from harness.systems.artifact_cache import folder_bytes

    facts = {key: artifact.manifest[key] for key in ("selection", "preparation") if key in artifact.manifest}
    size = folder_bytes(artifact.folder)
    return {
        "rung": name,
        "key": artifact.key,
        "cached": not artifact.fresh,
        "size_bytes": size,
        **facts,
    }


def _format_rung(rung: "JsonObject") -> str:
    if "failed" in rung:
        return f"{rung['rung']}: not prepared: {rung['failed']}"
    state = "from the cache" if rung["cached"] else "made now"
    lines = [f"{rung['rung']}: {rung['size_bytes'] / 1e6:.1f} MB, {state}"]
    if "selection" in rung:
        lines.append(f"  on the held-out part of train: {_format_scores(rung['selection'])}")
    lines.extend(map(_format_step, rung.get("preparation", ())))
    return "\n".join(lines)


def _format_step(step: "JsonObject") -> str:
    cost = f"{step['seconds']:,.1f} s, {_format_energy(step['energy'])}"
    return f"  {step['recipe']:<16} {step['key'][:12]}  {cost}"


def _format_scores(selection: "JsonValue") -> str:
    """Return a step's metrics on the part of train that no recipe learned from, or why there are none."""
    if not isinstance(selection, dict):
        return str(selection)
    metrics = selection.get("metrics", selection)
    return ", ".join(f"{name} {value:.1%}" for name, value in metrics.items() if isinstance(value, float))


def _format_energy(energy: "JsonValue") -> str:
    """Return the joules of a step by grade, or why there are none."""
    if not isinstance(energy, list):
        return f"energy {energy or 'unavailable, because the manifest has none'}"
    readings = [
        f"{each['microjoules'] / 1e6:,.0f} J {each['grade']}" for each in energy if each.get("microjoules")
    ]
    return ", ".join(readings) or "energy unavailable, because no zone was read"
