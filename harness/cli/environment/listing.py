"""What `bench list` lists: names with a line on each, by kind."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from harness.cli.output.terminal import escape

if TYPE_CHECKING:
    from pathlib import Path

    from harness.catalog import Catalog
    from harness.common.json_types import JsonObject
    from harness.records.plan import Profile
    from harness.systems.interface import Artifact

    Rows = list[JsonObject]


class _Named(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...


def listing(catalog: "Catalog", cache: "Path") -> "dict[str, Rows]":
    """Return the rows of each kind: name, summary, `default` where it is, `unavailable` with the reason."""
    from harness.catalog import built_in
    from harness.measurement.energy.selection import METERS
    from harness.records.plan import PROFILES
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.scenarios import SCENARIOS

    return {
        "tasks": _tasks(),
        "variants": _variants(catalog),
        "ladders": [_ladder(name, catalog.ladders[name]) for name in catalog.ladders],
        "shapes": [{"name": name, "summary": summary} for name, summary in catalog.shapes.items()],
        "studies of shapes": _studies(),
        "families of checkpoints": [
            {**_row(family), "unavailable": family.unavailable} for family in catalog.families
        ],
        "scenarios": [_row(scenario, "single-stream") for scenario in SCENARIOS.values()],
        "profiles": [_profile(profile) for profile in PROFILES.values()],
        "meters": [_row(meter) for meter in METERS],
        **_plugins(built_in(catalog.variants)),
        "cached artifacts": [_artifact(each) for each in ArtifactCache(cache).artifacts()],
    }


def _tasks() -> "Rows":
    from harness.workload.tasks import TASKS
    from harness.workload.tasks.custom import CUSTOM

    own = {"name": CUSTOM, "summary": "your own classification of one text or two (docs/howto/custom.md)"}
    return [*(_row(task, "boolq") for task in TASKS.values()), own]


def _variants(catalog: "Catalog") -> "Rows":
    """Return the variants.

    `default_on` names the devices on which one is measured if none is named, `export` what it is exported to.
    """
    from harness.catalog import default_variants, load_export

    rows, exports = [], load_export()
    for name, variant in catalog.variants.items():
        default_on = [device for device in ("cpu", "cuda") if name in default_variants(device)]
        row = {
            **_row(variant),
            "unavailable": _why_not_here(catalog, name),
            "default_on": default_on,
            "export": exports.engine(variant) or f"none, because {exports.reason(variant)}",
        }
        rows.append({**row, **({"default": True} if "cpu" in default_on else {})})
    return rows


def _why_not_here(catalog: "Catalog", name: str) -> str | None:
    """Return why a variant runs on no device of this machine; None if it runs on one."""
    from harness.measurement.machine.devices import count_gpus

    if catalog.devices.get(name) == ("cuda",) and not count_gpus():
        return f"{catalog.why_not(name, 'cpu')}, and this machine shows no NVIDIA GPU"
    return catalog.variant(name).unavailable()


def _ladder(name: str, ladder: "Mapping[str, Any]") -> "JsonObject":
    rungs = [rung["name"] for rung in ladder["rungs"]]
    default = {"default": True} if name == "fastformers" else {}
    return {"name": name, "summary": f"{len(rungs)} rungs: {', '.join(rungs)}", "rungs": rungs, **default}


def _studies() -> "Rows":
    from harness.studies.untrained_shapes import STUDIES

    return [
        {
            "name": name,
            "summary": f"ladder {study.ladder} on {study.model}, lengths of {study.task}, "
            f"at most {study.max_length} tokens",
        }
        for name, study in STUDIES.items()
    ]


def _profile(profile: "Profile") -> "JsonObject":
    launches = f"{profile.launches} launches of " if profile.launches > 1 else ""
    window = f", windows of {profile.window_ms / 1000:g} s or more" if profile.window_ms else ""
    quality = ", quality of these only" if profile.name == "quick" else ""
    summary = f"{launches}{profile.rounds} rounds over {profile.sample} timed examples{quality}{window}"
    return {
        "name": profile.name,
        "summary": summary,
        **({"default": True} if profile.name == "default" else {}),
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


def _row(item: _Named, default: str = "") -> "JsonObject":
    row = {"name": item.name, "summary": item.summary}
    return {**row, **({"default": True} if item.name == default else {})}


def _artifact(artifact: "Artifact") -> "JsonObject":
    from harness.systems.artifact_cache import folder_bytes

    recipe = artifact.manifest.get("recipe", "unknown recipe")
    return {"name": artifact.key[:16], "summary": f"{recipe}, {folder_bytes(artifact.folder) / 1e6:.1f} MB"}
