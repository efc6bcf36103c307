"""`bench data`: describe, verify and generate data."""

import dataclasses
import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Json, names

if TYPE_CHECKING:
    from harness.data.describe import Description
    from harness.tasks.base import Task

data_app = typer.Typer(
    help="Describe, verify and generate data in the official SuperGLUE layout.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NOT_OFFICIAL, UNREADABLE = 5, 2

Folder = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="A folder in the official layout.", envvar="BENCH_DATA")
]
Tasks = Annotated[str | None, typer.Option("--task", metavar="NAME,...", help="Only these tasks.")]


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
            typer.echo(f"  labels: {_labels(one)}; {one.words:.0f} words a row; sha256 {one.sha256[:16]}")


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
    from harness.data.describe import generate as written
    from harness.errors import StoreError

    try:
        written(output, _tasks(task), train_rows)
    except OSError as problem:
        raise StoreError(f"cannot be written: {problem.strerror}.", where=str(output)) from None
    typer.echo(f"Written: {output}")


def _described(folder: Path, task: str | None) -> "list[Description]":
    from harness.data import local_data
    from harness.data.describe import describe as described

    return described(local_data(folder), _tasks(task))


def _tasks(asked: str | None) -> "tuple[Task, ...]":
    from harness.tasks import TASKS, get_task

    return tuple(map(get_task, names(asked))) if asked else tuple(TASKS.values())


def _summary(one: "Description") -> str:
    if one.problem:
        return f"cannot be read: {one.problem}"
    state = {True: "the official file", False: "not the official file", None: "no official sum is known"}
    return f"{one.rows:,} rows, {one.note or state[one.official]}"


def _labels(one: "Description") -> str:
    return ", ".join(f"{name} {count / one.rows:.1%}" for name, count in one.labels) or "hidden"


def _print_json(found: "list[Description]") -> None:
    typer.echo(encoder.dumps([dataclasses.asdict(one) for one in found], indent=1))
