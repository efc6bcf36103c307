from dataclasses import replace
from pathlib import Path

from worlds import Heard, World, boolq_folder

from harness.store import Store
from harness.sweep.crew import fits
from harness.sweep.options import RunOptions
from harness.sweep.run import execute, start
from harness.testing.world import InlineWorker


def test_a_group_fits_if_every_worker_and_its_weights_do() -> None:
    """Two workers of 600 MiB with three copies of 100 MiB each need 1,800 MiB, 80 % of 2,250 MiB."""
    mebibyte = 2**20
    assert fits([100 * mebibyte] * 2, 2250 * mebibyte)
    assert not fits([100 * mebibyte] * 2, 2249 * mebibyte)


def test_where_memory_is_short_workers_are_loaded_for_each_visit(tmp_path: Path) -> None:
    """At most one is alive at a time, the measurements are the same, and the record says so."""
    world = World(tmp_path)
    alive: list[int] = []
    launched: list[InlineWorker] = []
    launch = world.machine.launch

    def counted(cpus: object, threads: int) -> InlineWorker:
        worker = launch(cpus, threads)  # type: ignore[arg-type]
        assert isinstance(worker, InlineWorker)
        launched.append(worker)
        alive.append(sum(not each.ended for each in launched))
        return worker

    world.machine = replace(world.machine, launch=counted, memory_limit_bytes=lambda: 2**20)
    wanted = RunOptions("boolq", data=boolq_folder(tmp_path))
    run = start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())
    records = execute(run)
    assert max(alive) == 1
    assert {record.status for record in records} == {"complete"}
    assert all(record.start is not None and record.start.loaded_per_visit for record in records)
    assert all(worker.ended for worker in launched)


def test_all_workers_are_ended_when_a_run_is_over(tmp_path: Path) -> None:
    """And they are stopped but for their own turn."""
    world = World(tmp_path)
    launched: list[InlineWorker] = []
    launch = world.machine.launch

    def kept(cpus: object, threads: int) -> InlineWorker:
        assert all(worker.stopped or worker.ended for worker in launched)
        worker = launch(cpus, threads)  # type: ignore[arg-type]
        assert isinstance(worker, InlineWorker)
        launched.append(worker)
        return worker

    world.machine = replace(world.machine, launch=kept)
    wanted = RunOptions("boolq", data=boolq_folder(tmp_path))
    records = execute(start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard()))
    assert all(record.start is not None and not record.start.loaded_per_visit for record in records)
    assert all(worker.ended for worker in launched)
