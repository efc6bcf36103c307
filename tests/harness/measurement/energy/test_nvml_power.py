"""Power of boards, polled and integrated, through a stand-in for pynvml."""

import threading
from functools import partialmethod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvml import FakeBoard, FakeNvml

from harness.measurement.energy.counters.integration import at, integrate
from harness.measurement.energy.nvml_power import (
    BROKEN,
    NO_POWER,
    NvmlPowerMeter,
    PowerSample,
    open_nvml_power,
    reading,
)
from harness.records.reading import Zone
from harness.testing import FakeClock

MS, SECOND = 1_000_000, 1_000_000_000
ZONE = Zone("gpu-0", "board")


def samples(*watts: float | None, every_ns: int = 100 * MS) -> list[PowerSample]:
    """Return samples at a steady rate."""
    return [
        PowerSample(
            at * every_ns, None if value is None else value * 1e6, None if value else "NVML reports: no"
        )
        for at, value in enumerate(watts)
    ]


def test_a_steady_power_is_watts_times_time() -> None:
    """100 W for 1 s are 100 J; edges: 2 x 0.1 s x 100 W = 20 J; a step of 1 mW for 1 s: 1 mJ."""
    energy = reading(ZONE, samples(*[100.0] * 11), 0)
    assert (energy.microjoules, energy.resolution_uj, energy.samples) == (100_000_000, 20_001_000, 11)
    assert (energy.grade, energy.scope) == ("measured", "board")


def test_a_ramp_is_integrated_by_trapezoids() -> None:
    """From 0 to 100 W in 1 s, in ten steps: a triangle of 50 J."""
    assert integrate([(tenth * 100 * MS, tenth * 10e6) for tenth in range(11)]).microjoules == 50_000_000


def test_a_sensor_that_averages_over_a_second_needs_longer_windows() -> None:
    """Since Ampere one sample is the mean of a second: 2 x (0.1 + 1) s at least; edges: 2.2 s x 100 W."""
    short = reading(ZONE, samples(*[100.0] * 11), SECOND)
    assert short.reason == "the sensor needs windows of 2.2 s or more"
    long = reading(ZONE, samples(*[100.0] * 101), SECOND)
    assert (long.microjoules, long.resolution_uj) == (1_000_000_000, 220_010_000)


def test_a_look_that_failed_is_bridged_and_a_hole_is_not() -> None:
    """A single missing sample is interpolated over 0.2 s; 0.5 s without samples is too long a gap."""
    bridged = reading(ZONE, samples(100, 100, None, 100, 100, 100), 0)
    assert (bridged.microjoules, bridged.samples) == (50_000_000, 5)
    hole = reading(ZONE, samples(100, 100, None, None, None, None, None, 100), 0)
    assert hole.reason == "the power was not sampled for 0.6 s"


def test_a_failed_edge_is_unavailable() -> None:
    """Without a sample at an edge, the power there is unknown."""
    assert reading(ZONE, samples(None, 100, 100), 0).reason == "NVML reports: no"
    assert reading(ZONE, samples(100, 100, None), 0).reason == "NVML reports: no"


def test_a_restless_sensor_widens_the_resolution() -> None:
    """Ten stretches between 50 and 150 W: each errs by up to 50 W x 0.1 s = 5 J; 5 x sqrt(10) = 15.8 J."""
    steady, restless = samples(*[100.0] * 11), samples(*[50.0, 150.0] * 5, 50.0)
    wider = reading(ZONE, restless, 0).resolution_uj - reading(ZONE, steady, 0).resolution_uj
    assert wider == pytest.approx(15_811_389, abs=2)


def test_the_meter_polls_while_the_window_is_open_and_says_what_that_cost() -> None:
    """A thread samples; its CPU time is in the reading."""
    nvml, polled = FakeNvml(FakeBoard(architecture=6)), threading.Event()

    class Clock(FakeClock):
        def __call__(self) -> int:
            self.advance(100 * MS)
            if self.now_ns > 800 * MS:
                polled.set()
            return self.now_ns

    meter = NvmlPowerMeter(0, nvml, Clock(), every_s=0.001)
    mark = meter.start()
    assert polled.wait(10)
    (energy,) = meter.read(mark)
    assert energy.microjoules == pytest.approx(100 * energy.span_ns / 1000)
    assert energy.samples > 2
    assert energy.observer_ns > 0


def test_several_boards_are_a_zone_each() -> None:
    """100 W and 50 W for 1 s."""
    clock = FakeClock()
    nvml = FakeNvml(FakeBoard("GPU-a", architecture=6), FakeBoard("GPU-b", architecture=6, milliwatts=50_000))
    meter = NvmlPowerMeter(None, nvml, clock, every_s=None)
    mark = meter.start()
    for _ in range(9):
        clock.advance(100 * MS)
        mark.sample()
    clock.advance(100 * MS)
    assert [reading.microjoules for reading in meter.read(mark)] == [100_000_000, 50_000_000]


@pytest.mark.parametrize(
    ("board", "reason"),
    [
        (FakeBoard(broken={"nvmlDeviceGetPowerUsage"}), "gpu-0: NVML reports: Not Supported"),
        (FakeBoard(milliwatts=0), "gpu-0: the sensor reads 0 W, which is not possible"),
    ],
)
def test_a_board_without_power_is_an_obstacle(board: FakeBoard, reason: str) -> None:
    """Neither an error nor a zero is a power."""
    meter = NvmlPowerMeter(0, FakeNvml(board), FakeClock())
    assert meter.obstacle() == (reason, NO_POWER)
    (energy,) = meter.read(meter.start())
    assert energy.grade == "unavailable"


NOT_A_NUMBER_MW = 0xFFFFFFFF
"""What a driver returns for a power that it does not have."""


@pytest.mark.parametrize(
    ("limits", "ceiling"),
    [
        ({}, 1400),  # the enforced limit of the stand-in is 700 W
        ({"nvmlDeviceGetEnforcedPowerLimit": lambda *_: 300_000}, 600),
        ({"nvmlDeviceGetPowerManagementLimitConstraints": lambda *_: [100_000, 900_000]}, 1800),
        ({"nvmlDeviceGetEnforcedPowerLimit": lambda *_: NOT_A_NUMBER_MW}, 3000),
        ({"nvmlDeviceGetEnforcedPowerLimit": lambda *_: 0}, 3000),
    ],
)
def test_a_power_beyond_what_the_board_can_draw_is_no_power(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, Any], ceiling: int
) -> None:
    """0xFFFFFFFF mW for 20 s would be 85.9 MJ. The ceiling is twice the board's limit, or else 3 kW."""
    for name, limit in limits.items():
        monkeypatch.setattr(FakeNvml, name, partialmethod(limit), raising=False)
    meter = NvmlPowerMeter(0, FakeNvml(FakeBoard(milliwatts=NOT_A_NUMBER_MW, architecture=6)), FakeClock())
    reason = f"the sensor reads 4,294,967 W, and the board draws {ceiling:,} W at most"
    assert meter.obstacle() == (f"gpu-0: {reason}", BROKEN)
    assert meter.read(meter.start())[0].reason == reason
    below = NvmlPowerMeter(0, FakeNvml(FakeBoard(milliwatts=1000 * ceiling, architecture=6)), FakeClock())
    assert below.obstacle() is None


def test_one_implausible_sample_makes_its_window_unavailable() -> None:
    """100 W, once 4.3 MW, 100 W: neither 85 MJ nor a bridge over what the sensor made up."""
    board, clock = FakeBoard(architecture=6), FakeClock()
    meter = NvmlPowerMeter(0, FakeNvml(board), clock, every_s=None)
    mark = meter.start()
    for milliwatts in (100_000, NOT_A_NUMBER_MW, 100_000, 100_000):
        clock.advance(100 * MS)
        board.milliwatts = milliwatts
        mark.sample()
    (energy,) = meter.read(mark)
    assert energy.microjoules is None
    assert str(energy.reason).startswith("the sensor reads 4,294,967 W")


@pytest.mark.parametrize(
    ("model", "architecture", "expected"),
    [
        ("NVIDIA A100-SXM4-40GB", 7, 0),
        ("NVIDIA A10", 7, SECOND),
        ("Tesla P40", 4, 0),
        ("NVIDIA H100", 9, SECOND),
    ],
)
def test_what_one_look_averages_follows_from_the_generation(
    model: str, architecture: int, expected: int
) -> None:
    """A second since Ampere, except GA100, as NVML's documentation has it."""
    meter = NvmlPowerMeter(0, FakeNvml(FakeBoard(model=model, architecture=architecture)), FakeClock())
    assert meter.describe()["boards"][0]["sensor_averages_ns"] == expected


def test_it_opens_again_from_its_spec() -> None:
    """Without a driver the obstacle has the reason."""
    meter = open_nvml_power({"meter": "nvml-power", "boards": [0]})
    (energy,) = meter.read(meter.start())
    assert meter.obstacle() is None or energy.grade == "unavailable"


@given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 1e9)), min_size=2, max_size=20))
def test_an_integral_lies_between_the_least_and_the_most_power(steps: list[tuple[int, float]]) -> None:
    """For any samples, energy is at least the least power times the time, and at most the greatest."""
    now, points = 0, []
    for gap, microwatts in steps:
        now += gap
        points.append((now, microwatts))
    seconds = (points[-1][0] - points[0][0]) / 1e9
    powers = [microwatts for _, microwatts in points]
    microjoules = integrate(points).microjoules
    assert min(powers) * seconds - 1 <= microjoules <= max(powers) * seconds + 1


def test_samples_out_of_order_or_a_single_one_have_no_energy() -> None:
    """A clock that went back, or a single sample."""
    with pytest.raises(ValueError, match="must increase, got 5 ns after 5 ns"):
        integrate([(5, 1.0), (5, 1.0)])
    with pytest.raises(ValueError, match="two points or more, got 1"):
        integrate([(5, 1.0)])


def test_a_value_between_two_points_lies_on_their_line() -> None:
    """Halfway from 10 to 30 is 20; outside there is none."""
    assert at([(0, 10.0), (100, 30.0)], 50) == 20.0
    with pytest.raises(ValueError, match="within the points, got 101"):
        at([(0, 10.0), (100, 30.0)], 101)
