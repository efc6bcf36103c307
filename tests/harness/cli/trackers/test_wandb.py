"""With a library that keeps what it is given, and with wandb itself, offline, where it is installed."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from records import a_failure, three_variants

from harness.cli.trackers.wandb import log_records
from harness.common.errors import StoreError
from harness.records.record import Record
from harness.records.store import RunFolder
from reports import CostFactors, build_report
from reports.exports.tracked import TrackedRecord, tracked_records


class FakeRun:
    """Keeps what is logged to it."""

    offline, url, dir = True, None, "wandb/offline-run-1/files"

    def __init__(self, given: dict[str, Any]) -> None:
        self.given, self.logged, self.summary = given, [], {}
        self.exit_code: int | None = None

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


class FakeLibrary:
    """The calls of wandb that are used."""

    Settings = SimpleNamespace

    def __init__(self) -> None:
        self.runs: list[FakeRun] = []

    def init(self, **given: Any) -> FakeRun:
        self.runs.append(FakeRun(given))
        return self.runs[-1]


def tracked(*records: Record) -> list[TrackedRecord]:
    return tracked_records(build_report(records or three_variants(), CostFactors()))


def test_each_record_is_a_run_in_the_group_of_the_run_of_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id comes from the record: the same record is the same run."""
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    library, records = FakeLibrary(), three_variants()
    assert log_records(tracked(*records), library).new == 3
    log_records(tracked(*records), library)
    ids = [run.given["id"] for run in library.runs]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3
    for run, record, one in zip(library.runs, records, tracked(*records), strict=False):
        assert (run.given["project"], run.given["group"]) == ("bench", record.run)
        assert run.given["config"]["variant"] == record.cell.variant
        assert {name: run.summary[name] for name in one.metrics} == dict(one.metrics)
        assert [values["round_time_per_request_ns"] for _, values in run.logged] == list(one.rounds.values())
        assert run.exit_code == 0


def test_a_record_that_failed_is_a_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its reason as a note, in the project that the user named."""
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    library = FakeLibrary()
    log_records(tracked(a_failure("out of memory")), library)
    (run,) = library.runs
    assert run.exit_code == 1
    assert run.given["project"] == "mine"
    assert "out of memory" in run.given["notes"]


def test_nothing_about_the_machine_is_sent_but_what_the_record_holds() -> None:
    """Neither its name, metadata, code, output nor list of packages."""
    library = FakeLibrary()
    log_records(tracked(), library)
    settings = library.runs[0].given["settings"]
    assert (settings.host, settings.x_disable_meta, settings.disable_git) == ("", True, True)
    assert (settings.console, settings.save_code, settings.x_save_requirements) == ("off", False, False)


def test_what_the_library_raises_is_one_message() -> None:
    """The next step names both ways to go on."""

    class NoKey(FakeLibrary):
        def init(self, **given: Any) -> FakeRun:
            raise RuntimeError(f"api_key not configured for {given['project']}")

    with pytest.raises(StoreError, match="api_key not configured") as refusal:
        log_records(tracked(), NoKey())
    assert "WANDB_MODE=offline" in str(refusal.value)


def payloads(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file of wandb: LevelDB's log format behind a header of seven bytes."""
    place, part = 7, b""
    while place + 7 <= len(content):
        left = 32_768 - place % 32_768
        if left < 7:  # the rest of a block that is too short for a header is padding
            place += left
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield part
            part = b""


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


@pytest.mark.filterwarnings("ignore")  # of wandb, about itself
def test_wandb_itself_has_the_figures_of_the_records(tmp_path: Path) -> None:
    """Offline: the file that `wandb sync` would send is read back, and holds no name of this machine."""
    pytest.importorskip("wandb", reason="the environment `trackers` has it")
    from wandb.proto import wandb_internal_pb2

    folder = RunFolder(tmp_path / "results" / "runs" / "r1")
    folder.path.mkdir(parents=True)
    (one,) = tracked(folder.seal(three_variants()[0], {"call_ns": np.array([20e6])}))
    done = subprocess.run(  # in a process of its own: wandb starts a service and connects to it
        [sys.executable, "-P", "-c", "from harness.cli import main; main()", "report", "r1", "--to", "wandb"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Logged 1 record to wandb: ")
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    steps: dict[int, float] = {}
    for payload in payloads(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(payload)
        config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        items = {_key(item): json.loads(item.value_json) for item in record.history.item}
        if items:
            steps[items["_step"]] = items["round_time_per_request_ns"]
    assert config["variant"] == one.record.cell.variant
    assert {name: summary[name] for name in one.metrics} == pytest.approx(dict(one.metrics))
    assert steps == pytest.approx(dict(one.rounds))
    assert socket.gethostname().encode() not in file.read_bytes()
