from collections.abc import Callable
from pathlib import Path

from worlds import Heard, World, boolq_folder

from harness.records.record import Record
from harness.records.store import Store
from harness.runs.execution.memory_budget import MemoryBudget, fits_board
from harness.runs.execution.run import execute, start
from harness.runs.planning.options import RunOptions
from harness.testing.world import InlineWorker, altered

MIB = 2**20


def test_one_more_fits_if_what_others_hold_and_what_it_may_take_is_in_four_fifths() -> None:
    """Others hold 700 MiB; 600 MiB and three copies of 100 MiB are 900 more: 1,600 MiB, 80 % of 2,000."""
    assert MemoryBudget(2000 * MIB).fits([300 * MIB, 400 * MIB], 100 * MIB)
    assert not MemoryBudget(1999 * MIB).fits([300 * MIB, 400 * MIB], 100 * MIB)


def test_each_instance_of_a_pool_is_reckoned_with_weights_of_its_own() -> None:
    """Twice 900 MiB are 80 % of 2,250."""
    assert MemoryBudget(2250 * MIB).fits([], 100 * MIB, instances=2)
    assert not MemoryBudget(2249 * MIB).fits([], 100 * MIB, instances=2)


def test_a_limit_that_nobody_tells_is_none() -> None:
    assert MemoryBudget(None).fits([2**50], 2**50)
    assert fits_board([2**50], None)


def test_a_board_holds_two_workers_of_2_gib_and_three_copies_of_100_mib_in_5870_mib() -> None:
    """Twice 2,348 MiB are 4,696, 80 % of 5,870."""
    assert fits_board([100 * MIB] * 2, 5870 * MIB)
    assert not fits_board([100 * MIB] * 2, 5869 * MIB)


def test_many_workers_stay_loaded_where_they_take_little(tmp_path: Path) -> None:
    """Three that hold 100 MiB each and the last to come: 900 MiB of 1,126, where 2,400 were reckoned."""
    world, launched = counting(tmp_path, lambda _pid: 100 * MIB, limit_bytes=1126 * MIB)
    records, heard = measured(world, launched)
    assert len(records) == len(launched) == 4
    assert not any(loaded_per_visit(record) for record in records)
    assert not [line for line in heard.warnings if line.startswith("memory")]


def test_where_the_last_does_not_fit_beside_those_that_are_loaded_none_stays(tmp_path: Path) -> None:
    """The third finds 1,100 MiB held by two: 1,700 of 1,600. All are loaded anew, and it is said once."""
    world, launched = counting(tmp_path, lambda _pid: 550 * MIB, limit_bytes=2000 * MIB)
    records, heard = measured(world, launched)
    assert {record.status for record in records} == {"complete"}
    assert all(loaded_per_visit(record) for record in records)
    assert len([line for line in heard.warnings if line.startswith("memory: not all systems fit")]) == 1
    assert all(worker.ended for worker in launched)


def counting(
    tmp_path: Path, held_bytes: Callable[[int], int], limit_bytes: int
) -> tuple[World, list[InlineWorker]]:
    """Return a world whose workers hold so much, and the list of those that it will launch to measure."""
    world = World(tmp_path)
    launched: list[InlineWorker] = []
    launch = world.machine.launch

    def kept(*arguments: object) -> InlineWorker:
        worker = launch(*arguments)  # type: ignore[arg-type]
        assert isinstance(worker, InlineWorker)
        launched.append(worker)
        return worker

    limited = {"held_bytes": held_bytes, "memory_limit_bytes": lambda: limit_bytes}
    world.machine = altered(world.machine, launch=kept, **limited)
    return world, launched


def measured(world: World, launched: list[InlineWorker]) -> tuple[list[Record], Heard]:
    heard = Heard()
    wanted = RunOptions("boolq", data=boolq_folder(world.root))
    run = start(wanted, world.catalog, Store(world.store), world.cache, world.machine, heard)
    launched.clear()  # those that prepared
    return execute(run), heard


def loaded_per_visit(record: Record) -> bool:
    return record.start is not None and record.start.loaded_per_visit
