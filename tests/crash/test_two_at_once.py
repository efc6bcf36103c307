"""Two processes on one store, one run or one cache: neither spoils what the other does."""

import errno
import os
from multiprocessing import get_context
from pathlib import Path

import pytest
from worlds import Heard, World, boolq_folder

from harness.common.errors import StoreError, UsageError
from harness.common.files import append_line
from harness.common.locks import hold
from harness.records.store import RunFolder, Store
from harness.runs.execution.run import Run, execute, resume, start
from harness.runs.planning.options import RunOptions
from harness.systems.artifact_cache import ArtifactCache
from harness.testing.world import altered

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def begun(world: World) -> Run:
    wanted = RunOptions("boolq", data=boolq_folder(world.root, 8), variants=("pytorch-fixed",), rounds=2)
    return start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())


def elsewhere(work: object, *words: object) -> object:
    """Do something in another process and return what came of it."""
    with get_context("fork").Pool(1) as pool:
        return pool.apply(work, words)  # type: ignore[arg-type]


def is_held(path: Path) -> bool:
    return hold(path) is None


def resumed(store: Path) -> str:
    try:
        Store(store).runs()[-1].taken()
    except UsageError as problem:
        return problem.message
    return "taken"


def unfinished(store: Path) -> str:
    try:
        return Store(store).unfinished()[-1].name
    except UsageError as problem:
        return problem.message


def test_a_run_that_is_being_measured_is_not_resumed_beside_it(tmp_path: Path) -> None:
    """Two of them would write every round twice; `--resume latest` does not even see it."""
    run = begun(World(tmp_path))
    store = tmp_path / "results"
    assert elsewhere(resumed, store) == "another process is measuring this run."
    assert (
        elsewhere(unfinished, store)
        == f"no unfinished run in the store but {run.folder.name}, which is being measured now."
    )
    assert run.folder.held is not None
    run.folder.held.release()
    assert elsewhere(resumed, store) == "taken"
    assert elsewhere(unfinished, store) == run.folder.name


def test_a_hold_goes_with_the_process_that_had_it(tmp_path: Path) -> None:
    """So no crash leaves one behind."""
    file = tmp_path / "lock"
    first = hold(file)
    assert first is not None
    assert elsewhere(is_held, file) is True
    del first
    assert elsewhere(is_held, file) is False


def test_a_hold_on_what_is_gone_is_refused(tmp_path: Path) -> None:
    """Whoever had the run before has finished it."""
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "gone" / "lock")
    run = begun(World(tmp_path))
    execute(run)
    with pytest.raises(UsageError, match="nothing to resume"):
        run.folder.taken()


def test_two_runs_of_one_second_get_names_of_their_own(tmp_path: Path) -> None:
    """Even if both drew the same suffix first."""
    world = World(tmp_path)
    drawn = iter(["0001", "0001", "0002"])
    world.machine = altered(world.machine, suffix=lambda: next(drawn))
    first, second = begun(world), begun(world)
    assert first.folder.name != second.folder.name
    assert {one.run for run in (first, second) for one in execute(run)} == {first.plan.run, second.plan.run}


def made(root: Path, turn: int) -> str:
    """Make one artifact, slowly enough that others make the same one meanwhile."""
    cache = ArtifactCache(root)
    found = cache.find("key")
    if found is None:
        with cache.writing("key") as folder:
            (folder / "manifest.json").write_text(f'{{"recipe": "by {turn % 1}"}}')
            for part in range(20):
                (folder / f"{part}").write_bytes(bytes([part]) * 10_000)
        found = cache.find("key")
    assert found is not None
    return ",".join(sorted(path.name for path in found.folder.iterdir()))


def test_several_processes_that_prepare_one_artifact_all_find_it_whole(tmp_path: Path) -> None:
    """One is kept; nothing half made is left."""
    with get_context("fork").Pool(4) as pool:
        found = pool.starmap(made, [(tmp_path, turn) for turn in range(12)])
    assert len(set(found)) == 1
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["key"]


def test_a_line_that_does_not_fit_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it is written before the disk is full; what follows must not be glued to that half."""
    file = tmp_path / "rounds.jsonl"
    append_line(file, '{"a": 1}')
    write = os.write

    def half(handle: int, payload: bytes) -> int:
        monkeypatch.setattr(os, "write", full)
        return write(handle, payload[: len(payload) // 2])

    def full(_handle: int, _payload: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        append_line(file, '{"b": 2}')
    monkeypatch.setattr(os, "write", write)
    append_line(file, '{"c": 3}')
    assert file.read_text() == '{"a": 1}\n{"c": 3}\n'


def test_a_broken_line_in_the_middle_is_named_not_a_bug(tmp_path: Path) -> None:
    """The disk's fault or somebody's editor; the rest of the journal can be kept."""
    run = begun(World(tmp_path))
    journal = run.folder.path / "journal" / "rounds.jsonl"
    journal.write_text('{"kind": "memory", "cell": "a"}\n{"kind": "mem\n')
    with pytest.raises(StoreError, match="line 2 of the journal cannot be read"):
        run.folder.entries()


def test_a_store_that_turns_read_only_in_the_middle_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure of a cell; what was measured stays, and the run goes on later."""
    world = World(tmp_path)
    run = begun(world)
    append, left = RunFolder.append, [4]

    def refusing(self: RunFolder, entry: dict[str, object]) -> None:
        left[0] -= 1
        if left[0] < 0:
            monkeypatch.setattr("harness.records.store.folders.append_line", read_only)
        append(self, entry)

    def read_only(_path: Path, _line: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", refusing)
        with pytest.raises(StoreError, match="Read-only file system") as caught:
            execute(run)
    assert caught.value.exit_code == 4
    assert f"continue with `bench run --resume {run.folder.name}`" in str(caught.value)
    monkeypatch.setattr("harness.records.store.folders.append_line", append_line)
    (record,) = execute(resume(run.folder, world.cache, world.machine, Heard()))
    assert (record.status, record.failure) == ("complete", None)
