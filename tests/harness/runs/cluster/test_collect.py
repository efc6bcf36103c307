from pathlib import Path

import pytest
from stores import RUN, sealed_run

from harness.common.errors import StoreError
from harness.records.store import Store
from harness.runs.cluster.collect import collect
from harness.runs.cluster.dispatch import Outcome
from harness.runs.cluster.point import PointResult


def sealed_files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sealed_run(root).path.iterdir()}


def outcome(files: dict[str, bytes], run: str = RUN) -> Outcome:
    return Outcome("host", "job", "000-boolq", PointResult(0, {run: files}))


def test_what_a_host_sealed_is_merged_into_the_store(tmp_path: Path) -> None:
    """Byte by byte; a lost host has sent nothing."""
    files = sealed_files(tmp_path / "host")
    lost = Outcome("other", "job", "000-boolq", None, "its node is lost")
    (run,) = collect([outcome(files), lost], Store(tmp_path / "all"))
    assert (run.name, run.outcome) == (RUN, "copied")
    assert {path.name for path in (tmp_path / "all" / "runs" / RUN).iterdir()} == set(files)


def test_what_was_changed_on_the_way_is_refused(tmp_path: Path) -> None:
    """A record without its hash's content."""
    files = sealed_files(tmp_path / "host")
    name = next(name for name in files if name.endswith(".json"))
    files[name] = files[name].replace(b'"seed": 0', b'"seed": 1')
    (run,) = collect([outcome(files)], Store(tmp_path / "all"))
    assert run.outcome == "refused"


@pytest.mark.parametrize("name", ["../evil.json", "/evil.json", ".hidden", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Of a file or of a run."""
    with pytest.raises(StoreError, match="a host sent a file"):
        collect([outcome({name: b"{}"})], Store(tmp_path / "all"))
    with pytest.raises(StoreError, match="a host sent a file"):
        collect([outcome({"a.json": b"{}"}, run=name)], Store(tmp_path / "all"))
