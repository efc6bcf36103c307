"""`bench list`: tasks, variants, scenarios, profiles, meters, plug-ins, and cached artifacts."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from harness.cli.context import CliContext
from harness.cli.options.output import Json
from harness.cli.options.panels import plain_option
from harness.cli.output.terminal import escape, print_json

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.systems.interface import Artifact

    Rows = list[JsonObject]


class _Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...


def list_(
    context: CliContext,
    json: Json = False,
    schema: Annotated[bool, plain_option("--schema", "Print the JSON Schema of a record instead.")] = False,
) -> None:
    """List tasks, variants, scenarios, profiles, meters, artifacts."""
    if schema:
        from harness.records.record import schema_text

        typer.echo(schema_text(), nl=False)
        return
    listing = _listing(context)
    if json:
        print_json(listing)
        return
    for kind, rows in listing.items():
        typer.echo(kind)
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            typer.echo(f"  {row['name']:<{width}}  {escape(row['summary'])}")
            if row.get("unavailable"):
                typer.echo(f"  {'':<{width}}  unavailable, because {escape(row['unavailable'])}")
        if not rows:
            typer.echo("  none")


def _listing(context: CliContext) -> "dict[str, Rows]":
    from harness.catalog import built_in
    from harness.measurement.energy.selection import METERS
    from harness.records.plan import PROFILES
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.scenarios import SCENARIOS
    from harness.workload.tasks import TASKS
    from harness.workload.tasks.custom import CUSTOM

    catalog = context.catalog()
    return {
        "tasks": [
            *map(_row, TASKS.values()),
            {"name": CUSTOM, "summary": "your own classification of one text or two (docs/howto/custom.md)"},
        ],
        "variants": [
            {**_row(variant), "unavailable": variant.unavailable()} for variant in catalog.variants.values()
        ],
        "families of checkpoints": [
            {**_row(family), "unavailable": family.unavailable} for family in catalog.families
        ],
        "scenarios": [_row(scenario) for scenario in SCENARIOS.values()],
        "profiles": [
            {"name": p.name, "summary": f"{p.rounds} rounds over {p.sample} timed examples"}
            for p in PROFILES.values()
        ],
        "meters": [_row(meter) for meter in METERS],
        **_plugins(built_in(catalog.variants)),
        "cached artifacts": [_artifact(each) for each in ArtifactCache(context.cache()).artifacts()],
    }


def _plugins(variants: Collection[str]) -> "dict[str, Rows]":
    """Return the plug-ins, each loaded to see whether it works; no entry where there are none."""
    from harness.common.plugins import GROUPS, Kind, plugins
    from harness.measurement.energy.selection import METERS, NONE
    from harness.workload.tasks import TASKS
    from harness.workload.tasks.custom import CUSTOM
    from reports import FILES, FORMATS

    built_in_names: dict[Kind, Collection[str]] = {
        "task": (*TASKS, CUSTOM),
        "variant": variants,
        "meter": (*(meter.name for meter in METERS), NONE),
        "report": (*FORMATS, *FILES),
    }
    rows = [
        {
            "name": escape(plugin.name),
            "summary": escape(f"{kind}, from {plugin.distribution}"),
            "unavailable": escape(problem) if (problem := plugin.problem()) else None,
        }
        for kind in GROUPS
        for plugin in plugins(kind, built_in_names[kind]).values()
    ]
    return {"plug-ins": rows} if rows else {}


def _row(item: _Named) -> "JsonObject":
    return {"name": item.name, "summary": item.summary}


def _artifact(artifact: "Artifact") -> "JsonObject":
    from harness.systems.artifact_cache import folder_bytes

    recipe = artifact.manifest.get("recipe", "unknown recipe")
    return {"name": artifact.key[:16], "summary": f"{recipe}, {folder_bytes(artifact.folder) / 1e6:.1f} MB"}
