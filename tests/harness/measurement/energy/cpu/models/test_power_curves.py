"""Power curves: the power of a machine, by hand-worked numbers."""

from pathlib import Path

import pytest
from curve_files import A, curves

from harness.common.errors import UsageError
from harness.measurement.energy.cpu.models.power_curve_file import read_curves
from harness.measurement.energy.cpu.models.power_curves import (
    machine_power,
    unknown_power,
    watts_at,
)


@pytest.mark.parametrize(
    ("load", "watts"), [(0, 1), (0.05, 1.5), (0.1, 2), (0.3, 3), (0.75, 5), (1, 6), (1.5, 9)]
)
def test_watts_lie_on_the_lines_between_the_published_points(load: float, watts: float) -> None:
    """Above full load, which a quota can allow for a moment, they rise with it."""
    points = tuple((int(percent) / 100, float(value)) for percent, value in A.items())
    assert watts_at(points, load) == pytest.approx(watts)


def test_a_processor_has_the_cpus_of_this_machine(tmp_path: Path) -> None:
    """Four CPUs at half load: 4 x 4 W."""
    power = machine_power("a", curves(tmp_path), 4)
    assert (power.name, power.vcpus, power.source) == ("A", 4, "a laboratory, 2026-01-01")
    assert power.watts(0.5) == pytest.approx(16)


def test_an_instance_has_its_own_cpus(tmp_path: Path) -> None:
    """Two, of which a container may show one; its name is not case-sensitive."""
    power = machine_power("A.Large", curves(tmp_path), 1)
    assert (power.name, power.vcpus, power.watts(1.0)) == ("a.large", 2, 12)


def test_an_instance_of_two_processors_is_their_mean_and_its_range_covers_both(tmp_path: Path) -> None:
    """At half load A has 4 W and B 5, at least 3: a mean of 4.5, from 3 to 5, on two CPUs."""
    power = machine_power("ab.large", curves(tmp_path), 2)
    assert power.watts(0.5) == pytest.approx(9)
    assert (watts_at(power.curve.low, 0.5), watts_at(power.curve.high, 0.5)) == (3, 5)
    assert power.source.startswith("A or B; a laboratory")


def test_an_instance_with_watts_of_its_own_uses_them(tmp_path: Path) -> None:
    """16 W of two CPUs are 8 each; its processor's 6 W stay in the range."""
    power = machine_power("a.own", curves(tmp_path), 2)
    assert power.watts(1.0) == 16
    assert (power.curve.low[-1], power.curve.high[-1]) == ((1.0, 6.0), (1.0, 8.0))
    assert (power.curve.low[0], power.curve.high[0]) == ((0.0, 0.5), (0.0, 1.0))


def test_an_unknown_processor_is_the_mean_of_all_with_the_range_of_all(tmp_path: Path) -> None:
    """At full load (6 + 7) / 2, from 5 to 7."""
    power = unknown_power(curves(tmp_path), 2)
    assert power.watts(1.0) == pytest.approx(13)
    assert (power.curve.low[-1][1], power.curve.high[-1][1]) == (5, 7)


def test_an_instance_that_is_smaller_than_this_machine_is_refused(tmp_path: Path) -> None:
    """This is not that machine."""
    with pytest.raises(UsageError, match=r"at most the 2 vCPUs of a\.large, got a machine with 8"):
        machine_power("a.large", curves(tmp_path), 8)


def test_an_unknown_name_is_refused_with_one_like_it_or_with_all_processors(tmp_path: Path) -> None:
    """Or with how to add it."""
    with pytest.raises(UsageError) as error:
        machine_power("a.larg", curves(tmp_path), 2)
    assert "Did you mean a.large" in str(error.value.remedy)
    with pytest.raises(UsageError) as error:
        machine_power("zzz", curves(tmp_path), 2)
    assert "A, B" in str(error.value.remedy)
    assert "modelled:NAME@FILE" in str(error.value.remedy)


def test_names_are_found_as_each_cloud_writes_them() -> None:
    """Azure's has a prefix and underscores."""
    shipped = read_curves()
    assert machine_power("Standard_D4_v3", shipped, 2).name == "D4 v3"
    assert machine_power("n2-standard-4", shipped, 2).vcpus == 4
