"""`bench data`: list, download, describe, verify, generate, cut and count data."""

import dataclasses
import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.context import CliContext
from harness.cli.options.common import Json, Quiet, Seed, names

if TYPE_CHECKING:
    from harness.workload.data import Split
    from harness.workload.data.describe import Description
    from harness.workload.data.lengths import Histogram
    from harness.workload.data.official import OfficialTask
    from harness.workload.tasks.base import Task

data_app = typer.Typer(
    help="List, download, describe, verify, generate, cut and count data in the official SuperGLUE layout.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NOT_OFFICIAL, UNREADABLE = 5, 2

Folder = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="A folder in the official layout.", envvar="BENCH_DATA")
]
Tasks = Annotated[str | None, typer.Option("--task", metavar="NAME,...", help="Only these tasks.")]

OPEN_TERMS = (
    "SuperGLUE takes the licences of its sources to allow research use and redistribution; each source's\n"
    "own terms hold, also where none are stated. `bench data download` fetches the official archives."
)


@data_app.command("list")
def list_(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Say which of them this folder has.", envvar="BENCH_DATA"),
    ] = None,
    json: Json = False,
) -> None:
    """List the official tasks: sizes, metrics, archive and licence, and which of them a folder has."""
    from harness.workload.data import local_data
    from harness.workload.data.official import OFFICIAL

    folder = local_data(data).folder if data else None
    found = [_listed(task, folder) for task in OFFICIAL.values()]
    if json:
        typer.echo(encoder.dumps(found, indent=1))
        return
    for line in _aligned([_heading(folder), *map(_line, found)]):
        typer.echo(line)
    typer.echo(OPEN_TERMS)


@data_app.command("download")
def download(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the folders go.")],
    task: Annotated[str, typer.Option("--task", metavar="NAME,...", help="These tasks, or all.")] = "all",
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="BASE",
            help="A mirror of the archives; their sums are checked all the same.",
            envvar="BENCH_DATA_URL",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download the official archives, check their sha256, and unpack them; nothing else uses the network."""
    from harness.cli.output.progress import narrator
    from harness.workload.data.download.download import download as fetched
    from harness.workload.data.official import BASE_URL

    with narrator(quiet=quiet) as told:
        found = fetched(_official(task), output, url=url or BASE_URL, told=told)
    if json:
        rows = [{"task": one.task, "folder": str(one.folder), "state": one.state} for one in found]
        typer.echo(encoder.dumps(rows, indent=1))
        return
    for one in found:
        kept = "kept: the official files were there" if one.state == "kept" else "downloaded and checked"
        typer.echo(f"{one.task}: {kept} ({one.folder})")


@data_app.command("folds")
def folds(
    data: Folder,
    task: Annotated[str, typer.Option("--task", metavar="NAME,...", help="Whose train split is cut.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where fold-1 ... go.")],
    folds: Annotated[int, typer.Option(min=2, help="How many.")] = 5,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Cut a train split into folds, where the val split is not at hand: each holds train and val."""
    from harness.common.errors import UsageError
    from harness.workload.data import local_data
    from harness.workload.data.folds import cut_folds

    source, asked = local_data(data).folder, _official(task)
    for one in asked:
        if "train" not in one.files:
            raise UsageError(f"{one.name} has no train split.", remedy="It is a diagnostic of rte's systems.")
    rows = [
        {"task": one.name, "folder": str(output / f"fold-{number}"), "train": train, "val": val}
        for one in asked
        for number, (train, val) in enumerate(
            cut_folds(source, one.folder, output, folds=folds, seed=seed), 1
        )
    ]
    if json:
        typer.echo(encoder.dumps(rows, indent=1))
        return
    for row in rows:
        typer.echo(
            f"{row['folder']}: {row['task']}, {row['train']:,} lines to train, {row['val']:,} to validate"
        )


@data_app.command("describe")
def describe(data: Folder, task: Tasks = None, json: Json = False) -> None:
    """Say what a folder holds: rows, labels, lengths, sha256, and whether the files are official."""
    found = _described(data, task)
    if json:
        _print_json(found)
        return
    for one in found:
        typer.echo(f"{one.task}/{one.split}: {_summary(one)}")
        if not one.problem:
            typer.echo(f"  labels: {_labels(one)}; {one.words:.0f} words each; sha256 {one.sha256[:16]}")


@data_app.command("verify")
def verify(data: Folder, task: Tasks = None, json: Json = False) -> None:
    """Check files against the official ones: exit code 0 if all are, 5 if some are not, 2 if broken."""
    found = _described(data, task)
    if json:
        _print_json(found)
    else:
        for one in found:
            typer.echo(f"{one.task}/{one.split}: {_summary(one)}")
    if any(one.problem for one in found):
        raise typer.Exit(UNREADABLE)
    if not all(one.official for one in found):
        raise typer.Exit(NOT_OFFICIAL)


@data_app.command("generate")
def generate(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the folders go.")],
    task: Tasks = None,
    train_rows: Annotated[int, typer.Option(min=1, help="Rows of each train split.")] = 4096,
) -> None:
    """Write the embedded sample: generated English in the official layout, never called SuperGLUE."""
    from harness.common.errors import StoreError
    from harness.workload.data.describe import generate as written

    try:
        written(output, _tasks(task), train_rows)
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(output)) from None
    typer.echo(f"Written: {output}")


@data_app.command("lengths")
def lengths(
    context: typer.Context,
    data: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where the histogram goes.")],
    task: Annotated[str, typer.Option("--task", help="Whose texts are counted.")] = "boolq",
    split: Annotated[str, typer.Option("--split", help="Of which split.")] = "val",
    model: Annotated[str, typer.Option("--model", help="In whose tokens: as in `bench train`.")] = "minilm",
    max_length: Annotated[int, typer.Option("--max-length", help="Longer texts count as this long.")] = 512,
    json: Json = False,
) -> None:
    """Count how many tokens the texts of a split have: numbers that studies without its data draw from."""
    from harness.workload.data import load_split, local_data
    from harness.workload.data.lengths import save_histogram
    from harness.workload.tasks import get_task

    asked = get_task(task)
    read = load_split(asked, local_data(data), split)
    found = _histogram(context.obj, read, model, max_length)
    save_histogram(found, output)
    typer.echo(found.written.rstrip() if json else f"{_span(found)}: {output}")


@data_app.command("tokens")
def tokens(
    context: typer.Context,
    data: Folder,
    task: Annotated[str, typer.Option("--task", help="Whose texts are encoded.")] = "boolq",
    split: Annotated[str, typer.Option("--split", help="Of which split.")] = "val",
    model: Annotated[
        str, typer.Option("--model", help="By whose tokenizer: as in `bench train`.")
    ] = "minilm",
    max_length: Annotated[int, typer.Option("--max-length", help="Longest sequence in tokens.")] = 256,
) -> None:
    """Check that our fast way to token ids gives those of the tokenizer library, on every text of a split."""
    from harness.catalog import load_lengths
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.data import load_split, local_data
    from harness.workload.tasks import get_task

    asked, tools, toolbox = get_task(task), load_lengths(), context.obj
    read = load_split(asked, local_data(data), split)
    checkpoint = tools.resolve(model, asked, ArtifactCache(toolbox.cache()))
    found = tools.check(checkpoint.folder, read.examples, max_length)
    each = found.tokens / found.sequences
    typer.echo(f"{found.sequences:,} sequences, {each:.1f} tokens on average: {len(found.differing)} differ")
    if not found.fast:
        typer.echo("This tokenizer is of a kind that only the library knows: nothing was compared.")
    ours, library = (1e6 * spent / found.sequences for spent in (found.seconds, found.reference_seconds))
    typer.echo(f"CPU time a sequence: {ours:.0f} us, by the library {library:.0f} us")
    if found.differing:
        typer.echo(f"Differing examples: {' '.join(found.differing[:20])}. Please report this.", err=True)
        raise typer.Exit(1)


def _histogram(toolbox: CliContext, split: "Split", model: str, max_length: int) -> "Histogram":
    from harness.catalog import load_lengths
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.data.lengths import Histogram, TokenizerFacts, length_counts

    tools = load_lengths()
    checkpoint = tools.resolve(model, split.task, ArtifactCache(toolbox.cache()))
    found = tools.count(checkpoint.folder, split.examples, max_length)
    return Histogram(
        task=split.task.name,
        split=split.name,
        data_sha256=split.fingerprint,
        tokenizer=TokenizerFacts(
            name=checkpoint.name, vocabulary=found.vocabulary, sha256=found.tokenizer_sha256
        ),
        max_length=max_length,
        examples=len(split.examples),
        cut=found.cut,
        counts=length_counts(found.lengths),
    )


def _span(found: "Histogram") -> str:
    low, high = min(found.counts), max(found.counts)
    middle = f"mean {found.mean:.1f}, p50 {found.quantile(0.5)}, p95 {found.quantile(0.95)}"
    return f"{found.examples:,} examples of {low} to {high} tokens, {middle}, {found.cut:,} cut"


def _described(folder: Path, task: str | None) -> "list[Description]":
    from harness.workload.data import local_data
    from harness.workload.data.describe import describe as described

    return described(local_data(folder), _tasks(task))


def _tasks(asked: str | None) -> "tuple[Task, ...]":
    from harness.workload.tasks import TASKS, get_task

    return tuple(map(get_task, names(asked))) if asked else tuple(TASKS.values())


def _summary(one: "Description") -> str:
    if one.problem:
        return f"cannot be read: {one.problem}"
    state = {True: "the official file", False: "not the official file", None: "no official sum is known"}
    held = f" with {one.sequences:,} sequences" if one.sequences > one.rows else ""
    return f"{one.rows:,} examples{held}, {one.note or state[one.official]}"


def _labels(one: "Description") -> str:
    from harness.workload.data.describe import TEXTS

    if [name for name, _ in one.labels] == [TEXTS]:
        return f"{one.labels[0][1]:,} texts that are accepted"
    total = sum(count for _, count in one.labels)
    return ", ".join(f"{name} {count / total:.1%}" for name, count in one.labels) or "hidden"


def _print_json(found: "list[Description]") -> None:
    typer.echo(encoder.dumps([dataclasses.asdict(one) for one in found], indent=1))


def _official(asked: str) -> "list[OfficialTask]":
    from harness.common.errors import UsageError, unknown_name
    from harness.workload.data.official import OFFICIAL

    wanted = dict.fromkeys(names(asked))
    if not wanted:
        raise UsageError("--task names no task.", remedy=f"Known: all, {', '.join(OFFICIAL)}.")
    if "all" in wanted:
        return list(OFFICIAL.values())
    for name in wanted:
        if name not in OFFICIAL:
            raise unknown_name("task", name, OFFICIAL)
    return [OFFICIAL[name] for name in wanted]


def _listed(task: "OfficialTask", folder: Path | None) -> dict[str, Any]:
    from harness.workload.data.download.download import split_states

    facts = {
        "name": task.name,
        "folder": task.folder,
        "sizes": {split: file.size for split, file in task.files.items()},
        "unit": task.unit,
        "metrics": task.metrics.split(", "),
        "terms": task.terms,
        "archive_bytes": task.archive_bytes,
        "archive_sha256": task.archive_sha256,
    }
    return facts if folder is None else {**facts, "here": split_states(task, folder)}


def _heading(folder: Path | None) -> list[str]:
    here = [] if folder is None else ["here"]
    return ["task", "train", "val", "test", "of", "metrics", "archive", *here, "licence"]


def _line(one: dict[str, Any]) -> list[str]:
    sizes = [
        f"{one['sizes'][split]:,}" if split in one["sizes"] else "-" for split in ("train", "val", "test")
    ]
    here = [_here(one["here"])] if "here" in one else []
    archive = f"{one['archive_bytes'] / 1e6:.2f} MB"
    return [one["name"], *sizes, one["unit"], ", ".join(one["metrics"]), archive, *here, one["terms"]]


def _here(states: dict[str, str]) -> str:
    different = set(states.values())
    if len(different) == 1:
        return different.pop()
    return ", ".join(f"{split} {state}" for split, state in states.items())


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return rows as lines with columns of one width; columns of figures are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    figures = [column[-1][:1].isdigit() for column in zip(*rows[:2], strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if figure else cell.ljust(width)
            for cell, width, figure in zip(row, widths, figures, strict=True)
        ).rstrip()
        for row in rows
    ]
