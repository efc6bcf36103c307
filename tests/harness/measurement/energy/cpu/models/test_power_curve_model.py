"""Energy by a power curve: window and CPU time, by hand-worked numbers."""

import json

from harness.measurement.energy.cpu.models.power_curve_model import PowerCurveMeter
from harness.measurement.energy.cpu.models.power_curves import MachinePower, PowerCurve
from harness.measurement.energy.meter import meter_spec
from harness.measurement.energy.selection import open_meter
from harness.testing import FakeClock

SECOND = 1_000_000_000
POINTS = ((0.0, 1.0), (0.5, 4.0), (1.0, 6.0))
CURVE = PowerCurve(POINTS, ((0.0, 0.5), (1.0, 3.0)), ((0.0, 2.0), (1.0, 9.0)))
MACHINE = MachinePower("x.large", 2, CURVE, "a laboratory, 2026-01-01")


def energy_of(cpu_s: float, seconds: float = 2.0) -> int | None:
    """Return microjoules of a window with so much CPU time."""
    cpu, clock = FakeClock(), FakeClock()
    meter = PowerCurveMeter(MACHINE, cpu_time=cpu, clock=clock)
    mark = meter.start()
    clock.advance(round(seconds * SECOND))
    cpu.advance(round(cpu_s * SECOND))
    (reading,) = meter.read(mark)
    return reading.microjoules


def test_a_busy_machine_draws_full_power() -> None:
    """Two CPUs busy for 2 s: 2 x 6 W x 2 s."""
    assert energy_of(cpu_s=4.0) == 24_000_000


def test_half_load_is_read_from_the_curve() -> None:
    """One of two CPUs busy for 2 s is a load of 0.5: 2 x 4 W x 2 s, not half of full power."""
    assert energy_of(cpu_s=2.0) == 16_000_000


def test_waiting_is_not_free() -> None:
    """2 x 1 W x 2 s: what the model of CPU time leaves out."""
    assert energy_of(cpu_s=0.0) == 4_000_000


def test_it_is_modelled_and_names_machine_and_source() -> None:
    """The part of the server that the machine is; never measured."""
    meter = PowerCurveMeter(MACHINE, cpu_time=FakeClock(), clock=FakeClock(step_ns=1000))
    (reading,) = meter.read(meter.start())
    assert (reading.grade, reading.scope) == ("modelled", "machine share")
    assert reading.source == "power curve of 2 vCPUs of x.large (a laboratory, 2026-01-01)"
    assert meter.describe()["highest_watts"] == {"0 %": 2.0, "100 %": 9.0}


def test_the_resolution_is_a_microsecond_of_a_busy_cpu_at_each_edge() -> None:
    """2 x 1 us x 6 W."""
    meter = PowerCurveMeter(MACHINE, cpu_time=FakeClock(), clock=FakeClock())
    (reading,) = meter.read(meter.start())
    assert reading.resolution_uj == 12


def test_cpu_time_that_went_back_is_unavailable() -> None:
    """A child that left the tree takes its CPU time along."""
    readings = iter([5 * SECOND, 4 * SECOND])
    meter = PowerCurveMeter(MACHINE, cpu_time=lambda: next(readings), clock=FakeClock())
    (reading,) = meter.read(meter.start())
    assert (reading.microjoules, reading.grade) == (None, "unavailable")


def test_the_worker_opens_it_with_the_curve_it_was_given() -> None:
    """The spec holds the curve: a worker reads no file."""
    meter = PowerCurveMeter(MACHINE)
    again = open_meter(json.loads(json.dumps(meter_spec(meter))))
    assert again.describe() == meter.describe()
