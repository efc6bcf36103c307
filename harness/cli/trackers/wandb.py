"""Weights & Biases: a run for each record, in a group for the run of `bench`.

    project `bench` (or WANDB_PROJECT) > group: the run's id > a record: config, summary, time of each round

W&B's own variables decide where it goes: WANDB_MODE=offline writes below ./wandb, and `wandb sync` sends it.
The id of a run comes from the record, so that a record that is logged twice stays one run. Neither the name
of the machine, its metadata, its code nor what is printed is sent.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.trackers.outcome import Logged, tracker_errors

if TYPE_CHECKING:
    from reports.exports.tracked import TrackedRecord

PROJECT = "bench"
REMEDY = "Log in with `wandb login`, or set WANDB_MODE=offline and send the folder later with `wandb sync`."


def log_records(records: "list[TrackedRecord]", library: Any = None) -> Logged:  # noqa: ANN401 -- a module
    """Log records; `library` is wandb unless a test gives another."""
    with tracker_errors("Weights & Biases", REMEDY):
        if library is None:
            import wandb

            library = wandb
        project = os.environ.get("WANDB_PROJECT") or PROJECT
        where = ""
        for tracked in records:
            where = _log(library, project, tracked)
    return Logged(len(records), 0, where or f"project {project!r}")


def _log(library: Any, project: str, tracked: "TrackedRecord") -> str:  # noqa: ANN401
    """Log one record, and return where it is."""
    record = tracked.record
    run = library.init(
        project=project,
        group=record.run,
        job_type=record.cell.task,
        name=f"{record.cell.task}/{record.cell.variant}",
        id=_id(tracked),
        resume="allow",
        config={**tracked.parameters, "cell": tracked.name, "status": record.status},
        notes=tracked.failure or None,
        tags=[record.status, record.profile],
        reinit="finish_previous",
        settings=_settings(library),
    )
    for index, ns in tracked.rounds.items():
        run.log({"round_time_per_request_ns": ns}, step=index)
    run.summary.update({**tracked.metrics, "notes": dict(tracked.notes), "warnings": list(tracked.warnings)})
    where = str(Path(run.dir).parent if run.offline else run.url)
    run.finish(exit_code=1 if record.status == "failed" else 0)
    return where


def _settings(library: Any) -> Any:  # noqa: ANN401
    """Return settings that send nothing but what is logged, and print nothing."""
    return library.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        host="",
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )


def _id(tracked: "TrackedRecord") -> str:
    """Return a name that the same record always has."""
    record = tracked.record
    return hashlib.sha256(f"{record.run} {record.cell.id} {record.content_sha256}".encode()).hexdigest()[:16]
