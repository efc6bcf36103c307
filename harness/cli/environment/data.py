"""`bench data`: list, download, describe, verify, generate, cut and count data."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from harness.cli.context import CliContext
from harness.cli.options.execution import Seed
from harness.cli.options.groups import OptionGroup, add_command, option_app
from harness.cli.options.output import Json, OutputFolder, Quiet
from harness.cli.options.panels import data_option, plain_option
from harness.cli.options.units import split_names
from harness.cli.output.terminal import align, print_json, print_lines
from harness.common.errors import ExitCode, StoreError, UsageError, unknown_name

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.workload.data import Split
    from harness.workload.data.describe import Description
    from harness.workload.data.lengths import Histogram
    from harness.workload.data.official import OfficialTask
    from harness.workload.tasks.base import Task

Folder = Annotated[Path, data_option("--data DIR", "Folder in the official layout.", envvar="BENCH_DATA")]
Tasks = Annotated[str | None, data_option("--task NAME,...", "Only these tasks (default: all).")]

OPEN_TERMS = (
    "SuperGLUE takes the licences of its sources to allow research use and redistribution; each source's\n"
    "own terms hold, also where none are stated. `bench data download` fetches the official archives."
)


class TokenCheck(Protocol):
    """The result of `tokens`; its class is in a package that the harness does not import."""

    sequences: int
    tokens: int
    differing: tuple[str, ...]
    fallback_reason: str
    seconds: float
    seconds_again: float
    reference_seconds: float


class TextOptions(OptionGroup):
    """The texts of a split, and the tokenizer that encodes them."""

    task: Annotated[str, data_option("--task NAME", "Task whose texts are encoded.")] = "boolq"
    split: Annotated[str, data_option("--split NAME", "Split of the task.")] = "val"
    model: Annotated[
        str, data_option("--model NAME|DIR", "Model whose tokenizer encodes them: as in `bench train`.")
    ] = "minilm"


def list_(
    data: Annotated[
        Path | None, data_option("--data DIR", "Show which tasks this folder has.", envvar="BENCH_DATA")
    ] = None,
    json: Json = False,
) -> None:
    """List the official tasks: sizes, metrics, archive, licence."""
    from harness.workload.data import local_data
    from harness.workload.data.official import OFFICIAL

    folder = local_data(data).folder if data else None
    tasks = [_task_facts(task, folder) for task in OFFICIAL.values()]
    if json:
        print_json(tasks)
        return
    rows = [_heading(folder), *map(_task_row, tasks)]
    print_lines([*align(rows, right=[cell[:1].isdigit() for cell in rows[1]]), OPEN_TERMS])


def download(
    output: OutputFolder,
    task: Annotated[str, data_option("--task NAME,...", "Tasks to download, or all.")] = "all",
    url: Annotated[
        str | None,
        plain_option(
            "--url BASE", "A mirror of the archives; sums are checked all the same.", envvar="BENCH_DATA_URL"
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download and unpack the official archives, and check their sha256. Nothing else uses the network."""
    from harness.cli.output.progress import progress_reporter
    from harness.workload.data.download.download import download as download_tasks
    from harness.workload.data.official import BASE_URL

    with progress_reporter(quiet=quiet) as progress:
        results = download_tasks(_official_tasks(task), output, url=url or BASE_URL, progress=progress)
    if json:
        rows = [
            {"task": result.task, "folder": str(result.folder), "state": result.state} for result in results
        ]
        print_json(rows)
        return
    for result in results:
        state = "kept: the official files were there" if result.state == "kept" else "downloaded and checked"
        typer.echo(f"{result.task}: {state} ({result.folder})")


def folds(
    data: Folder,
    task: Annotated[str, data_option("--task NAME,...", "Tasks whose train split is cut.")],
    output: OutputFolder,
    folds: Annotated[int, plain_option("--folds N", "Number of folds, each a folder fold-1, ...", min=2)] = 5,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Cut a train split into folds of train and val, for use without the val split."""
    from harness.workload.data import local_data
    from harness.workload.data.folds import cut_folds

    source, tasks = local_data(data).folder, _official_tasks(task)
    for official in tasks:
        if "train" not in official.files:
            raise UsageError(
                f"{official.name} has no train split.",
                remedy="It is a diagnostic for systems trained on rte.",
            )
    rows = [
        {"task": official.name, "folder": str(output / f"fold-{number}"), "train": train, "val": val}
        for official in tasks
        for number, (train, val) in enumerate(
            cut_folds(source, official.folder, output, folds=folds, seed=seed), 1
        )
    ]
    if json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(
            f"{row['folder']}: {row['task']}, {row['train']:,} lines to train, {row['val']:,} to validate"
        )


def describe(data: Folder, task: Tasks = None, json: Json = False) -> None:
    """Show a folder's rows, labels, lengths and sha256, and whether the files are official."""
    descriptions = _describe(data, task)
    if json:
        print_json(list(map(dataclasses.asdict, descriptions)))
        return
    for split in descriptions:
        typer.echo(f"{split.task}/{split.split}: {_summary(split)}")
        if not split.problem:
            typer.echo(
                f"  labels: {_labels(split)}; {split.words:.0f} words each; sha256 {split.sha256[:16]}"
            )


def verify(data: Folder, task: Tasks = None, json: Json = False) -> None:
    """Compare files with the official ones. Exits with 5 where one differs, 2 where one cannot be read."""
    descriptions = _describe(data, task)
    if json:
        print_json(list(map(dataclasses.asdict, descriptions)))
    else:
        for split in descriptions:
            typer.echo(f"{split.task}/{split.split}: {_summary(split)}")
    if any(split.problem for split in descriptions):
        raise typer.Exit(ExitCode.BAD_INPUT)
    if not all(split.official for split in descriptions):
        raise typer.Exit(ExitCode.PARTIAL)


def generate(
    output: OutputFolder,
    task: Tasks = None,
    train_rows: Annotated[
        int, plain_option("--train-rows N", "Rows of a train split, at most; it has 15,000 to 60,000.", min=1)
    ] = 4096,
) -> None:
    """Write the embedded sample: generated English in the official layout, not SuperGLUE."""
    from harness.workload.data.describe import generate as write_sample

    try:
        write_sample(output, _tasks(task), train_rows)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}.", where=str(output)) from None
    typer.echo(f"Written: {output}")


def lengths(
    context: CliContext,
    data: Folder,
    texts: TextOptions,
    output: Annotated[Path, plain_option("--output -o FILE", "File for the histogram, JSON.")],
    max_length: Annotated[int, plain_option("--max-length N", "Longer texts count as this long.")] = 512,
    json: Json = False,
) -> None:
    """Count the tokens of a split's texts, for studies without its data."""
    from harness.workload.data import load_split, local_data
    from harness.workload.data.lengths import save_histogram
    from harness.workload.tasks import get_task

    split = load_split(get_task(texts.task), local_data(data), texts.split)
    histogram = _histogram(context, split, texts.model, max_length)
    save_histogram(histogram, output)
    typer.echo(histogram.written.rstrip() if json else f"{_format_histogram(histogram)}: {output}")


def tokens(
    context: CliContext,
    data: Folder,
    texts: TextOptions,
    max_length: Annotated[int, plain_option("--max-length N", "Longest sequence in tokens.")] = 256,
) -> None:
    """Check our fast tokenizer against the library's on every text of a split."""
    from harness.catalog import load_lengths
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.data import load_split, local_data
    from harness.workload.tasks import get_task

    task, lengths_tools = get_task(texts.task), load_lengths()
    split = load_split(task, local_data(data), texts.split)
    checkpoint = lengths_tools.resolve(texts.model, task, ArtifactCache(context.cache()))
    result = lengths_tools.check(checkpoint.folder, split.examples, max_length)
    print_lines(_token_check_lines(result))
    if result.differing:
        typer.echo(f"Differing examples: {' '.join(result.differing[:20])}. Please report this.", err=True)
        raise typer.Exit(ExitCode.BUG)


data_app = option_app("List, download, check and generate data.")
COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "download": download,
    "folds": folds,
    "describe": describe,
    "verify": verify,
    "generate": generate,
    "lengths": lengths,
    "tokens": tokens,
}
for name, command in COMMANDS.items():
    add_command(data_app, name, command)


def _token_check_lines(result: TokenCheck) -> list[str]:
    mean = result.tokens / result.sequences
    lines = [f"{result.sequences:,} sequences, {mean:.1f} tokens on average: {len(result.differing)} differ"]
    if result.fallback_reason:
        lines.append(f"Nothing was compared: {result.fallback_reason}.")
    seconds = (result.seconds, result.seconds_again, result.reference_seconds)
    ours, again, library = (1e6 * total / result.sequences for total in seconds)
    return [
        *lines,
        f"CPU time per sequence: {ours:.0f} us, again {again:.0f} us, by the library {library:.0f} us",
    ]


def _histogram(context: CliContext, split: "Split", model: str, max_length: int) -> "Histogram":
    from harness.catalog import load_lengths
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.data.lengths import Histogram, TokenizerFacts, length_counts

    tools = load_lengths()
    checkpoint = tools.resolve(model, split.task, ArtifactCache(context.cache()))
    counts = tools.count(checkpoint.folder, split.examples, max_length)
    return Histogram(
        task=split.task.name,
        split=split.name,
        data_sha256=split.fingerprint,
        tokenizer=TokenizerFacts(
            name=checkpoint.name, vocabulary=counts.vocabulary, sha256=counts.tokenizer_sha256
        ),
        max_length=max_length,
        examples=len(split.examples),
        cut=counts.cut,
        counts=length_counts(counts.lengths),
    )


def _format_histogram(histogram: "Histogram") -> str:
    low, high = min(histogram.counts), max(histogram.counts)
    centre = f"mean {histogram.mean:.1f}, p50 {histogram.quantile(0.5)}, p95 {histogram.quantile(0.95)}"
    return f"{histogram.examples:,} examples of {low} to {high} tokens, {centre}, {histogram.cut:,} cut"


def _describe(folder: Path, task: str | None) -> "list[Description]":
    from harness.workload.data import local_data
    from harness.workload.data.describe import describe as describe_folder

    return describe_folder(local_data(folder), _tasks(task))


def _tasks(option: str | None) -> "tuple[Task, ...]":
    from harness.workload.tasks import TASKS, get_task

    return tuple(map(get_task, split_names(option))) if option else tuple(TASKS.values())


def _summary(split: "Description") -> str:
    if split.problem:
        return f"cannot be read: {split.problem}"
    state = {True: "the official file", False: "not the official file", None: "no official sum is known"}
    sequences = f" with {split.sequences:,} sequences" if split.sequences > split.rows else ""
    return f"{split.rows:,} examples{sequences}, {split.note or state[split.official]}"


def _labels(split: "Description") -> str:
    from harness.workload.data.describe import TEXTS

    if [name for name, _ in split.labels] == [TEXTS]:
        return f"{split.labels[0][1]:,} texts that are accepted"
    total = sum(count for _, count in split.labels)
    return ", ".join(f"{name} {count / total:.1%}" for name, count in split.labels) or "hidden"


def _official_tasks(option: str) -> "list[OfficialTask]":
    from harness.workload.data.official import OFFICIAL

    names = dict.fromkeys(split_names(option))
    if not names:
        raise UsageError("expected a task in --task, got none.", remedy=f"Known: all, {', '.join(OFFICIAL)}.")
    if "all" in names:
        return list(OFFICIAL.values())
    for name in names:
        if name not in OFFICIAL:
            raise unknown_name("task", name, OFFICIAL)
    return [OFFICIAL[name] for name in names]


def _task_facts(task: "OfficialTask", folder: Path | None) -> "JsonObject":
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


def _task_row(task: "JsonObject") -> list[str]:
    sizes = [
        f"{task['sizes'][split]:,}" if split in task["sizes"] else "-" for split in ("train", "val", "test")
    ]
    here = [_format_states(task["here"])] if "here" in task else []
    archive = f"{task['archive_bytes'] / 1e6:.2f} MB"
    return [task["name"], *sizes, task["unit"], ", ".join(task["metrics"]), archive, *here, task["terms"]]


def _format_states(states: dict[str, str]) -> str:
    distinct = set(states.values())
    if len(distinct) == 1:
        return distinct.pop()
    return ", ".join(f"{split} {state}" for split, state in states.items())
