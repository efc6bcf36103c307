"""`bench run`: measure variants of one task, interleaved, and print the table."""

from typing import TYPE_CHECKING

import typer

from harness.cli.options import (
    Boundary,
    DataFolder,
    DeviceName,
    Json,
    Limit,
    MaxLength,
    ModelName,
    ProfileName,
    QualityOf,
    Quiet,
    Resume,
    Rounds,
    ScenarioNames,
    Seed,
    SplitName,
    StoreFolder,
    SystemCommand,
    TaskName,
    Threads,
    VariantNames,
    names,
)
from harness.cli.toolbox import Toolbox

if TYPE_CHECKING:
    from harness.record import Record
    from harness.store import RunFolder, Store
    from harness.sweep.narrator import Narrator
    from harness.sweep.options import RunOptions
    from harness.sweep.run import Run

PARTIAL, NOTHING_MEASURED = 5, 4


def run(
    context: typer.Context,
    task: TaskName = "boolq",
    data: DataFolder = None,
    split: SplitName = "val",
    model: ModelName = "embedded",
    device: DeviceName = "cpu",
    variants: VariantNames = None,
    scenario: ScenarioNames = "single-stream",
    boundary: Boundary = "encoded",
    system_command: SystemCommand = "",
    threads: Threads = None,
    max_length: MaxLength = 256,
    profile: ProfileName = "default",
    rounds: Rounds = None,
    limit: Limit = None,
    quality: QualityOf = "full",
    seed: Seed = 0,
    resume: Resume = None,
    store: StoreFolder = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the baseline and its faster variants, interleaved, and print the table."""
    from harness.cli.progress import narrator
    from harness.store import Store
    from harness.sweep.options import RunOptions

    toolbox: Toolbox = context.obj
    place = Store(toolbox.store(store))
    wanted = RunOptions(
        task=task,
        data=data,
        split=split,
        model=model,
        device=device,
        variants=names(variants) if variants else None,
        scenarios=names(scenario),
        boundary=boundary,
        command=system_command,
        threads=threads,
        max_length=max_length,
        profile=profile,
        rounds=rounds,
        sample=limit,
        seed=seed,
        quality=quality,
    )
    with narrator(quiet=quiet) as told:
        ready = _resumed(toolbox, place, resume, told) if resume else _started(toolbox, place, wanted, told)
        records = _measured(ready)
    _show(records, ready.folder, json=json)
    code = exit_code(records)
    if code:
        raise typer.Exit(code)


def exit_code(records: "list[Record]") -> int:
    """Return 0 if every cell is complete, 5 if some failed, 4 if nothing was measured."""
    if all(record.status == "complete" for record in records):
        return 0
    return PARTIAL if any(record.rounds for record in records) else NOTHING_MEASURED


def _started(toolbox: Toolbox, store: "Store", wanted: "RunOptions", told: "Narrator") -> "Run":
    from harness.sweep.run import start

    return start(wanted, toolbox.catalog(), store, toolbox.cache(), toolbox.machine(), told)


def _resumed(toolbox: Toolbox, store: "Store", name: str, told: "Narrator") -> "Run":
    from harness.sweep.run import resume

    folder = store.unfinished() if name == "latest" else store.run(name)
    return resume(folder, toolbox.cache(), toolbox.machine(), told)


def _measured(ready: "Run") -> "list[Record]":
    from harness.errors import InterruptedRun
    from harness.sweep.run import execute

    try:
        return execute(ready)
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted; every finished round is kept.",
            where=ready.folder.name,
            remedy=f"`bench run --resume {ready.folder.name}` goes on with it.",
        ) from None


def _show(records: "list[Record]", folder: "RunFolder", *, json: bool) -> None:
    from harness.cli.output import rendered

    typer.echo(rendered(records, "json" if json else "text"))
    if not json:
        typer.echo(f"\nRecords: {folder.path}")
        typer.echo(f"The table again: bench report {folder.name}")
        typer.echo(f"For a pull request: bench report {folder.name} --format markdown")
