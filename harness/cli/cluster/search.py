"""`bench search --cluster`: candidates are trained on free hosts, and measured on each host that is held."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from harness.cli.cluster.commands import check_files, given_arguments, named_files, new_job, point_of
from harness.cli.cluster.preparation import FOR_SEARCH, prepare_on_cluster, warn_of_trained_again
from harness.cli.cluster.runs import SEARCHES, begun_queues, measure_on_hosts
from harness.cli.options.execution import HostsOptions
from harness.cli.options.selection import SearchGoal
from harness.common.errors import ExitCode

if TYPE_CHECKING:
    from harness.cli.cluster.runs import ClusterRun
    from harness.common.progress import ProgressReporter
    from harness.records.ladder import Ladder
    from harness.records.store import Store
    from harness.runs.cluster.point import Point, PointResult
    from harness.runs.cluster.ray_hosts import RayHost
    from harness.runs.planning.options import RunOptions
    from harness.studies.search import SearchOutcome


def search_on_cluster(
    typer_context: typer.Context,
    cluster: HostsOptions,
    options: "RunOptions",
    ladder_name: str,
    store: "Store",
    goal: SearchGoal,
    progress: "ProgressReporter",
    resume: str | None = None,
) -> "tuple[dict[str, SearchOutcome], ExitCode]":
    """Search on each host; return the searches by host, and 5 where one has not come to its end.

    `resume` names a job whose searches have the same options: each goes on where it was interrupted.
    """
    ladder, keys = options.ladder, set[str]()
    assert ladder is not None  # a search has one
    arguments = given_arguments(typer_context)
    point = point_of(typer_context, new_job(), f"000-{options.task}{SEARCHES}", "search", arguments)

    def queues_for(hosts: "Sequence[RayHost]") -> "list[deque[Point]]":
        from harness.runs.cluster.dispatch import queues_of

        expected = named_files([options], ladder_name)
        check_files(hosts, expected)
        if resume is not None:
            begun = begun_queues(hosts, resume, searches=True)
            return [deque(replace(point, job=each.job, name=each.name) for each in own) for own in begun]
        more = [FOR_SEARCH]
        keys.update(prepare_on_cluster(typer_context, ladder, ladder_name, hosts, expected, progress, more))
        return queues_of(len(hosts), [point], "same")

    measured = measure_on_hosts(cluster.cluster, cluster.hosts, queues_for, store, progress)
    progress.finish()
    warn_of_trained_again(measured.records, keys, progress)
    searches = {
        outcome.host: search
        for outcome in measured.outcomes
        if outcome.result and (search := judged(ladder, outcome.result, measured, goal))
    }
    unfinished = any(search.winner and not search.final for search in searches.values())
    code = ExitCode.PARTIAL if unfinished and measured.exit_code == ExitCode.DONE else measured.exit_code
    return searches, code


def judged(
    ladder: "Ladder", result: "PointResult", measured: "ClusterRun", goal: SearchGoal
) -> "SearchOutcome | None":
    """Judge the candidates of a host by its records, as the host did; None if it has sealed no search."""
    from harness.studies.search import SearchOutcome, best, judge_all

    records = [record for record in measured.records if record.run in result.runs]
    searched = [record for record in records if record.configuration.get("stage") == "search"]
    final = [record for record in records if record not in searched]
    if not searched:
        return None
    tried = judge_all(ladder, searched, max_loss=goal.max_quality_loss, objective=goal.objective)
    runs = list(dict.fromkeys(record.run for record in (*searched, *final)))
    folders = tuple(folder for run in runs for folder in measured.folders if folder.name == run)
    return SearchOutcome(tried, best(tried, goal.objective), tuple(searched), tuple(final), folders)
