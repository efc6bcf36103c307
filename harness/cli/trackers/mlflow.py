"""MLflow: a run of its own for each record, below one for the run of `bench`.

    experiment `bench`, or MLFLOW_EXPERIMENT_NAME > run of bench > record: params, metrics, tags, record.json

The server or the store is the one that MLflow's own variables name (MLFLOW_TRACKING_URI). A record that is
there already, by the hash of its content, is not logged again.
"""

import os
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from harness.cli.trackers.outcome import Logged, tracker_errors

if TYPE_CHECKING:
    from reports.exports.tracked import TrackedRecord

EXPERIMENT = "bench"
SHA256 = "bench.content_sha256"
"""The tag by which a record is found again; it is set when all else is logged."""

LONGEST_TAG = 5000
"""Characters of a tag that every store of MLflow takes."""

REMEDY = "Set MLFLOW_TRACKING_URI to a server or a store that works: sqlite:///mlflow.db, say."


def log_records(records: "list[TrackedRecord]", client: Any = None) -> Logged:  # noqa: ANN401 -- MlflowClient
    """Log records, those of one run below one parent; `client` is MLflow's own by default."""
    with tracker_errors("MLflow", REMEDY):
        if client is None:
            from mlflow import MlflowClient

            client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        new = [one for one in records if not _present(client, number, SHA256, _sha256(one))]
        for run, of_run in groupby(new, key=lambda tracked: tracked.record.run):
            parent = _parent(client, number, run)
            for tracked in of_run:
                _log(client, number, parent, tracked)
        where = f"experiment {name!r} of {_without_password(client.tracking_uri)}"
    return Logged(len(new), len(records) - len(new), where)


def _without_password(uri: str) -> str:
    """Return an address without the user and the password that it may hold."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def _present(client: Any, experiment: str, tag: str, value: str) -> str | None:  # noqa: ANN401
    """Return the id of the run of MLflow that has this tag, or None."""
    runs = client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def _parent(client: Any, experiment: str, run: str) -> str:  # noqa: ANN401
    """Return the id of the run of MLflow that stands for a run of `bench`, made if it is not there."""
    if present := _present(client, experiment, "bench.run", run):
        return present
    parent = client.create_run(experiment, run_name=run, tags={"bench.run": run})
    client.set_terminated(parent.info.run_id)
    return str(parent.info.run_id)


def _log(client: Any, experiment: str, parent: str, tracked: "TrackedRecord") -> None:  # noqa: ANN401
    record = tracked.record
    began_ms = round(datetime.fromisoformat(record.created).timestamp() * 1000)
    tags = {"mlflow.parentRunId": parent, "mlflow.source.name": "bench", **_tags(tracked)}
    name = f"{record.cell.task}/{record.cell.variant}"
    run = client.create_run(experiment, began_ms, tags=tags, run_name=name)
    number = run.info.run_id
    for key, value in tracked.parameters.items():
        client.log_param(number, key, value)
    for key, metric in tracked.metrics.items():
        client.log_metric(number, key, metric, timestamp=began_ms)
    for index, ns in tracked.rounds.items():
        client.log_metric(number, "round_time_per_request_ns", ns, timestamp=began_ms, step=index)
    client.log_text(number, record.model_dump_json(indent=1), "record.json")
    client.set_tag(number, SHA256, _sha256(tracked))
    client.set_terminated(number, "FAILED" if record.status == "failed" else "FINISHED")


def _tags(tracked: "TrackedRecord") -> dict[str, str]:
    """Return what is not a number: status, notes on metrics, warnings, the commit of the project."""
    record = tracked.record
    optional = {
        "bench.failure": tracked.failure,
        "bench.warnings": "\n".join(tracked.warnings),
        "mlflow.source.git.commit": record.revision.commit if record.revision else "",
    }
    notes = {f"bench.note.{name}": note for name, note in tracked.notes.items()}
    tags = {"bench.status": record.status, "bench.cell": tracked.name, "bench.record": record.cell.id}
    given = {**tags, **{name: text for name, text in optional.items() if text}, **notes}
    return {name: text[:LONGEST_TAG] for name, text in given.items()}


def _sha256(tracked: "TrackedRecord") -> str:
    record = tracked.record
    return record.content_sha256 or f"{record.run} {record.cell.id}"
