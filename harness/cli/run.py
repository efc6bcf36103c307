"""`bench run`: measure variants of one task, interleaved, and print the table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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
    task: Annotated[
        str, typer.Option(help="What is asked: boolq, cb or rte.", envvar="BENCH_TASK")
    ] = "boolq",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Data in the official SuperGLUE layout (default: embedded).",
            envvar="BENCH_DATA",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The split that is measured.")] = "val",
    model: Annotated[
        str,
        typer.Option(help="embedded, a checkpoint folder, or a hub name.", envvar="BENCH_MODEL"),
    ] = "embedded",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.", envvar="BENCH_DEVICE")] = "cpu",
    variants: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="What is compared (default: see `bench list`).")
    ] = None,
    scenario: Annotated[
        str, typer.Option(metavar="NAME,...", help="single-stream, offline, or both.")
    ] = "single-stream",
    boundary: Annotated[
        Literal["encoded", "text"],
        typer.Option(help="What the clock includes: ids to logits, or text to label."),
    ] = "encoded",
    threads: Annotated[
        int | None, typer.Option(help="Threads of every system (default: the CPUs of this process).")
    ] = None,
    max_length: Annotated[
        int, typer.Option(help="Longest sequence in tokens; the baseline pads to it.")
    ] = 256,
    profile: Annotated[str, typer.Option(help="How much is measured: quick or default.")] = "default",
    rounds: Annotated[int | None, typer.Option(help="Rounds, instead of the profile's.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="Timed examples, instead of the profile's.")
    ] = None,
    quality: Annotated[
        Literal["full", "sample"],
        typer.Option(help="full: answer the rest of the split untimed; sample: do not."),
    ] = "full",
    seed: Annotated[int, typer.Option(help="Seed of sample, slices and order.")] = 0,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with an unfinished run, or with `latest`.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where records go (default: BENCH_STORE or ./results).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print numbers for machines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
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
        variants=_names(variants) if variants else None,
        scenarios=_names(scenario),
        boundary=boundary,
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


def _names(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())
