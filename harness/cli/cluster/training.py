"""`bench train --cluster`: one training for each task and seed, on whichever host is free."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.cluster.commands import given_arguments, named_files, new_job, point_of
from harness.cli.options.execution import TrainingCluster
from harness.cli.options.units import named
from harness.common.errors import ExitCode, StoreError, UsageError

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.common.progress import ProgressReporter
    from harness.runs.cluster.point import Point
    from harness.runs.cluster.training import Files, Trained

TASK, SEED = "{task}", "{seed}"
"""What the output of several trainings names."""

RECORD = "training.json"


@dataclass(frozen=True, slots=True)
class Training:
    """One training: its task, its seed, and the folder that it writes here."""

    task: str
    seed: int
    folder: Path


def train_on_cluster(
    typer_context: typer.Context,
    cluster: TrainingCluster,
    trainings: Sequence[Training],
    files: Sequence[Path | str | None],
    progress: "ProgressReporter",
) -> tuple[dict[Path, "JsonObject"], ExitCode]:
    """Train on free hosts; return what each folder's `training.json` holds, and 5 if one is missing.

    `files` are what a host must have as it is here: data, checkpoint, pairs.
    """
    from harness.runs.cluster import ray_tasks
    from harness.runs.cluster.ray_hosts import ray_hosts
    from harness.runs.cluster.training import MODEL

    by_name = {f"{each.task}-seed-{each.seed}": each for each in trainings}
    points = list(_points(typer_context, by_name))
    facts: dict[Path, JsonObject] = {}
    failed: list[Trained] = []
    with ray_hosts(cluster.cluster, "all"):
        for point, trained in ray_tasks.spread(points, named_files([], *files), progress.warn):
            folder = by_name[point.name].folder
            if MODEL in trained.folders:
                facts[folder] = record_of(trained.folders[MODEL])
                publish(trained.folders[MODEL], folder)
            else:
                failed.append(trained)
    return facts, _exit_code(facts, failed)


def trainings_of(tasks: str, seeds: Sequence[int], output: Path) -> list[Training]:
    """Return a training for each task and seed.

    UsageError for an unknown task, where two would write one folder, or where one holds something already.
    """
    from harness.workload.tasks import get_task
    from harness.workload.tasks.custom import CUSTOM

    names = dict.fromkeys(named(tasks, "--task"))
    for name in names:
        if name != CUSTOM:
            get_task(name)
    trainings = [
        Training(task, seed, Path(str(output).replace(TASK, task).replace(SEED, str(seed))))
        for task in names
        for seed in seeds
    ]
    if len({training.folder for training in trainings}) < len(trainings):
        raise UsageError(
            f"{len(trainings)} trainings need a folder each, got {output}.",
            where="--output",
            remedy=f"Name them by task and seed: 'm/{TASK}-{SEED}'.",
        )
    for training in trainings:
        if training.folder.exists() and (not training.folder.is_dir() or any(training.folder.iterdir())):
            raise UsageError(
                "the output exists already and is not an empty folder.",
                where=str(training.folder),
                remedy="Name another folder, or remove it.",
            )
    return trainings


def seeds_of(text: str, seed: int) -> list[int]:
    """Return the seeds of `--seeds`, or the one of `--seed`; UsageError for what is not a number."""
    try:
        return [int(word) for word in dict.fromkeys(named(text, "--seeds"))] if text else [seed]
    except ValueError:
        raise UsageError(f"expected numbers, got {text!r}.", where="--seeds", remedy="Say 0,1,2.") from None


def record_of(files: "Files") -> "JsonObject":
    """Return how a model was trained; StoreError where its host has not sent that."""
    from harness.common.inputs.files import InvalidText
    from harness.common.inputs.json_text import parse_json_object

    try:
        record = parse_json_object(files.get(RECORD, b""), lenient=True)
    except InvalidText:
        record = {}
    if not isinstance(record.get("seconds"), int | float):
        raise StoreError(f"a host sent a model without a {RECORD} that can be read.")
    return record


def publish(files: "Files", folder: Path) -> None:
    """Write a trained folder, which appears under its name when it is complete."""
    from harness.runs.cluster.training import write_files
    from harness.workload.data.writing import OUTPUT_REMEDY, store_errors

    with store_errors("the model cannot be written", folder, OUTPUT_REMEDY):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".training-") as scratch:
            write_files(Path(scratch) / "model", files)
            (Path(scratch) / "model").rename(folder)


def _points(typer_context: typer.Context, by_name: dict[str, Training]) -> "Iterator[Point]":
    job, given = new_job(), given_arguments(typer_context, ["--task", "--seed"])
    for name, training in by_name.items():
        values = ("--task", training.task, "--seed", str(training.seed))
        yield point_of(typer_context, job, name, "train", (*given, *values))


def _exit_code(facts: dict[Path, "JsonObject"], failed: "Sequence[Trained]") -> ExitCode:
    """Return 0 if all are trained, 5 if some are; else 2 if bad input ended each, or 4."""
    if not failed:
        return ExitCode.DONE
    if facts:
        return ExitCode.PARTIAL
    is_input = all(trained.exit_code == ExitCode.BAD_INPUT for trained in failed)
    return ExitCode.BAD_INPUT if is_input else ExitCode.NOTHING_MEASURED
