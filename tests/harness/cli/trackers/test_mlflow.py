"""With a client that keeps what it is given, and with MLflow itself where it is installed."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from records import a_failure, a_record, three_variants

from harness.cli.trackers.mlflow import SHA256, log_records
from harness.common.errors import StoreError
from harness.records.record import Record
from reports import CostFactors, build_report
from reports.exports.tracked import TrackedRecord, tracked_records


@dataclass
class FakeRun:
    info: SimpleNamespace
    name: str
    tags: dict[str, str]
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[tuple[str, int], float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    status: str = "RUNNING"


class FakeClient:
    """Keeps runs as MlflowClient's public calls describe them."""

    tracking_uri = "fake://here"

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, FakeRun] = {}

    def get_experiment_by_name(self, name: str) -> Any:
        number = self.experiments.get(name)
        return SimpleNamespace(experiment_id=number) if number else None

    def create_experiment(self, name: str) -> str:
        self.experiments[name] = str(len(self.experiments) + 1)
        return self.experiments[name]

    def search_runs(self, numbers: list[str], query: str, max_results: int) -> list[FakeRun]:
        del numbers, max_results
        tag, value = query.removeprefix("tags.`").removesuffix("'").split("` = '")
        return [run for run in self.runs.values() if run.tags.get(tag) == value]

    def create_run(
        self, experiment: str, start_time: int = 0, *, tags: dict[str, str], run_name: str
    ) -> FakeRun:
        del experiment, start_time
        number = f"run-{len(self.runs)}"
        self.runs[number] = FakeRun(SimpleNamespace(run_id=number), run_name, dict(tags))
        return self.runs[number]

    def log_param(self, number: str, name: str, value: Any) -> None:
        self.runs[number].params[name] = value

    def log_metric(self, number: str, name: str, value: float, *, timestamp: int, step: int = 0) -> None:
        del timestamp
        self.runs[number].metrics[name, step] = value

    def log_text(self, number: str, text: str, file: str) -> None:
        self.runs[number].texts[file] = text

    def set_tag(self, number: str, name: str, value: str) -> None:
        self.runs[number].tags[name] = value

    def set_terminated(self, number: str, status: str = "FINISHED") -> None:
        self.runs[number].status = status


def tracked(*records: Record) -> list[TrackedRecord]:
    return tracked_records(build_report(records or three_variants(), CostFactors()))


def test_each_record_is_a_run_below_the_run_of_bench() -> None:
    """With its parameters, its metrics, the time of each round, and the record itself."""
    client, records = FakeClient(), three_variants()
    logged = log_records(tracked(*records), client)
    assert (logged.new, logged.present) == (3, 0)
    assert logged.where == "experiment 'bench' of fake://here"
    parent, *children = client.runs.values()
    assert (parent.name, parent.status) == (records[0].run, "FINISHED")
    assert [child.name for child in children] == [
        f"{record.cell.task}/{record.cell.variant}" for record in records
    ]
    for child, record in zip(children, records, strict=True):
        assert child.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.params["variant"] == record.cell.variant
        assert json.loads(child.texts["record.json"])["run"] == record.run
        times = [turn.wall_ns / turn.requests for turn in record.rounds]
        assert [child.metrics["round_time_per_request_ns", turn.index] for turn in record.rounds] == times
        assert child.status == "FINISHED"


def test_no_password_is_printed() -> None:
    """The address of a server may hold one."""
    client = FakeClient()
    client.tracking_uri = "https://ada:secret@tracker.example:5000/ml"
    assert log_records(tracked(), client).where == "experiment 'bench' of https://tracker.example:5000/ml"


def test_a_record_is_logged_once() -> None:
    """It is found again by the hash of its content; a new one of the same run has the same parent."""
    client, (first, second, third) = FakeClient(), three_variants()
    log_records(tracked(first, second), client)
    logged = log_records(tracked(first, second, third), client)
    assert (logged.new, logged.present) == (1, 2)
    assert len(client.runs) == 4


def test_a_record_that_failed_is_a_failed_run_with_its_reason() -> None:
    """And has no metric."""
    client = FakeClient()
    log_records(tracked(a_record(), a_failure("out of memory")), client)
    failed = next(run for run in client.runs.values() if run.status == "FAILED")
    assert "out of memory" in failed.tags["bench.failure"]
    assert failed.metrics == {}


def test_what_the_client_raises_is_one_message() -> None:
    """Whatever its class; the next step names MLflow's variable."""

    class Unreachable(FakeClient):
        def get_experiment_by_name(self, name: str) -> Any:
            raise ConnectionError(f"no server at {name}\nstack")

    with pytest.raises(StoreError, match="MLflow did not take the records: no server at bench") as refusal:
        log_records(tracked(), Unreachable())
    assert "MLFLOW_TRACKING_URI" in str(refusal.value)


@pytest.mark.filterwarnings("ignore")  # of MLflow and SQLAlchemy, about themselves
def test_mlflow_itself_has_the_figures_of_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a store of its own (SQLite): each metric that was sent is read back, and nothing is sent twice."""
    mlflow = pytest.importorskip("mlflow", reason="the environment `trackers` has it")
    pytest.importorskip("sqlalchemy", reason="the environment `trackers` has it")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "classifiers")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment("classifiers", artifact_location=(tmp_path / "artifacts").as_uri())
    records = tracked(*three_variants(), a_failure("out of memory"))
    assert log_records(records, client).new == 4
    assert log_records(records, client).present == 4
    number = client.get_experiment_by_name("classifiers").experiment_id
    runs = {run.data.params.get("variant"): run for run in client.search_runs([number])}
    assert len(client.search_runs([number])) == 5
    for one in records[:3]:
        run = runs[one.record.cell.variant]
        read = {name: value for name, value in run.data.metrics.items() if not name.startswith("round_")}
        assert read == pytest.approx(dict(one.metrics))
        history = client.get_metric_history(run.info.run_id, "round_time_per_request_ns")
        assert {point.step: point.value for point in history} == pytest.approx(dict(one.rounds))
        assert run.data.tags[SHA256]
    assert runs[records[3].record.cell.variant].info.status == "FAILED"
