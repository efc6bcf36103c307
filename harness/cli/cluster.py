"""`bench run --cluster`: the points of a sweep on many hosts, and one report on all of them."""

import os
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.options.config_file import CROSSED
from harness.cli.options.execution import ClusterOptions
from harness.common.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from harness.common.progress import ProgressReporter
    from harness.records.record import Record
    from harness.records.store import RunFolder, Store
    from harness.runs.cluster.dispatch import Outcome
    from harness.runs.cluster.point import Point
    from harness.runs.cluster.ray_hosts import RayHost
    from harness.runs.planning.options import RunOptions

OF_THE_DRIVER = (
    "--cluster",
    "--hosts",
    "--per-host",
    "--store",
    "--json",
    "--quiet",
    "--busy",
    "--resume",
    "--task",
)
"""Options that are not passed to the hosts as they are."""

_KEPT_HERE = ("BENCH_STORE", "BENCH_CACHE", "BENCH_BUSY")


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """What was measured on a cluster: the records, their folders, and the exit code."""

    records: "list[Record]"
    folders: "list[RunFolder]"
    exit_code: ExitCode


def measure_on_cluster(
    typer_context: typer.Context,
    cluster: ClusterOptions,
    planned: "Sequence[RunOptions]",
    resume: str | None,
    store: "Store",
    progress: "ProgressReporter",
) -> "ClusterRun":
    """Measure on the hosts, and merge what they sealed into the store."""
    from harness.api import update_index
    from harness.runs.cluster.collect import collect
    from harness.runs.cluster.dispatch import dispatch, queues_of
    from harness.runs.cluster.ray_hosts import ray_hosts

    store.check_writable()
    with ray_hosts(cluster.cluster, cluster.hosts) as hosts:
        if resume is None:
            points = points_of(typer_context, planned)
            _check_files(hosts, _paths(planned))
            queues = queues_of(len(hosts), points, cluster.per_host)
        else:
            queues = _begun(hosts, resume)
        outcomes = dispatch(hosts, queues, progress.warn)
        merged = collect(outcomes, store)
        taken = {run.name for run in merged if run.outcome in ("copied", "present")}
        _forget(hosts, outcomes, taken)
    update_index(store, None, progress)
    for run in merged:
        if run.name not in taken:
            progress.warn(f"{run.name}: {run.outcome}: {'; '.join(run.reasons)}")
    folders = [store.run_folder(name) for name in sorted(taken)]
    records, _ = store.records(folders)
    code = _exit_code(outcomes, records, refused=len(taken) < len(merged), progress=progress)
    return ClusterRun(records, folders, code)


def points_of(typer_context: typer.Context, planned: "Sequence[RunOptions]") -> "list[Point]":
    """Return a `bench run` for each planned run: the user's own options, with the values of this run."""
    from harness.runs.cluster.point import Point
    from harness.workload.tasks.custom import CUSTOM

    job = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    given = given_arguments(typer_context)
    crossed = [name for name in CROSSED if f"--{name}" not in given]
    points = []
    for number, options in enumerate(planned):
        differing = [name for name in crossed if len({getattr(each, CROSSED[name]) for each in planned}) > 1]
        values = [word for name in differing for word in (f"--{name}", str(getattr(options, CROSSED[name])))]
        task = [] if options.task == CUSTOM else ["--task", options.task]
        arguments = (*given, *task, *values)
        environment = _own_variables(typer_context.obj.environ)
        points.append(Point(job, f"{number:03d}-{options.task}", arguments, str(Path.cwd()), environment))
    return points


def given_arguments(typer_context: typer.Context) -> list[str]:
    """Return the options that the user gave on the command line, as words."""
    words: list[str] = []
    for parameter in typer_context.command.params:
        source = typer_context.get_parameter_source(str(parameter.name))
        option, value = parameter.opts[0], typer_context.params.get(str(parameter.name))
        if getattr(source, "name", "") != "COMMANDLINE" or option in OF_THE_DRIVER:
            continue
        if isinstance(value, bool):
            words += [option] if value else []
        else:
            for item in value if isinstance(value, list | tuple) else [value]:
                words += [option, str(item)]
    return words


def _own_variables(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if name.startswith("BENCH_") and name not in _KEPT_HERE
    }


def _paths(planned: "Sequence[RunOptions]") -> list[str]:
    """Return the files and folders that hosts must have as they are here."""
    named = [str(path) for options in planned for path in (options.data, options.model) if path]
    return [os.path.abspath(path) for path in dict.fromkeys(named) if Path(path).exists()]  # noqa: PTH100


def _check_files(hosts: "Sequence[RayHost]", paths: Sequence[str]) -> None:
    """Raise UsageError unless every host has the same data and checkpoints, by their sha256."""
    from harness.runs.cluster.point import digest_of

    here = {path: digest_of(path) for path in paths}
    for host in hosts:
        for path, digest in host.digests(paths).items() if paths else ():
            if digest != here[path]:
                problem = "is not there" if digest is None else "differs from the one here (sha256)"
                raise UsageError(
                    f"{path} {problem}.",
                    where=host.name,
                    remedy="Copy it there under the same path, or put it on a shared file system.",
                )


def _begun(hosts: "Sequence[RayHost]", job: str) -> "list[deque[Point]]":
    """Return the points of a job, or of the newest for `latest`, that each host has begun."""
    from harness.runs.cluster.point import Point

    jobs = [host.jobs() for host in hosts]
    names = sorted({name for by_job in jobs for name in by_job})
    chosen = names if job == "all" else [names[-1]] if names and job == "latest" else [job]
    if not set(chosen) & set(names):
        raise UsageError(
            f"no host has begun {job}.", where="--resume", remedy=f"Begun: {', '.join(names) or 'none'}."
        )
    folder = str(Path.cwd())
    return [
        deque(Point(name, point, (), folder, {}) for name in chosen for point in by_job.get(name, ()))
        for by_job in jobs
    ]


def _forget(hosts: "Sequence[RayHost]", outcomes: "Sequence[Outcome]", taken: set[str]) -> None:
    """Remove from the hosts what lies in the user's store now."""
    by_name = {host.name: host for host in hosts}
    for outcome in outcomes:
        result = outcome.result
        if result and not result.unfinished and result.runs and set(result.runs) <= taken:
            by_name[outcome.host].forget(outcome.job, outcome.point)


def _exit_code(
    outcomes: "Sequence[Outcome]", records: "Sequence[Record]", *, refused: bool, progress: "ProgressReporter"
) -> ExitCode:
    """Name what is missing. Return 0 if nothing is, else 5; 4 if nothing was measured, 7 if refused."""
    for outcome in outcomes:
        if not outcome.is_sound:
            progress.warn(f"{outcome.host or 'no host'}: {outcome.point}: {outcome.text}")
    if refused:
        return ExitCode.MISMATCH
    if not any(record.rounds for record in records):
        return ExitCode.NOTHING_MEASURED
    complete = all(outcome.is_sound for outcome in outcomes)
    return ExitCode.DONE if complete else ExitCode.PARTIAL
