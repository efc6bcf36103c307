import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.counter import Draw, Fault, Sensor, SimulatedCounter
from simulation.cpu import TreeClock
from simulation.machine import SimulatedMachine
from simulation.recovery import Window, mixed, recover, rendered, row, window

from harness.common.procfs import children
from harness.measurement.energy.check import check_meter
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.nvml import NvmlMeter
from harness.records.reading import sum_readings
from harness.testing import FakeClock


class FakeTimeMachine:
    """A machine on a fake clock; its CPU time is all the time of one CPU."""

    def __init__(self, folder: Path, sensor: Sensor | None = None) -> None:
        self.clock = FakeClock()
        self.machine = SimulatedMachine(
            folder,
            sensor=sensor,
            boards={0: Draw(150.0, 40.0)},
            clock=self.clock,
            cpu_ns=lambda: self.clock.now_ns,
        )
        self.meter = RaplMeter(self.machine.root, self.clock)

    def run(self, milliseconds: int) -> None:
        """Let time pass, with an update each millisecond."""
        for _ in range(milliseconds):
            self.clock.advance(1_000_000)
            self.machine.tick()

    def after(self, milliseconds: int) -> tuple[int | None, str | None]:
        """Return the joules that a meter reads in a window of this length, or the reason."""
        mark = self.meter.start()
        self.run(milliseconds)
        total = sum_readings(self.meter.read(mark))
        assert total is not None
        return total.microjoules, total.reason


def test_package_and_memory_come_back_and_core_is_inside(tmp_path: Path) -> None:
    """20 + 8 W of the package and 3 + 2 W of its memory are 33 W: 3.3 J in 100 ms, to two quanta of 61 uJ."""
    still = FakeTimeMachine(tmp_path)
    joules, _ = still.after(100)
    assert still.machine.exact_uj() == pytest.approx(3_300_000)
    assert joules == pytest.approx(3_300_000, abs=2 * 62)


def test_a_counter_wraps_at_its_range(tmp_path: Path) -> None:
    """Ten joules of range, begun at 9.9 J: the package passes its end within the window of 0.1 s."""
    still = FakeTimeMachine(tmp_path, Sensor(range_uj=10_000_000, start_uj=9_900_000))
    still.meter = RaplMeter(still.machine.root, still.clock, ceiling_watts=50)
    joules, reason = still.after(100)
    assert reason is None
    assert joules == pytest.approx(3_300_000, abs=2 * 62)


def test_a_window_within_one_update_has_no_energy(tmp_path: Path) -> None:
    """The counter was not updated, which does not measure zero."""
    still = FakeTimeMachine(tmp_path, Sensor(update_ns=50_000_000))
    still.run(50)
    joules, reason = still.after(1)
    assert joules is None
    assert reason is not None
    assert "shorter than two update periods of the counter" in reason


@pytest.mark.parametrize(
    ("fault", "because"),
    [
        ("denied", "package-0: permission denied on energy_uj"),
        ("stuck", "package-0: the counter did not move in 0.1 s"),
        ("gone", "package-0: the zone has disappeared"),
        ("backwards", "package-0: the counter decreased by 2.79998 J in 0.1 s, which is not a wrap-around"),
    ],
)
def test_a_fault_in_a_window_leaves_it_without_joules(tmp_path: Path, fault: Fault, because: str) -> None:
    """The reading has the reason; the fault affects root as well."""
    still = FakeTimeMachine(tmp_path)
    still.run(200)
    still.machine.break_down("package-0", fault)
    joules, reason = still.after(100)
    assert joules is None
    assert reason is not None
    assert reason.startswith(because)


def test_a_board_counts_as_nvml_does(tmp_path: Path) -> None:
    """190 W for 1 s are 190 J, in steps of 100 ms; a lost board has a reason."""
    still = FakeTimeMachine(tmp_path)
    still.run(100)
    meter = NvmlMeter(0, still.machine.nvml, still.clock)
    mark = meter.start()
    still.run(1000)
    (reading,) = meter.read(mark)
    assert reading.microjoules == 190_000_000
    assert still.machine.nvml.nvmlDeviceGetPowerUsage(still.machine.nvml.boards[0]) == 190_000
    still.machine.break_down("gpu-0", "gone")
    (lost,) = meter.read(mark)
    assert lost.reason == "NVML reports: GPU is lost"


def test_late_updates_are_owned_up_to(tmp_path: Path) -> None:
    """A simulation that is late does not update the counter as its sensor states."""
    still = FakeTimeMachine(tmp_path)
    still.run(10)
    assert still.machine.kept_up()
    still.clock.advance(5_000_000)
    still.machine.tick()
    assert not still.machine.kept_up()
    assert still.machine.kept_up()


@given(
    steps=st.lists(st.integers(1, 50_000_000), min_size=1, max_size=30),
    noise=st.sampled_from([0.0, 0.2]),
    quantum_uj=st.floats(1.0, 10_000.0),
)
def test_what_a_counter_shows_never_passes_what_it_counted(
    steps: list[int], noise: float, quantum_uj: float
) -> None:
    """Without noise it is less than one quantum behind; with noise it still never falls, but at its range."""
    counter = SimulatedCounter("x", Draw(1.0, 0.0), Sensor(1_000_000, quantum_uj, 2**62, noise, seed=3), 0)
    now = exact = shown = 0
    for step in steps:
        now, exact = now + 1_000_000, exact + step
        counter.update(now, exact)
        assert counter.shown_uj >= shown
        shown = counter.shown_uj
    if not noise:
        assert -1 <= exact - shown <= quantum_uj + 1


def test_cpu_time_of_processes_below_is_seen() -> None:
    """A child that works for 0.15 s of CPU time adds at least that, whatever else the tree did."""
    clock = TreeClock()
    begin = clock()
    program = "import time\nwhile time.process_time() < 0.15: pass\nprint('done', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"done"
        assert child.pid in children(os.getpid())
        time.sleep(0.11)
        assert clock() - begin >= 150_000_000
        child.communicate(b"\n")


def test_time_that_is_left_out_is_not_counted() -> None:
    """The updating thread subtracts its own."""
    left_out = 0
    clock = TreeClock(left_out=lambda: left_out)
    before = clock()
    left_out = 10**12
    assert clock() - before < -(10**11)


@settings(max_examples=30)
@given(exact_uj=st.integers(1, 10**9), error=st.floats(-0.5, 0.5), stated=st.floats(0.0, 1.0))
def test_a_window_is_inside_if_its_error_is_within_what_is_stated(
    exact_uj: int, error: float, stated: float
) -> None:
    """In whole microjoules, as readings are: sums of them are exact."""
    window = Window(exact_uj, exact_uj, round(exact_uj * (1 + error)), round(exact_uj * stated))
    off = abs(window.read_uj - exact_uj)
    assert window.inside == (off <= window.stated_uj)


def test_a_pause_at_an_edge_is_no_error_of_the_meter() -> None:
    """Between 1.0 and 1.2 J were used, as the process was paused; 1.25 J are 0.05 J too many."""
    assert Window(1_000_000, 1_200_000, 1_250_000, 50_000).inside
    assert not Window(1_000_000, 1_200_000, 1_250_001, 50_000).inside
    assert not Window(1_000_000, 1_200_000, 949_999, 50_000).inside
    assert Window(1_000_000, 1_200_000, 1_250_000, 50_000).exact_uj == 1_100_000


def test_a_row_adds_windows_up() -> None:
    """1 + 3 J were used, 1.1 + 2.7 J read: errors of 10 % each; 0.2 J cover the first alone."""
    summary = row(
        "rapl",
        50,
        [Window(1e6, 1e6, 1_100_000, 200_000), Window(3e6, 3e6, 2_700_000, 200_000)],
        late=1,
    )
    assert summary.known_joules == 4.0
    assert summary.read_joules == 3.8
    assert summary.worst_error == pytest.approx(0.1)
    assert summary.stated == pytest.approx(0.2)
    assert summary.inside == 0.5
    assert "50 %  (1 late)" in rendered([], [summary])


def test_known_joules_come_back_in_real_time(tmp_path: Path) -> None:
    """A meter that reads real files, updated by a thread every 10 ms, while this process works and rests.

    A window in which the machine was too busy for the thread to keep up is measured again.
    """
    machine = SimulatedMachine(tmp_path, sensor=Sensor(update_ns=10_000_000))
    meter, dice, inside = RaplMeter(machine.root), random.Random(0), []
    with machine.running():
        checked = check_meter(meter)
        while len(inside) < 4:
            machine.kept_up()
            measured = window(meter, checked, machine.exact_uj, lambda: mixed(150_000_000, dice))
            if machine.kept_up():
                inside.append(measured.inside)
    assert checked.zones[0].update_ns is not None
    assert checked.zones[0].update_ns >= 5_000_000
    assert all(inside)


def test_the_figure_joules_recovered_is_made_by_one_command() -> None:
    """Checks and rows are returned for the requested lengths; windows that were left out are counted."""
    checks, rows = recover(2, {"rapl": (20,)})
    assert [check.meter for check in checks] == ["rapl"]
    assert rows[0].windows + rows[0].late == 2
