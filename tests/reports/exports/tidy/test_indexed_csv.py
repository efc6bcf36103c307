"""The CSV of runs that stand in the index is that of their records, byte for byte."""

import json
import os
import shutil
from pathlib import Path

import pytest
from devtools.many_hosts import many_hosts
from stores import sealed_run, three_records
from worlds import World

from harness.cli.app import call
from harness.records.store import RunFolder, folders
from harness.records.store.index import file_state, refresh

RESULTS = Path(__file__).parents[4] / "results" / "runs"
RUN = RESULTS / "20261122-142644-boolq-2ee5"
LITERAL = "20260102-030406-boolq-0000"
LADDER = next(path.parent for path in sorted(RESULTS.glob("*/*.json")) if '"ladder": {' in path.read_text())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two hosts of measured records, a ladder, and literal records of joules; all may be from the index."""
    for module in (file_state, refresh):
        monkeypatch.setattr(module, "JUST_NOW_NS", 0)
    many_hosts(RUN, 2, 6, tmp_path)
    world = World(tmp_path)
    for source in (*tmp_path.glob("host-*/runs/*"), LADDER):
        shutil.copytree(source, world.store / "runs" / source.name)
    sealed_run(world.store, list(three_records(LITERAL)), run=LITERAL)
    return world


def csv_of(world: World, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert call(["report", *words, "--format", "csv"], world.context()) == 0
    return capsys.readouterr().out


def make_index(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["store", "index"], world.context()) == 0
    capsys.readouterr()


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the runs whose files are read from now on."""
    names: list[str] = []
    own = folders.read_record
    monkeypatch.setattr(folders, "read_record", lambda path: (names.append(path.parent.name), own(path))[1])
    return names


@pytest.mark.parametrize(
    "words",
    [
        ("all",),
        ("all", "--price-per-hour", "1.25"),
        ("all", "--where", "variant = 'onnx-int8' and max_length = 128"),
        ("20260102-030405-boolq-0000", LADDER.name),
    ],
)
def test_the_report_is_the_same_from_the_index_and_from_the_files(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Verdicts are of one family; only the ladder's records are read."""
    make_index(world, capsys)
    with monkeypatch.context() as without:
        without.setattr("harness.records.store.index.unchanged.FILE", "absent.sqlite")
        expected = csv_of(world, capsys, *words)
    read = reads(monkeypatch)
    assert csv_of(world, capsys, *words) == expected
    assert set(read) <= {LADDER.name}
    assert len(expected.splitlines()) > 16


def test_a_record_that_was_changed_in_place_is_read_and_others_are_not(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where its size and the time of its last change are as before."""
    make_index(world, capsys)
    folder = RunFolder(world.store / "runs" / "20260102-030405-boolq-0001")
    path = folder.record_paths()[0]
    state, text = path.stat(), path.read_text()
    peak = str(json.loads(text)["memory"]["peak_bytes"])
    path.write_text(text.replace(peak, "9" * len(peak)))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    read = reads(monkeypatch)
    assert f"peak_memory,,{'9' * len(peak)}," in csv_of(world, capsys, "all")
    assert set(read) == {LADDER.name, folder.name}


def test_the_index_of_a_copied_store_is_not_taken_for_its_files(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever hands over a store may have written anything into its index."""
    make_index(world, capsys)
    copy = shutil.copytree(world.store, tmp_path / "copy")
    read = reads(monkeypatch)
    csv_of(world, capsys, "all", "--store", str(copy))
    assert len(set(read)) == len(list((copy / "runs").iterdir()))


@pytest.mark.parametrize("payload", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_index_is_left_alone_and_the_files_are_read(
    world: World, capsys: pytest.CaptureFixture[str], payload: bytes
) -> None:
    """A report does not write into the store."""
    expected = csv_of(world, capsys, "all")
    (world.store / "index.sqlite").write_bytes(payload)
    assert csv_of(world, capsys, "all") == expected
    assert (world.store / "index.sqlite").read_bytes() == payload


def test_a_run_that_lies_in_two_folders_is_one_group_as_ever(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy under another name still has the records of its run."""
    run = world.store / "runs" / "20260102-030405-boolq-0000"
    shutil.copytree(run, run.with_name("copied"))
    expected = csv_of(world, capsys, "all")
    make_index(world, capsys)
    assert csv_of(world, capsys, "all") == expected


def test_files_that_changed_just_now_have_no_state(tmp_path: Path) -> None:
    """A later change could have the same time."""
    assert file_state.file_state(sealed_run(tmp_path)) == ""
    assert file_state.file_state(RunFolder(tmp_path / "absent")) == ""
