import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.counter import Draw, Sensor
from simulation.machine import SimulatedMachine

from harness.measurement.energy.check import MeterCheck, check_meter, least_window_ns, widen_resolution
from harness.measurement.energy.cpu.models.cpu_time_model import CpuTimeMeter
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.nvml import NvmlMeter
from harness.measurement.energy.trial import power_of
from harness.records.reading import Reading
from harness.testing import FakeClock, FakeMeter

READ_NS = 100_000
ONE_BUSY_CPU = {"package-0": Draw(20.0, 10.0)}


def checked(
    folder: Path,
    sensor: Sensor | None = None,
    before: Callable[[SimulatedMachine], None] | None = None,
    read_ns: int = READ_NS,
) -> MeterCheck:
    """Check a RAPL meter on a machine with one busy CPU: 20 W + 10 W, read every 0.1 ms."""
    clock = FakeClock()
    machine = SimulatedMachine(
        folder, draws=ONE_BUSY_CPU, sensor=sensor, clock=clock, cpu_ns=lambda: clock.now_ns
    )
    meter = RaplMeter(machine.root, clock)
    if before:
        before(machine)

    def work() -> None:
        clock.advance(read_ns)
        machine.tick()

    return check_meter(meter, clock, work)


def test_the_least_windows_are_those_of_the_rule() -> None:
    """RAPL, 1 ms: 2 x 1 ms / 1 % = 0.2 s; NVML, 100 ms: 20 s; a quantum of 61 uJ counts at 0.01 W only.

    2 x 61 uJ / (0.01 W x 1 %) = 122 uJ / 0.1 mW = 1.22 s.
    """
    assert least_window_ns(1_000_000, 61, 50.0) == 200_000_000
    assert least_window_ns(100_000_000, 1000, 100.0) == 20_000_000_000
    assert least_window_ns(1_000_000, 61, 0.01) == 1_220_000_000


def test_a_counter_of_known_period_and_power_is_seen_as_it_is(tmp_path: Path) -> None:
    """Steps of 1 ms at 30 W are 30,000 uJ, all alike but for quanta of 61 uJ; a wrap is 262 kJ away."""
    check = checked(tmp_path)
    (zone,) = check.zones
    assert check.moved is True
    assert check.reason is None
    assert zone.steps == 25
    assert zone.update_ns == 1_000_000
    assert zone.watts == pytest.approx(30, rel=0.001)
    assert zone.quantum_uj is not None
    assert 59 <= zone.quantum_uj <= 63
    assert zone.wraps_after_s == pytest.approx(262_143 / 30, rel=0.001)
    # 2 updates of 1 ms at 30 W are 60,000 uJ; 1 % at 30 W needs 0.2 s
    assert zone.uncertainty_uj == pytest.approx(60_000, rel=0.001)
    assert check.least_window_ms == 200
    assert check.agreement is None
    assert check.agreement_reason == "the meter has no source of power to compare with"


def test_a_counter_slower_than_it_states_asks_for_longer_windows(tmp_path: Path) -> None:
    """RAPL states 1 ms; one that steps every 10 ms needs 2 x 10 ms / 1 % = 2 s."""
    check = checked(tmp_path, Sensor(update_ns=10_000_000))
    assert check.zones[0].update_ns == 10_000_000
    assert check.least_window_ms == 2000


def test_a_counter_faster_than_it_states_gains_nothing(tmp_path: Path) -> None:
    """The check never narrows the stated uncertainty."""
    check = checked(tmp_path, Sensor(update_ns=200_000))
    assert check.zones[0].update_ns == 200_000
    assert check.least_window_ms == 200


def test_a_coarse_quantum_is_seen(tmp_path: Path) -> None:
    """30 mJ a step in quanta of 20 mJ are steps of 20 and 40 mJ: 2 x 20 mJ / (30 W x 1 %) is 0.133 s."""
    check = checked(tmp_path, Sensor(quantum_uj=20_000))
    assert check.zones[0].quantum_uj == 20_000
    assert check.least_window_ms == 200


def test_a_counter_that_does_not_move_is_not_to_be_used(tmp_path: Path) -> None:
    """The meter was read for 1.5 s of its clock, and the reason states it."""
    check = checked(
        tmp_path, before=lambda machine: machine.break_down("package-0", "stuck"), read_ns=10 * READ_NS
    )
    assert check.moved is False
    assert check.reason == "package-0: the counter did not move in 1.5 s"
    assert check.span_ns == pytest.approx(1_500_000_000, abs=10 * READ_NS)


def test_a_counter_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """The zone disappeared between the choice of the meter and its check."""
    check = checked(
        tmp_path, before=lambda machine: machine.break_down("package-0", "gone"), read_ns=10 * READ_NS
    )
    assert check.moved is False
    assert check.reason == "package-0: the zone has disappeared"


def test_a_counter_that_steps_once_is_taken_for_as_slow_as_the_check_was_long(tmp_path: Path) -> None:
    """One step in 1.5 s: the next may be as far away, so 1 % needs 2 x 1.5 s / 1 % = 300 s."""
    check = checked(tmp_path, Sensor(update_ns=1_000_000_000), read_ns=10 * READ_NS)
    assert check.zones[0].steps == 1
    assert check.least_window_ms == pytest.approx(300_000, rel=0.001)


def test_what_is_modelled_is_not_tried() -> None:
    """It has no counter; there is no least window, and nothing is widened."""
    check = check_meter(CpuTimeMeter(4.0, "4 W", cpu_time=lambda: 0, clock=FakeClock()))
    assert check.moved is None
    assert check.reason == "a modelled meter has no counter"
    assert check.least_window_ms == 0


def test_a_meter_that_states_no_period_is_not_tried() -> None:
    """A fake reads no counter that steps."""
    assert (
        check_meter(FakeMeter(10.0, FakeClock())).reason == "the meter reads no counter with an update period"
    )


def test_a_clock_that_stands_still_ends_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of reads is limited as well as the time."""
    monkeypatch.setattr("harness.measurement.energy.check.MOST_READS", 50)
    machine = SimulatedMachine(tmp_path, draws=ONE_BUSY_CPU, clock=FakeClock(), cpu_ns=lambda: 0)
    assert check_meter(RaplMeter(machine.root, FakeClock()), FakeClock(), lambda: None).reads == 50


def test_a_board_agrees_with_its_own_power_sensor(tmp_path: Path) -> None:
    """Both show 150 W + 40 W: the sensor's power is 1.00 times the counter's."""
    clock = FakeClock(start_ns=1)
    board = Draw(150.0, 40.0)
    machine = SimulatedMachine(tmp_path, boards={0: board}, clock=clock, cpu_ns=lambda: clock.now_ns)
    clock.advance(100_000_000)
    machine.tick()
    meter = NvmlMeter(0, machine.nvml, clock)

    def work() -> None:
        clock.advance(2_000_000)
        machine.tick()

    check = check_meter(meter, clock, work, power_of(meter, machine.nvml))
    assert check.agreement == pytest.approx(1.0, abs=0.01)
    assert check.agreement_reason is None
    assert check.zones[0].update_ns == 100_000_000
    assert check.least_window_ms == 20_000


def reading(microjoules: int | None, resolution_uj: int = 10) -> Reading:
    grade = "unavailable" if microjoules is None else "measured"
    reason = "denied" if microjoules is None else None
    return Reading(
        "package-0", grade, "package", "RAPL", microjoules, 100_000_000, resolution_uj, reason=reason
    )


def facts(update_ns: int, quantum_uj: int) -> dict[str, object]:
    return {"zones": [{"zone": "package-0", "update_ns": update_ns, "quantum_uj": quantum_uj}]}


def test_a_reading_gets_the_larger_of_what_is_stated_and_what_was_seen() -> None:
    """3 J in 100 ms with updates of 10 ms: 2 x 3 J x 10 / 100 = 0.6 J; quanta of 1 J: 2 J."""
    assert widen_resolution(reading(3_000_000), facts(10_000_000, 61)).resolution_uj == 600_000
    assert widen_resolution(reading(3_000_000), facts(10_000_000, 1_000_000)).resolution_uj == 2_000_000
    assert widen_resolution(reading(3_000_000, 900_000), facts(10_000_000, 61)).resolution_uj == 900_000


def test_without_joules_or_a_check_a_reading_stays_as_it_is() -> None:
    """So do readings of zones that the check does not name."""
    for same in (
        widen_resolution(reading(3_000_000), None),
        widen_resolution(reading(3_000_000), MeterCheck("modelled", None, "no counter").facts()),
        widen_resolution(
            reading(3_000_000), {"zones": [{"zone": "dram", "update_ns": 10**9, "quantum_uj": 10**9}]}
        ),
    ):
        assert same == reading(3_000_000)
    assert widen_resolution(reading(None), facts(10_000_000, 61)) == reading(None)


@settings(max_examples=25, deadline=None)
@given(
    update_ns=st.integers(300_000, 8_000_000),
    quantum_uj=st.floats(1.0, 5_000.0),
    noise=st.sampled_from([0.0, 0.05]),
)
def test_what_the_check_sees_is_never_finer_than_the_counter(
    update_ns: int, quantum_uj: float, noise: float
) -> None:
    """The period is exact to one read; the quantum is an upper bound; the least window includes both.

    The meter is read every 0.1 ms, so each update is seen up to one read late.
    """
    with TemporaryDirectory() as folder:
        check = checked(Path(folder), Sensor(update_ns=update_ns, quantum_uj=quantum_uj, noise=noise))
    (zone,) = check.zones
    assert zone.update_ns is not None
    assert zone.quantum_uj is not None
    assert abs(zone.update_ns - update_ns) <= READ_NS
    assert zone.quantum_uj >= math.floor(quantum_uj) - 2
    assert check.least_window_ms >= 2 * (update_ns - READ_NS) / 0.01 / 1e6
    assert check.least_window_ms >= 200
