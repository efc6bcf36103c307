import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import RUN, sealed_run, three_records

from harness.analysis.verification.sealed_files import check_sealed_files
from harness.api import merge_stores
from harness.common.errors import UsageError
from harness.records.store import RunFolder, Store
from harness.records.store.merge import MergedRun, merge_runs


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def host(tmp_path: Path) -> RunFolder:
    return sealed_run(tmp_path / "host")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "all"


def merged(host: RunFolder, into: Path) -> MergedRun:
    (run,) = merge_runs([host], Store(into), check_sealed_files)
    return run


def test_a_run_is_copied_byte_by_byte_and_the_second_time_it_is_there(host: RunFolder, into: Path) -> None:
    """A run that is there already is no error: merging again after a break-off is safe."""
    assert merged(host, into) == MergedRun(RUN, "copied", 3)
    assert files(into / "runs" / RUN) == files(host.path)
    assert merged(host, into) == MergedRun(RUN, "present", 3)
    assert [path.name for path in into.iterdir()] == ["runs"]


def test_stores_are_merged_and_indexed_by_one_call(tmp_path: Path, into: Path) -> None:
    """As `bench store merge` does; the folder of one run is accepted beside stores."""
    runs = [f"20260102-030405-boolq-{number:04d}" for number in range(3)]
    folders = [sealed_run(tmp_path / name, list(three_records(name)), run=name).path for name in runs]
    outcome = merge_stores(folders[0].parents[1], folders[1].parents[1], folders[2], store=into)
    assert [(run.name, run.outcome) for run in outcome] == [(name, "copied") for name in runs]
    assert {path.name for path in into.iterdir()} == {"runs", "index.sqlite", ".index.lock"}


def faster(folder: Path) -> None:
    path = next(folder.glob("boolq-onnx*.json"))
    path.write_text(path.read_text().replace('"wall_ns": 400000000', '"wall_ns": 300000000'))


def other_samples(folder: Path) -> None:
    next(folder.glob("*.npz")).write_bytes(b"other")


def without_samples(folder: Path) -> None:
    next(folder.glob("*.npz")).unlink()


def renamed_record(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    path.rename(path.with_name("other.json"))


def of_another_run(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run": "20260102-030405-boolq-0009"}))


def torn(folder: Path) -> None:
    path = next(folder.glob("*.json"))
    path.write_bytes(path.read_bytes()[:100])


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.npz")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (faster, "content_sha256"),
        (other_samples, "samples.sha256"),
        (without_samples, "samples.sha256"),
        (renamed_record, "other.json"),
        (of_another_run, "content_sha256"),
        (torn, "not a record"),
        (a_pipe, "a pipe"),
    ],
)
def test_a_run_that_was_changed_since_it_was_sealed_is_refused_and_nothing_of_it_stays(
    host: RunFolder, into: Path, change: Callable[[Path], None], named: str
) -> None:
    """A record, its samples, a name; the reason names what differs."""
    change(host.path)
    run = merged(host, into)
    assert (run.name, run.outcome) == (RUN, "refused")
    assert named in " ".join(run.reasons)
    assert list((into / "runs").iterdir()) == []
    assert [path.name for path in into.iterdir()] == ["runs"]


def test_another_run_of_the_same_name_is_never_overwritten(host: RunFolder, into: Path) -> None:
    """Two hosts drew the same name in one second."""
    present = sealed_run(into, list(three_records(seed=7)))
    before = files(present.path)
    run = merged(host, into)
    assert run.outcome == "conflict"
    assert "another run of this name" in run.reasons[0]
    assert files(present.path) == before


def test_a_run_that_is_not_finished_is_left_where_it_can_be_resumed(host: RunFolder, into: Path) -> None:
    """Its journal belongs to its machine."""
    (host.path / "journal").mkdir()
    (host.path / "journal" / "plan.json").write_text("{}")
    run = merged(host, into)
    assert run.outcome == "unfinished"
    assert "bench run --resume" in run.reasons[0]
    assert list((into / "runs").iterdir()) == []


def test_records_that_a_run_has_more_than_the_copy_are_added(host: RunFolder, into: Path) -> None:
    """A copy that was broken off by other means, such as rsync, is completed."""
    merged(host, into)
    missing = next((into / "runs" / RUN).glob("*.json"))
    missing.unlink()
    assert merged(host, into).outcome == "copied"
    assert files(into / "runs" / RUN) == files(host.path)


def test_what_is_neither_a_store_nor_a_run_is_refused(tmp_path: Path) -> None:
    """An empty folder, and one that is not there."""
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="expected a store or the folder of a run"):
            merge_stores(folder, store=tmp_path / "all")
