"""What recipes make of a checkpoint, trained on free hosts and given to the hosts that measure.

    rungs that train --by first recipe--> trainings --free hosts--> artifacts --> every host that measures

So each checkpoint is trained once, and all hosts measure the same one. What depends on a CPU, such as a graph
in int8, each host prepares itself, as it does in a command without a cluster.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.cluster.commands import given_arguments, new_job, point_of

if TYPE_CHECKING:
    from harness.common.progress import ProgressReporter
    from harness.records.ladder import Ladder
    from harness.records.record import Record
    from harness.runs.cluster.point import Point
    from harness.runs.cluster.ray_hosts import RayHost

FOR_SEARCH = "--for-search"
"""The option of `bench prepare` that trains on the part of train that a search trains on."""


def prepare_on_cluster(
    typer_context: typer.Context,
    ladder: "Ladder",
    name: str,
    hosts: "Sequence[RayHost]",
    expected: Mapping[str, str | None],
    progress: "ProgressReporter",
    more: Sequence[str] = (),
) -> set[str]:
    """Train the rungs of the ladder called `name` on free hosts; return the keys that all `hosts` have now.

    A training that fails is reported, and left to the hosts that measure. `more` holds options of
    `bench prepare`.
    """
    from harness.runs.cluster import ray_tasks
    from harness.runs.cluster.training import add_artifact

    cache: Path = typer_context.obj.cache()
    keys: list[str] = []
    points = training_points(typer_context, ladder, name, more)
    if not points:
        return set()
    for host in hosts:
        host.release()  # a training waits for a host that is held
    for _, trained in ray_tasks.spread(points, expected, progress.warn):
        for key, files in trained.folders.items():
            add_artifact(key, files, cache)
            keys.append(key)
    for host in hosts:
        _hand_over(host, keys, cache, progress)
    return set(keys)


def training_points(
    typer_context: typer.Context, ladder: "Ladder", name: str, more: Sequence[str]
) -> "list[Point]":
    """Return a `bench prepare` for each group of rungs that train."""
    job, given = new_job(), given_arguments(typer_context, ["--ladder", "--rungs"], "prepare")
    return [
        point_of(
            typer_context,
            job,
            f"train-{rungs[0]}",
            "prepare",
            (*given, "--ladder", name, "--rungs", ",".join(rungs), *more),
        )
        for rungs in groups_that_train(ladder)
    ]


def groups_that_train(ladder: "Ladder") -> list[list[str]]:
    """Return the rungs with recipes, those with the same first one together: they share its result."""
    groups: dict[str, list[str]] = {}
    for rung in ladder.rungs:
        if rung.recipes:
            groups.setdefault(json.dumps(rung.recipes[0], sort_keys=True), []).append(rung.name)
    return list(groups.values())


def trained_again(records: "Iterable[Record]", keys: set[str]) -> Iterator[str]:
    """Yield each rung of which a host that measured has trained a checkpoint itself."""
    for record in records if keys else ():
        manifest = record.artifact.manifest if record.artifact else {}
        steps = {step["key"] for step in manifest.get("preparation", ())} - {manifest.get("key")}
        if steps - keys:
            yield record.cell.variant


def warn_of_trained_again(records: "Iterable[Record]", keys: set[str], progress: "ProgressReporter") -> None:
    """Name these rungs, and why that can be."""
    for variant in dict.fromkeys(trained_again(records, keys)):
        progress.warn(
            f"{variant} was trained again on a host that measured: its libraries or its CPU differ from "
            "those of the host that trained it, or that training failed."
        )


def _hand_over(host: "RayHost", keys: Iterable[str], cache: Path, progress: "ProgressReporter") -> None:
    from harness.runs.cluster.dispatch import HostLost
    from harness.runs.cluster.training import read_files
    from harness.systems.artifact_cache import ArtifactCache

    artifacts = filter(None, map(ArtifactCache(cache).find, keys))
    try:
        for artifact in artifacts:
            host.add_artifact(artifact.key, read_files(artifact.folder))
    except HostLost as lost:
        progress.warn(str(lost))  # its points are named as lost when they are run
