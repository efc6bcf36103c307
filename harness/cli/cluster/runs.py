"""`bench run --cluster` and `bench ladder --cluster`: whole commands on hosts, and one report on all."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.cluster.commands import check_files, given_arguments, new_job, point_of
from harness.cli.options.config_file import CROSSED
from harness.common.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from harness.common.progress import ProgressReporter
    from harness.records.record import Record
    from harness.records.store import RunFolder, Store
    from harness.runs.cluster.dispatch import Outcome, PerHost
    from harness.runs.cluster.point import Point
    from harness.runs.cluster.ray_hosts import RayHost
    from harness.runs.planning.options import RunOptions


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """What was measured on a cluster: the records, their folders, the outcomes, and the exit code."""

    records: "list[Record]"
    folders: "list[RunFolder]"
    outcomes: "list[Outcome]"
    exit_code: ExitCode


def measure_on_hosts(
    address: str,
    wanted: str,
    queues_for: "Callable[[Sequence[RayHost]], list[deque[Point]]]",
    store: "Store",
    progress: "ProgressReporter",
) -> ClusterRun:
    """Measure on the hosts, and merge what they sealed into the store."""
    from harness.api import update_index
    from harness.runs.cluster.collect import collect
    from harness.runs.cluster.dispatch import dispatch
    from harness.runs.cluster.ray_hosts import ray_hosts

    store.check_writable()
    with ray_hosts(address, wanted) as hosts:
        outcomes = dispatch(hosts, queues_for(hosts), progress.warn)
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
    return ClusterRun(records, folders, outcomes, code)


def new_queues(
    hosts: "Sequence[RayHost]",
    points: "Sequence[Point]",
    per_host: "PerHost",
    expected: Mapping[str, str | None],
) -> "list[deque[Point]]":
    """Return the points of each host, once it has the same files as the driver; UsageError where not."""
    from harness.runs.cluster.dispatch import queues_of

    check_files(hosts, expected)
    return queues_of(len(hosts), points, per_host)


def points_of(typer_context: typer.Context, planned: "Sequence[RunOptions]") -> "list[Point]":
    """Return a `bench run` for each planned run: the user's own options, with the values of this run."""
    from harness.workload.tasks.custom import CUSTOM

    job = new_job()
    given = given_arguments(typer_context, ["--task"])
    crossed = [name for name in CROSSED if f"--{name}" not in given]
    points = []
    for number, options in enumerate(planned):
        differing = [name for name in crossed if len({getattr(each, CROSSED[name]) for each in planned}) > 1]
        values = [word for name in differing for word in (f"--{name}", str(getattr(options, CROSSED[name])))]
        task = [] if options.task == CUSTOM else ["--task", options.task]
        name = f"{number:03d}-{options.task}"
        points.append(point_of(typer_context, job, name, "run", (*given, *task, *values)))
    return points


SEARCHES = "-search"
"""What the names of points end with that are searches: those go on with the options of `bench search`."""


def begun_queues(hosts: "Sequence[RayHost]", job: str, *, searches: bool = False) -> "list[deque[Point]]":
    """Return the points of a job, or of the newest for `latest`, that each host has begun.

    Points of `searches` are told from all others by their names.
    """
    from harness.runs.cluster.point import Point

    jobs = [_of_kind(host.jobs(), searches=searches) for host in hosts]
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


def _of_kind(jobs: Mapping[str, Sequence[str]], *, searches: bool) -> dict[str, list[str]]:
    """Return the jobs with points that are searches, or that are not."""
    kept = {
        job: [name for name in names if name.endswith(SEARCHES) == searches] for job, names in jobs.items()
    }
    return {job: names for job, names in kept.items() if names}


def _forget(hosts: "Sequence[RayHost]", outcomes: "Sequence[Outcome]", taken: set[str]) -> None:
    """Remove from the hosts what lies in the user's store now."""
    from harness.runs.cluster.dispatch import HostLost

    by_name = {host.name: host for host in hosts}
    for outcome in outcomes:
        result = outcome.result
        if result and not result.unfinished and result.runs and set(result.runs) <= taken:
            with suppress(HostLost):  # what it keeps is handed over once more, and found to be there
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
