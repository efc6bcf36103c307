"""A run that is killed, or whose disk fills up, at any touch of a file loses at most one round."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from moments import DONE, KILLED, full_from, killed_at
from worlds import Heard, World, boolq_folder

from harness.analysis.verification import verify_run
from harness.analysis.verification.reading import read_sealed
from harness.common.errors import StoreError, UsageError
from harness.records.record import Record
from harness.records.store import RunFolder, Store
from harness.runs.execution.run import execute, resume, start
from harness.runs.planning.options import RunOptions
from harness.testing.world import altered

ROUNDS, VARIANTS = 2, ("pytorch-fixed", "onnx-int8")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: what the kernel was given outlives a killed process, if not a power cut."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


def a_world(root: Path) -> World:
    boolq_folder(root, rows=8)
    return World(root)


def run_in(world: World) -> list[Record]:
    data = world.root / "data"
    wanted = RunOptions("boolq", data=data, variants=VARIANTS, rounds=ROUNDS, sample=6)
    return execute(start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard()))


def told(world: World) -> int:
    """Run, and return the exit code that the command line would."""
    try:
        run_in(world)
    except StoreError as problem:
        return problem.exit_code
    return DONE


def rounds_in(folder: RunFolder) -> int:
    return sum(entry["kind"] == "round" for entry in folder.entries())


def assert_sound(folder: RunFolder) -> None:
    """All records are complete and agree with their samples; nothing else lies there."""
    sealed, unreadable = read_sealed(folder)
    assert not unreadable
    assert [len(one.record.rounds) for one in sealed] == [ROUNDS] * len(VARIANTS)
    assert {one.record.status for one in sealed} == {"complete"}
    checks = verify_run(folder.name, sealed, lambda _one: "not needed here")
    assert [check.wrong for check in checks if check.wrong] == []
    named = {one.file for one in sealed} | {one.record.samples.file for one in sealed if one.record.samples}
    assert {path.name for path in folder.path.iterdir() if path.name != ".finished"} == named


def assert_goes_on(world: World) -> None:
    """Resume if there is something to resume; measure only what is missing; end with sound records."""
    store = Store(world.store)
    try:
        (folder,) = store.unfinished()
    except UsageError:
        if not store.runs():
            # it was killed before it had begun; its name may be taken
            world.machine = altered(world.machine, suffix=lambda: "0002")
            run_in(world)
        assert_sound(store.run("latest"))
        return
    kept, measured = rounds_in(folder), []
    ready = resume(folder, world.cache, world.machine, Heard())
    appended = RunFolder.append

    def counting(self: RunFolder, entry: dict[str, object]) -> None:
        measured.append(entry["kind"])
        appended(self, entry)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "append", counting)
        execute(ready)
    assert kept + measured.count("round") == ROUNDS
    assert_sound(folder)
    with pytest.raises(UsageError, match="no unfinished run"):
        store.unfinished()


def every_moment(
    tmp_path: Path, harm: Callable[[int, Path, Callable[[], int]], int], below: str, step: int
) -> tuple[list[int], list[int]]:
    """Harm a run at each `step`-th moment until it ends unharmed; return how each ended, and rounds kept."""
    ends: list[int] = []
    kept: list[int] = []
    while not ends or ends[-1] != DONE:
        world = a_world(tmp_path / "world")
        moment = 1 + step * len(ends)
        ends.append(harm(moment, world.root / below, lambda world=world: told(world)))  # type: ignore[misc]
        kept += [rounds_in(folder) for folder in Store(world.store).runs() if folder.unfinished]
        assert_goes_on(world)
        shutil.rmtree(world.root)
    return ends, kept


def test_a_run_that_is_killed_at_any_touch_of_the_store_goes_on(tmp_path: Path) -> None:
    """Before the plan, in every round, between samples and record, while the journal is dropped.

    What is in the journal when it is killed only ever grows from moment to moment: no round is lost.
    """
    ends, kept = every_moment(tmp_path, killed_at, "results", 1)
    assert set(ends) == {KILLED, DONE}
    assert len(ends) > 30  # each of two cells alone is sealed in six steps
    assert kept == sorted(kept)
    assert set(kept) == {0, 1, 2}


def test_a_run_that_is_killed_while_it_prepares_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    """The next run makes what is missing of the artifacts."""
    ends, _ = every_moment(tmp_path, killed_at, "cache", 6)
    assert set(ends) == {KILLED, DONE}


def test_a_disk_that_is_full_from_any_write_on_ends_with_4_and_loses_nothing(tmp_path: Path) -> None:
    """Never a bug of ours, never a record that is half there; with room again, the run goes on."""
    ends, kept = every_moment(tmp_path, full_from, "results", 4)
    assert set(ends) == {4, DONE}
    assert len(ends) > 6
    assert kept == sorted(kept)
