"""Modelled energy: CPU time in other units, by hand-worked numbers."""

import json

from harness.measurement.energy.cpu.models.cpu_time_model import CpuTimeMeter, open_cpu_time
from harness.measurement.energy.meter import TimedWindow, read_window
from harness.measurement.timing.loop import WindowTiming, timed_window
from harness.testing import FakeClock, FakeMeter


def test_energy_is_cpu_time_times_watts() -> None:
    """Two CPUs busy for 1.5 s are 3 s of CPU time; at 4 W these are 12 J."""
    cpu, clock = FakeClock(), FakeClock()
    meter = CpuTimeMeter(4.0, "4 W, a table", cpu_time=cpu, clock=clock)
    mark = meter.start()
    clock.advance(1_500_000_000)
    cpu.advance(3_000_000_000)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.span_ns) == (12_000_000, 1_500_000_000)
    assert (reading.grade, reading.scope) == ("modelled", "process share")
    assert reading.source == "CPU time x 4 W, a table"


def test_modelled_energy_is_that_of_the_window_alone() -> None:
    """Reading clocks takes 5 ms on either side of a window of 100 ms, at one busy CPU of 4 W.

    The window's 100 ms of CPU time are 0.4 J; from edge to edge it would be 0.44 J, 10 % too much. What lies
    beside the window, 40 mJ, is the uncertainty, with 2 x 1 us x 4 W.
    """
    clock = FakeClock()
    meter = CpuTimeMeter(4.0, "4 W", cpu_time=clock, clock=clock)

    def work() -> WindowTiming:
        begin = clock()
        clock.advance(100_000_000)
        return WindowTiming(begin, clock(), [])

    def cpu_clock() -> int:
        clock.advance(next(before))
        now = clock()
        clock.advance(next(after))
        return now

    before, after = iter([5_000_000, 0]), iter([0, 5_000_000])
    visit = timed_window(work, cpu_clock=cpu_clock, meter=meter)
    (reading,) = visit.readings
    assert (visit.wall_ns, reading.span_ns) == (100_000_000, 100_000_000)
    assert (reading.microjoules, reading.resolution_uj) == (400_000, 40_008)


def test_a_counter_states_the_time_beside_its_window() -> None:
    """20 W for 110 ms are 2.2 J, of which 10 ms, 0.2 J, may lie beside the window of 100 ms."""
    clock = FakeClock()
    meter = FakeMeter(20.0, clock)
    mark = meter.start()
    clock.advance(110_000_000)
    (reading,) = read_window(meter, mark, TimedWindow(100_000_000, 0))
    assert (reading.microjoules, reading.span_ns, reading.resolution_uj) == (2_200_000, 110_000_000, 200_000)


def test_a_recording_of_another_run_is_not_scaled() -> None:
    """Its windows are its own: what is played back stays as it was read."""
    clock = FakeClock()
    meter = FakeMeter(20.0, clock, grade="modelled")
    mark = meter.start()
    clock.advance(110_000_000)
    assert read_window(meter, mark, TimedWindow(100_000_000, 0)) == meter.read(mark)


def test_the_resolution_is_a_microsecond_at_each_edge() -> None:
    """2 x 1 us x 4.375 W = 8.75 uJ: 9 rounded up."""
    meter = CpuTimeMeter(4.375, "280 W / 64", cpu_time=FakeClock(step_ns=1000), clock=FakeClock())
    (reading,) = meter.read(meter.start())
    assert reading.resolution_uj == 9


def test_cpu_time_that_went_back_is_unavailable() -> None:
    """A child that left the tree takes its CPU time along: no negative joules."""
    readings = iter([5_000_000_000, 4_000_000_000])
    meter = CpuTimeMeter(4.0, "4 W", cpu_time=lambda: next(readings), clock=FakeClock())
    (reading,) = meter.read(meter.start())
    assert (reading.grade, reading.microjoules) == ("unavailable", None)
    assert reading.reason == "the CPU time decreased, because a process left the process tree"


def test_the_worker_opens_it_with_the_watts_it_was_given() -> None:
    """The spec has watts and source, so that a worker need not find them."""
    meter = CpuTimeMeter(4.375, "280 W / 64 cores (AMD EPYC 7763, codecarbon's table)")
    again = open_cpu_time(json.loads(json.dumps(meter.spec())))
    assert again.describe() == meter.describe()
    assert again.describe()["watts_per_cpu"] == 4.375


def test_it_measures_this_process() -> None:
    """Real work uses CPU time, and its energy is that time's."""
    meter = CpuTimeMeter(10.0, "10 W")
    mark = meter.start()
    sum(range(2_000_000))
    (reading,) = meter.read(mark)
    assert reading.microjoules is not None
    assert reading.microjoules > 0
