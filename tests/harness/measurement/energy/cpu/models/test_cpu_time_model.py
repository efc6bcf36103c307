"""Modelled energy: CPU time in other units, by hand-worked numbers."""

import json

from harness.measurement.energy.cpu.models.cpu_time_model import CpuTimeMeter, open_cpu_time
from harness.testing import FakeClock


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
