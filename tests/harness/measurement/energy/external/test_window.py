"""Holes, coarse steps, clocks that run ahead or behind: what an instrument's rows do not tell."""

import pytest

from harness.measurement.energy.external.rows import parse
from harness.measurement.energy.external.window import WindowEnergy, measured

NOON_S = 1_767_268_800


Series = list[tuple[float, float]]
"""Seconds after noon, and a value."""


def cut(kind: str, rows: Series, begin_s: float, end_s: float, behind_s: float = 0) -> object:
    """Measure between two times after noon."""
    text = f"time,{kind}\n" + "".join(f"{NOON_S + when},{value}\n" for when, value in rows)
    edges = (round((NOON_S + when) * 1e9) for when in (begin_s, end_s))
    return measured(parse(text), *edges, behind_ns=round(behind_s * 1e9))


def every_second(watts: float, first: int, last: int) -> Series:
    """Return rows of a steady power."""
    return [(when, watts) for when in range(first, last + 1)]


def test_a_logger_that_hung_for_60_of_90_seconds_is_refused() -> None:
    """40 W before and after; in the hole 200 W were drawn: 13,200 J, and not 3,600 +- 80 J."""
    rows = [*every_second(40, 0, 15), *every_second(40, 75, 100)]
    assert cut("watts", rows, 5, 95) == "the rows have a hole of 60 s, and one comes every 1 s"


def test_a_short_hole_is_part_of_the_uncertainty() -> None:
    """Rows every second, and 4 s without: each edge may be late by 4 s at 40 W: 2 x 160 J."""
    energy = cut("watts", [*every_second(40, 0, 15), *every_second(40, 19, 100)], 5, 95)
    assert energy == WindowEnergy(3_600_000_000, 320_000_000, 88)


def test_joules_count_through_a_hole_within_the_window() -> None:
    """The counter goes on: 40 W for 30 s and 200 W for 60 s are 13,200 J, wherever no row was written."""
    before = [(when, 40.0 * when) for when in range(16)]
    after = [(when, 600 + 200 * 60 + 40.0 * (when - 75)) for when in range(75, 101)]
    energy = cut("joules", [*before, *after], 5, 95)
    assert isinstance(energy, WindowEnergy)
    assert energy.microjoules == 13_200_000_000
    assert energy.resolution_uj == pytest.approx(2 * 13_200e6 / 90, abs=1)


def test_joules_in_a_hole_at_an_edge_are_refused() -> None:
    """The window begins in a hole of 60 s: what was used before its beginning is unknown."""
    rows = [(when, 40.0 * when) for when in (*range(16), *range(75, 200))]
    assert cut("joules", rows, 45, 150) == "the rows have a hole of 60 s, and one comes every 1 s"


def kwh_meter(watts: float, seconds: int) -> Series:
    """Return rows every second of a counter in steps of 0.01 kWh, which are 36,000 J."""
    return [(when, 36_000.0 * (watts * when // 36_000)) for when in range(seconds + 1)]


def test_a_counter_of_coarse_steps_is_as_uncertain_as_its_steps() -> None:
    """60 W step every 600 s. 1,500 s are 90 kJ; three steps are read: 108 kJ, each edge 600 s late."""
    energy = cut("joules", kwh_meter(60, 3000), 550, 2050)
    assert isinstance(energy, WindowEnergy)
    assert energy.microjoules == 108_000_000_000
    assert energy.resolution_uj == pytest.approx(2 * 108_000e6 * 600 / 1500)
    assert abs(energy.microjoules - 90_000e6) <= energy.resolution_uj


def test_a_window_shorter_than_the_steps_of_its_counter_is_refused() -> None:
    """90 s hold one step of 36 kJ or none; 5.4 kJ were used."""
    reason = "the joules change every 600 s, and the window lasts 90 s: it must be longer"
    assert cut("joules", kwh_meter(60, 3000), 1150, 1240) == reason


def test_a_sensor_that_repeats_old_values_is_as_late_as_it_renews_them() -> None:
    """Rows every second, values every ten: 2 x 10 s at 55 W are 1,100 J, beside the roughness."""
    rows = [(when, 50.0 + 10 * (when // 10 % 2)) for when in range(121)]
    energy = cut("watts", rows, 10, 110)
    assert isinstance(energy, WindowEnergy)
    assert energy.microjoules == pytest.approx(5_500e6, rel=0.01)
    assert energy.resolution_uj >= 2 * energy.microjoules * 10 // 100


def test_rows_that_come_late_widen_the_uncertainty() -> None:
    """The last row was 5 s old at the end: the clock may be 5 s slow. 2 x 5 s at 40 W are 400 J."""
    energy = cut("watts", every_second(40, 0, 100), 5, 95, behind_s=5)
    assert energy == WindowEnergy(3_600_000_000, 400_000_000, 91)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("watts", [(0, 100), (10, 100), (20, 4_294_967.295), (30, 100)]),
        ("joules", [(0, 0), (10, 1000), (20, 85_000_000_000), (30, 85_000_001_000)]),
    ],
)
def test_a_power_that_no_machine_draws_is_refused(kind: str, rows: Series) -> None:
    """0xFFFFFFFF mW is no power, and a counter that jumps by 85 GJ has not counted."""
    assert "W, which is not possible" in str(cut(kind, rows, 5, 25))
