import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import Heard, World, boolq_folder

from harness.common.errors import StoreError, UsageError
from harness.records.journal_entries import from_lines
from harness.records.record import SCHEMA_VERSION, Record
from harness.records.store import RunFolder, Store, UnreadableFile, read_record, read_samples
from harness.runs.execution.run import Run, execute, start
from harness.runs.planning.options import RunOptions
from harness.testing.world import altered


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def begun(world: World) -> Run:
    options = RunOptions("boolq", data=boolq_folder(world.root), variants=("pytorch-fixed",))
    return start(options, world.catalog, Store(world.store), world.cache, world.machine, Heard())


@pytest.fixture
def sealed(world: World) -> tuple[RunFolder, Record]:
    run = begun(world)
    (record,) = execute(run)
    return run.folder, record


def test_a_sealed_record_is_read_back_as_it_was(world: World, sealed: tuple[RunFolder, Record]) -> None:
    """Numbers are stored unrounded, so equality holds."""
    folder, record = sealed
    records, unreadable = Store(world.store).records([folder])
    assert (records, unreadable) == ([record], [])


def test_nothing_of_this_machine_and_no_text_reaches_a_record(
    world: World, sealed: tuple[RunFolder, Record]
) -> None:
    """No path, no passage; the journal with the folders of this machine is removed."""
    folder, record = sealed
    text = (folder.path / f"{record.cell.id}.json").read_text()
    assert str(world.root) not in text
    assert "word word" not in text
    assert not (folder.path / "journal").exists()


def test_the_store_never_overwrites(sealed: tuple[RunFolder, Record]) -> None:
    """Sealing the same cell twice is refused, and the first record stays."""
    folder, record = sealed
    before = (folder.path / f"{record.cell.id}.json").read_bytes()
    with pytest.raises(StoreError, match="never overwrites"):
        folder.seal(record.model_copy(update={"seed": 9}), {})
    assert (folder.path / f"{record.cell.id}.json").read_bytes() == before


def test_two_runs_of_one_name_are_refused(world: World) -> None:
    """A second run in the same second gets another suffix; the same name is an error, not a mixture."""
    begun(world)
    with pytest.raises(StoreError, match="never overwrites"):
        begun(world)
    world.machine = altered(world.machine, suffix=lambda: "0002")
    begun(world)
    assert len(Store(world.store).runs()) == 2


def test_a_corrupt_record_is_named_and_the_others_are_read(
    world: World, sealed: tuple[RunFolder, Record]
) -> None:
    """Truncated, not JSON, or of a newer schema: each with its reason."""
    folder, record = sealed
    (folder.path / "a.json").write_text('{"schema_version": 1, "run"')
    (folder.path / "b.json").write_text(json.dumps({"schema_version": 4}))
    (folder.path / "c.json").write_text(json.dumps({"schema_version": 1}))
    (folder.path / "d.json").write_text("[]")
    records, unreadable = Store(world.store).records([folder])
    assert records == [record]
    assert [file.path.name for file in unreadable] == ["a.json", "b.json", "c.json", "d.json"]
    assert "schema version 4, and this program reads 1 to 3" in unreadable[1].reason


NESTED = "[" * 200_000
ONE_READING = {"zone": "a", "grade": "measured", "scope": "package", "source": "s", "span_ns": 1}


@pytest.mark.parametrize(
    "text",
    [
        NESTED,
        '{"schema_version": ' + NESTED,
        '{"a":' * 200_000,
        "\ud800".encode("utf-8", "surrogatepass"),
        b"\xff\xfe",
        "null",
        '{"schema_version": [1]}',
        '{"schema_version": 1e999}',
        '{"schema_version": ' + "1" * 5000 + "}",
    ],
)
def test_one_bad_record_does_not_stop_the_report_on_the_others(
    world: World, sealed: tuple[RunFolder, Record], text: str | bytes
) -> None:
    """Whatever it holds; 200,000 nested brackets overflow a parser that calls itself."""
    folder, record = sealed
    (folder.path / "bad.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    records, unreadable = Store(world.store).records([folder])
    assert records == [record]
    assert [file.path.name for file in unreadable] == ["bad.json"]
    assert len(unreadable[0].reason) < 1000
    assert unreadable[0].reason.isprintable()


def test_a_record_that_is_no_regular_file_is_named(world: World, sealed: tuple[RunFolder, Record]) -> None:
    """A pipe that nobody writes to, a device without an end, a folder."""
    import os

    folder, record = sealed
    os.mkfifo(folder.path / "a.json")
    (folder.path / "b.json").symlink_to("/dev/zero")
    (folder.path / "c.json").mkdir()
    records, unreadable = Store(world.store).records([folder])
    assert records == [record]
    assert [file.reason.rpartition("got ")[2] for file in unreadable] == ["a pipe", "a device", "a folder"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("rounds", 0, "wall_ns"), -1),
        (("rounds", 0, "requests"), 2**63),
        (("rounds", 0, "tokens"), 10**400),
        (("rounds", 0, "asked_ns"), [-5]),
        (("rounds", 0, "readings"), [{**ONE_READING, "microjoules": 10**30}]),
        (("rounds", 0, "readings"), [{**ONE_READING, "microjoules": 1, "samples": -1}]),
        (("quality", "metrics", "accuracy", "value"), float("nan")),
        (("quality", "metrics", "accuracy", "high"), float("inf")),
        (("quality", "timed"), -1),
        (("observer", "loop_ns_per_request"), float("-inf")),
        (("host", "facts", "ram_gib"), float("nan")),
        (("host", "facts", "logical_cpus"), 10**30),
        (("configuration", "rounds"), [{"a": float("inf")}]),
        (("configuration", "variants"), 3),
        (("configuration", "scenarios"), {"a": 1}),
    ],
)
def test_a_record_with_an_impossible_number_is_named(
    sealed: tuple[RunFolder, Record], place: tuple[str | int, ...], value: object
) -> None:
    """It is unreadable, and no figure is made of it."""
    folder, record = sealed
    payload = json.loads(record.model_dump_json())
    part = payload
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    path = folder.path / "changed.json"
    path.write_text(json.dumps(payload))
    assert isinstance(read_record(path), UnreadableFile)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"call_ns": np.array(["a"])}, "the samples hold call_ns as <U1 of shape"),
        ({"call_ns": np.ones((2, 2))}, r"the samples hold call_ns as float64 of shape \(2, 2\)"),
        ({"answered": np.array([1.5])}, "the samples hold answered as float64"),
        ({"counts": np.ones(3)}, "the samples hold counts as float64"),
        (
            {"call_ns": np.arange(3), "call_round": np.arange(2)},
            "call_ns and call_round of different lengths",
        ),
    ],
)
def test_samples_of_another_type_or_shape_are_refused(
    sealed: tuple[RunFolder, Record], arrays: dict[str, np.ndarray[Any, Any]], message: str
) -> None:
    """What is computed from them would be wrong, or would not be computed."""
    folder, record = sealed
    other = folder.seal(
        record.model_copy(update={"cell": record.cell.model_copy(update={"id": "other"})}), arrays
    )
    with pytest.raises(StoreError, match=message):
        read_samples(folder.path, other)


def test_samples_outside_the_folder_are_not_read(sealed: tuple[RunFolder, Record]) -> None:
    """A record names a file beside it."""
    folder, record = sealed
    assert record.samples is not None
    elsewhere = record.samples.model_copy(update={"file": f"../{folder.name}/{record.samples.file}"})
    with pytest.raises(StoreError, match="names samples outside its own folder"):
        read_samples(folder.path, record.model_copy(update={"samples": elsewhere}))


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "null",
        "{",
        NESTED,
        '{"kind": "round"}',
        '{"kind": ["a"]}',
        '{"cell": "a"}',
        '{"kind": "memory", "cell": 3}',
    ],
)
def test_a_damaged_line_of_a_journal_is_named(world: World, line: str) -> None:
    """With its number, and what to do; a line of a kind that is not known is skipped."""
    folder = begun(world).folder
    folder.append({"kind": "later", "cell": "a"})
    with (folder.path / "journal" / "rounds.jsonl").open("a") as journal:
        journal.write(f"{line}\n")
    with pytest.raises(StoreError, match=r"(line|entry) 2 of the journal cannot be read") as caught:
        from_lines(folder.entries())
    assert "Delete that line and resume the run" in str(caught.value)


def test_a_run_that_is_not_there_names_the_nearest_in_a_short_message(world: World) -> None:
    """The store may hold thousands, and all their names are no help."""
    for number in range(1000):
        run = world.store / "runs" / f"20260101-{number:06}-boolq-{number:04x}"
        run.mkdir(parents=True)
        (run / "a.json").write_text("{}")
    with pytest.raises(UsageError) as caught:
        Store(world.store).run("nope")
    assert len(str(caught.value)) < 300
    assert "unknown run 'nope'.\nThe most similar of 1,000: 2026" in str(caught.value)
    with pytest.raises(UsageError) as caught:
        Store(world.store).run("x" * 100_000)
    assert len(str(caught.value)) < 400


def test_records_of_the_first_version_are_still_read(sealed: tuple[RunFolder, Record]) -> None:
    """The fields are the same, so nothing is converted; the version gives the format of the samples."""
    folder, record = sealed
    assert record.schema_version == SCHEMA_VERSION == 3
    old = record.model_copy(update={"schema_version": 1})
    (folder.path / "old.json").write_text(old.model_dump_json())
    assert read_record(folder.path / "old.json") == old


def test_every_committed_record_is_read() -> None:
    """Published records stay readable, with their samples."""
    published = Store(Path(__file__).parents[3] / "results")
    folders = published.runs()
    records, unreadable = published.records(folders)
    assert unreadable == []
    assert {record.schema_version for record in records} <= {1, 2, 3}
    by_name = {folder.name: folder for folder in folders}
    assert all(len(read_samples(by_name[record.run].path, record)["answer"]) for record in records)


def test_changed_samples_are_refused(sealed: tuple[RunFolder, Record]) -> None:
    """The record holds their hash."""
    folder, record = sealed
    assert record.samples is not None
    assert len(read_samples(folder.path, record)["call_ns"]) > 0
    path = folder.path / record.samples.file
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StoreError, match="not the ones that were sealed"):
        read_samples(folder.path, record)
    path.unlink()
    with pytest.raises(StoreError, match="there is no such file"):
        read_samples(folder.path, record)


def test_a_store_that_cannot_be_written_is_refused_before_the_clock_starts(world: World) -> None:
    """A file in place of the folder stands for a full or read-only disk, for any user."""
    world.store.write_text("")
    with pytest.raises(StoreError, match="BENCH_STORE") as caught:
        begun(world)
    assert caught.value.exit_code == 4


def test_runs_are_found_by_name_and_by_age(world: World, sealed: tuple[RunFolder, Record]) -> None:
    """`latest` is the newest; the error for a wrong name suggests the nearest."""
    folder, _ = sealed
    store = Store(world.store)
    assert store.run("latest").name == store.run(folder.name).name == folder.name
    with pytest.raises(UsageError, match="Did you mean"):
        store.run(folder.name[:-1])
    with pytest.raises(UsageError, match="no unfinished run"):
        store.unfinished()
    with pytest.raises(UsageError, match="nothing to resume"):
        folder.plan()
    with pytest.raises(UsageError, match="holds no runs"):
        Store(world.root / "empty").run("latest")


def test_a_deleted_file_is_unreadable_not_a_crash(tmp_path: Path) -> None:
    """A record may be deleted while a report reads the store."""
    assert isinstance(read_record(tmp_path / "none.json"), UnreadableFile)


def test_a_disk_that_fills_up_loses_nothing_that_was_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry that does not fit is an error with a remedy; earlier entries can be read."""
    import errno
    import os

    folder = begun(world).folder
    folder.append({"kind": "failed", "cell": "a", "failure": {}})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        folder.append({"kind": "failed", "cell": "b", "failure": {}})
    assert caught.value.exit_code == 4
    assert folder.entries()[0] == {"kind": "failed", "cell": "a", "failure": {}}
