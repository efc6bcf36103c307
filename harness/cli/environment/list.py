"""`bench list`: what can be asked, who can answer, what reads energy, and what is cached."""

from collections.abc import Collection
from typing import Annotated, Any

import typer

from harness.cli.context import CliContext
from harness.cli.options.common import Json


def list_(
    context: typer.Context,
    json: Json = False,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON Schema of a record instead.")] = False,
) -> None:
    """List tasks, variants, scenarios, profiles, meters, and what lies in the cache."""
    if schema:
        from harness.records.schema import schema_text

        typer.echo(schema_text(), nl=False)
        return
    from harness.cli.output.terminal import escape

    known = _known(context.obj)
    if json:
        import json as encoder

        typer.echo(encoder.dumps(known, indent=1))
        return
    for kind, rows in known.items():
        typer.echo(kind)
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            typer.echo(f"  {row['name']:<{width}}  {row['summary']}")
            if row.get("unavailable"):
                typer.echo(f"  {'':<{width}}  unavailable, because {escape(row['unavailable'])}")
        if not rows:
            typer.echo("  nothing")


def _known(toolbox: CliContext) -> dict[str, list[dict[str, Any]]]:
    from harness.catalog import built_in
    from harness.measurement.energy.selection import METERS
    from harness.records.plan import PROFILES
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.scenarios import SCENARIOS
    from harness.workload.tasks import TASKS
    from harness.workload.tasks.custom import CUSTOM

    artifacts = ArtifactCache(toolbox.cache()).artifacts()
    return {
        "tasks": [
            *map(_row, TASKS.values()),
            {"name": CUSTOM, "summary": "your own classification of one text or two (docs/custom.md)"},
        ],
        "variants": [
            {**_row(variant), "unavailable": variant.unavailable()}
            for variant in toolbox.catalog().variants.values()
        ],
        "families of checkpoints": [
            {**_row(family), "unavailable": family.unavailable} for family in toolbox.catalog().families
        ],
        "scenarios": [_row(scenario) for scenario in SCENARIOS.values()],
        "profiles": [
            {"name": p.name, "summary": f"{p.rounds} rounds over {p.sample} timed examples"}
            for p in PROFILES.values()
        ],
        "meters": [_row(meter) for meter in METERS],
        **_brought(built_in(toolbox.catalog().variants)),
        "cached artifacts": [_artifact(artifact) for artifact in artifacts],
    }


def _brought(variants: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return what plug-ins bring, loaded to see whether it works; nothing where there are none."""
    from harness.cli.output.terminal import escape
    from harness.common.plugins import GROUPS, Kind, plugins
    from harness.measurement.energy.selection import METERS, NONE
    from harness.workload.tasks import TASKS
    from harness.workload.tasks.custom import CUSTOM
    from reports import FILES, FORMATS

    names: dict[Kind, Collection[str]] = {
        "task": (*TASKS, CUSTOM),
        "variant": variants,
        "meter": (*(row.name for row in METERS), NONE),
        "report": (*FORMATS, *FILES),
    }
    rows = [
        {
            "name": escape(each.name),
            "summary": escape(f"{kind}, from {each.distribution}"),
            "unavailable": escape(why) if (why := each.problem()) else None,
        }
        for kind in GROUPS
        for each in plugins(kind, names[kind]).values()
    ]
    return {"plug-ins": rows} if rows else {}


def _row(thing: Any) -> dict[str, Any]:  # noqa: ANN401 -- whatever has a name and a summary
    return {"name": thing.name, "summary": thing.summary}


def _artifact(artifact: Any) -> dict[str, Any]:  # noqa: ANN401 -- an Artifact, without importing its module
    from harness.systems.artifact_cache import folder_bytes

    recipe = artifact.manifest.get("recipe", "unknown recipe")
    return {
        "name": artifact.key[:16],
        "summary": f"{recipe}, {folder_bytes(artifact.folder) / 1e6:.1f} MB",
    }
