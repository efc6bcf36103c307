"""What stands beside a run: who else worked, idle power, conditions, what the harness used itself."""

from pathlib import Path
from typing import Any

import pytest
from worlds import Heard, World, boolq_folder

from harness.analysis.diagnostics import warnings_of
from harness.analysis.energy.idle_power import IdlePower, idle_power
from harness.measurement.machine.interference import ProcessUsage
from harness.records.record import MachineSnapshot, Record
from harness.records.store import Store
from harness.runs.execution.run import execute, start
from harness.runs.planning.options import RunOptions
from harness.testing.interference import FakeUsageSampler
from harness.testing.world import altered


def measured(world: World, **options: Any) -> list[Record]:
    wanted = RunOptions("boolq", data=boolq_folder(world.root), **{"rounds": 7, **options})
    return execute(start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard()))


def test_foreign_load_is_recorded_round_by_round_and_warned_of(tmp_path: Path) -> None:
    """Others keep each CPU busy for 20 % of the time: so much is seen in every round, and said."""
    world = World(tmp_path)
    world.machine = altered(
        world.machine, usage_sampler=FakeUsageSampler(world.clock, foreign=0.2, steal=0.02)
    )
    for record in measured(world):
        shares = [turn.foreign_cpu_ns / (2 * turn.watched_ns) for turn in record.rounds]  # type: ignore[operator]
        assert [round(share, 3) for share in shares] == [0.2] * 7
        assert {"foreign-load", "steal"} <= {warning.code for warning in warnings_of(record)}


def test_a_quiet_machine_gives_no_reason_to_warning_it(tmp_path: Path) -> None:
    """Our own workers and our parent are not foreign."""
    world = World(tmp_path)
    world.machine = altered(world.machine, usage_sampler=FakeUsageSampler(world.clock, parent=0.3))
    for record in measured(world):
        assert [turn.foreign_cpu_ns for turn in record.rounds] == [0] * 7
        assert all(turn.parent_cpu_ns for turn in record.rounds)
        assert "foreign-load" not in {warning.code for warning in warnings_of(record)}


class Answering:
    """CPUs that answer in 75 ns, then in 345, and so on, until they are ended."""

    def __init__(self) -> None:
        self.asked = 0
        self.ended = False

    def measure(self) -> int:
        self.asked += 1
        return 75 if self.asked % 8 < 4 else 345

    def close(self) -> None:
        self.ended = True


def test_cpus_are_asked_before_each_visit_how_fast_they_answer_each_other(tmp_path: Path) -> None:
    """Seven rounds of four systems are 28 questions, and the answers stand in the rounds."""
    world, answering = World(tmp_path), Answering()
    world.machine = altered(world.machine, core_latency_probe=lambda _cpus: answering)
    records = measured(world)
    assert (answering.asked, answering.ended) == (7 * len(records), True)
    assert {turn.exchange_ns for record in records for turn in record.rounds} == {75, 345}


def test_looking_happens_outside_the_window(tmp_path: Path) -> None:
    """What is watched holds the window and its warm-up, and the window is as long as it was before."""
    for record in measured(World(tmp_path)):
        assert all((turn.watched_ns or 0) > turn.wall_ns for turn in record.rounds)


def test_idle_is_measured_before_and_after_with_all_workers_stopped(tmp_path: Path) -> None:
    """The fake machine draws 10 W whatever it does, so idle is 10 W, and stays so."""
    for record in measured(World(tmp_path)):
        power = idle_power(record.idle)
        assert isinstance(power, IdlePower)
        # looking at the clock takes 10 ns of 2 s
        assert (power.before, power.after) == (pytest.approx(10), pytest.approx(10))


def test_without_a_meter_idle_is_unavailable_and_says_why(tmp_path: Path) -> None:
    """No number is made up."""
    (record, *_) = measured(World(tmp_path, watts=None))
    assert record.idle is not None
    assert (record.idle.before, record.idle.unavailable) == ((), "no meter was read")


def test_workers_that_are_loaded_per_visit_have_no_idle_state(tmp_path: Path) -> None:
    """There is no moment in which all are loaded."""
    world = World(tmp_path)
    world.machine = altered(world.machine, memory_limit_bytes=lambda: 2**20)
    (record, *_) = measured(world)
    assert record.idle is not None
    assert str(record.idle.unavailable).startswith("workers are loaded for each visit")


def test_what_moved_and_what_the_harness_used_is_in_the_record(tmp_path: Path) -> None:
    """The moments are those before the first and after the last worker; the parent used 3 s of 100 s."""
    world = World(tmp_path)
    moments = iter([MachineSnapshot(temperature_mc=40_000), MachineSnapshot(temperature_mc=80_000)])
    used = iter([ProcessUsage(0, 10**9, 0, 0), ProcessUsage(100 * 10**9, 4 * 10**9, 90 * 10**9, 2)])
    world.machine = altered(
        world.machine,
        snapshot=lambda _cpus: next(moments),
        process_usage=lambda: next(used),
        cpu_time_by_process=iter([{7: ("stress", 1.0)}, {7: ("stress", 51.0)}]).__next__,
        ray_cpu_time=iter([{8: ("raylet", 5.0)}, {8: ("raylet", 6.0), 9: ("ray::IDLE", 0.5)}]).__next__,
    )
    for record in measured(world):
        assert record.conditions is not None
        assert record.observer is not None
        assert record.conditions.busiest == "stress, 0.50 CPUs"
        assert (record.observer.parent_cpu_ns, record.observer.sweep_wall_ns) == (3 * 10**9, 100 * 10**9)
        assert (record.observer.workers_cpu_ns, record.observer.pollers) == (90 * 10**9, 2)
        assert record.observer.ray_cpu_ns == 1_500_000_000
        assert record.observer.ray_processes == ("ray::IDLE", "raylet")
        assert {"conditions-changed", "observer-cost"} <= {warning.code for warning in warnings_of(record)}
