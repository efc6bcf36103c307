"""What a shell completes: names that options and arguments take, found without loading a model's library.

bench run --variants onnx-fp32,onn<TAB>  -->  onnx-fp32,onnx-int8 ...
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

Values = Callable[[typer.Context], Iterable[str]]
Completion = Callable[[typer.Context, str], list[str]]

NEWEST_RUNS = 50
"""Runs that are offered, the newest first: a store may hold thousands."""


def complete(values: Values) -> Completion:
    """Return a completion of one of these values."""

    def completion(ctx: typer.Context, incomplete: str) -> list[str]:
        return [value for value in values(ctx) if value.startswith(incomplete)]

    return completion


def complete_list(values: Values) -> Completion:
    """Return a completion of the last of several names with commas between them; none is offered twice."""

    def completion(ctx: typer.Context, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        return [
            f"{before}{comma}{value}"
            for value in values(ctx)
            if value.startswith(last) and value not in taken
        ]

    return completion


def tasks(_: typer.Context) -> list[str]:
    """Return the names of the tasks."""
    from harness.workload.tasks import TASKS
    from harness.workload.tasks.custom import CUSTOM

    return [*TASKS, CUSTOM]


def variants(_: typer.Context) -> list[str]:
    """Return the names of the built-in variants and of plug-ins, of which none is loaded."""
    from harness.catalog import load_catalog

    return list(load_catalog().variants)


def several_variants(ctx: typer.Context) -> list[str]:
    """Return the names of the variants, and the words that stand for several."""
    from harness.runs.planning.variant_words import WORDS

    return [*variants(ctx), *WORDS]


def ladders(_: typer.Context) -> list[str]:
    """Return the names of the built-in ladders."""
    from harness.catalog import load_catalog

    return list(load_catalog().ladders)


def shape_studies(_: typer.Context) -> list[str]:
    """Return the values of `--shapes`."""
    from harness.studies.untrained_shapes import STUDIES

    return list(STUDIES)


def models(_: typer.Context) -> list[str]:
    """Return the models that ship with the package, and the untrained shapes."""
    from harness.catalog import load_catalog

    return ["embedded", "minilm", *load_catalog().shapes]


def scenarios(_: typer.Context) -> list[str]:
    """Return the names of the scenarios."""
    from harness.workload.scenarios import SCENARIOS

    return list(SCENARIOS)


def profiles(_: typer.Context) -> list[str]:
    """Return the names of the profiles."""
    from harness.records.plan import PROFILES

    return list(PROFILES)


def meters(_: typer.Context) -> list[str]:
    """Return the names of the meters."""
    from harness.measurement.energy.selection import METERS, NONE

    return [*(meter.name for meter in METERS), NONE]


def devices(_: typer.Context) -> list[str]:
    """Return the devices of this machine."""
    from harness.measurement.machine.devices import count_gpus

    return ["cpu", *(f"cuda:{index}" for index in range(count_gpus()))]


def formats(ctx: typer.Context) -> list[str]:
    """Return the formats of the command."""
    if ctx.info_name != "report":
        return _FORMATS.get(str(ctx.info_name), [])
    from reports import FILES, FORMATS

    return [*FORMATS, *FILES]


_FORMATS = {
    "track": ["text", "json"],
    "compare": ["text", "markdown", "json"],
    "gate": ["text", "markdown", "json", "junit", "github-annotations"],
}


def trackers(_: typer.Context) -> list[str]:
    """Return the trackers that records can be logged to."""
    from harness.cli.trackers.destination import TRACKERS

    return list(TRACKERS)


def tables(_: typer.Context) -> list[str]:
    """Return the tables of a report."""
    from reports import TABLES

    return [*TABLES, "all"]


def runs(ctx: typer.Context) -> list[str]:
    """Return `latest` and the runs in the store, the newest first; no record is read."""
    store = ctx.params.get("store")
    root = Path(store) if store else ctx.obj.store_folder(None)
    folders = sorted((path.name for path in (root / "runs").glob("[!.]*")), reverse=True)
    return ["latest", *folders[:NEWEST_RUNS]]


def runs_or_all(ctx: typer.Context) -> list[str]:
    """Return `all` beside the runs."""
    return [*runs(ctx), "all"]


def unfinished(ctx: typer.Context) -> list[str]:
    """Return the runs that have a journal."""
    store = ctx.params.get("store")
    root = Path(store) if store else ctx.obj.store_folder(None)
    names = sorted((path.parent.name for path in (root / "runs").glob("*/journal")), reverse=True)
    return [*names[:NEWEST_RUNS], "latest", "all"]


BY_OPTION: dict[str, Completion] = {
    "--task": complete_list(tasks),
    "--variants": complete_list(several_variants),
    "--variant": complete(variants),
    "--null-test": complete(variants),
    "--ladder": complete(ladders),
    "--shapes": complete(shape_studies),
    "--model": complete(models),
    "--scenario": complete_list(scenarios),
    "--profile": complete(profiles),
    "--meter": complete(meters),
    "--device": complete_list(devices),
    "--format": complete(formats),
    "--to": complete(trackers),
    "--tables": complete_list(tables),
    "--resume": complete(unfinished),
    "--run": complete(runs),
    "--pin": complete(runs),
}
"""The completion of an option's value, by its name."""

complete_run = complete(runs)
complete_runs = complete(runs_or_all)
complete_variant = complete(variants)
