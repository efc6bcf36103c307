"""Power curves: what a file may hold, and the power of a machine by hand-worked numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.common.errors import UsageError
from harness.measurement.energy.cpu.models.power_curves import (
    MachinePower,
    PowerCurve,
    PowerCurves,
    machine_power,
    read_curves,
    unknown_power,
    watts_at,
)

A, B = {"0": 1, "10": 2, "50": 4, "100": 6}, {"0": 3, "100": 7}


def a_file(folder: Path, name: str = "curves.json", **changes: Any) -> Path:
    """Write a file of two processors and three instances; an argument changes a field."""
    fields = {
        "source": "a laboratory",
        "licence": "CC0",
        "date": "2026-01-01",
        "processors": {"A": {"watts": A}, "B": {"watts": B, "low": {"0": 1, "100": 5}, "high": B}},
        "instances": {
            "a.large": {"vcpus": 2, "processors": ["A"]},
            "ab.large": {"vcpus": 2, "processors": ["A", "B"]},
            "a.own": {"vcpus": 2, "processors": ["A"], "watts": {"0": 1, "100": 16}},
        },
    }
    path = folder / name
    path.write_text(json.dumps(fields | changes), encoding="utf-8")
    return path


def curves(folder: Path) -> PowerCurves:
    """Return the curves of that file."""
    return read_curves(a_file(folder))


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


def test_yaml_is_read_as_well(tmp_path: Path) -> None:
    """What a user writes; a number need not be quoted, and a byte-order mark is no part of it."""
    path = tmp_path / "curves.yaml"
    text = "source: me\nlicence: mine\ndate: 2026-02-01\nprocessors:\n  X: {watts: {0: 1, 100: 2.5}}\n"
    path.write_text(text, encoding="utf-8-sig")
    assert read_curves(path).processors["X"] == PowerCurve(*[((0.0, 1.0), (1.0, 2.5))] * 3)
    assert read_curves(path).date == "2026-02-01"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": ""}, "`source` is missing"),
        ({"licence": None}, "`licence` is missing"),
        ({"date": " "}, "`date` is missing"),
        ({"processors": {}}, "`processors` has no curves"),
        ({"processors": []}, "`processors` has no curves"),
        ({"processors": {"A": {"watts": {"0": 1}}}}, "must have watts at loads from 0 to 100 percent, got 0"),
        (
            {"processors": {"A": {"watts": {"0": 1, "200": 2}}}},
            "must have watts at loads from 0 to 100 percent",
        ),
        (
            {"processors": {"A": {"watts": {"0": 2, "100": 1}}}},
            "must be above zero and not fall with load, got 2, 1",
        ),
        ({"processors": {"A": {"watts": {"0": 0, "100": 1}}}}, "must be above zero"),
        ({"processors": {"A": {"watts": {"0": "1,5", "100": 2}}}}, "must be a number, got '1,5'"),
        ({"processors": {"A": {"watts": {"0": True, "100": 2}}}}, "must be a number, got True"),
        ({"processors": {"A": {"watt": {"0": 1, "100": 2}}}}, "expected watts, low, high, got watt"),
        ({"processors": {"A": {"watts": A, "low": {"0": 2, "100": 3}}}}, "expected low <= watts <= high"),
        (
            {"instances": {"x": {"vcpus": 0, "processors": ["A"]}}},
            "`vcpus` must be a whole number above zero, got 0",
        ),
        ({"instances": {"x": {"vcpus": 2, "processors": []}}}, "`processors` must be a list of names"),
        (
            {"instances": {"x": {"vcpus": 2, "processors": ["C"]}}},
            "its processor 'C' has no curve in this file",
        ),
        (
            {"instances": {"x": {"vcpus": 2, "processors": ["A"], "server": {"kg_co2e": -1, "vcpus": 4}}}},
            "`kg_co2e` must be above zero, got -1",
        ),
    ],
)
def test_a_file_that_is_not_of_the_format_is_refused_at_its_entry(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The message names the file."""
    with pytest.raises(UsageError) as error:
        read_curves(a_file(tmp_path, **changes))
    assert message in str(error.value)
    assert "curves.json" in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"), [("c.json", b"{"), ("c.yaml", b"a: [1"), ("c.yaml", b"\xff\xfe"), ("c.json", b"[]")]
)
def test_a_file_that_cannot_be_parsed_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """Nor can one that is not there."""
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(UsageError, match=path.name):
            read_curves(path)


def test_the_shipped_file_holds_the_published_figures() -> None:
    """m5.xlarge: 19.92 W of the package, 15.99 of memory and 4.0 of the rest at full load, as published."""
    shipped = read_curves()
    power = machine_power("m5.xlarge", shipped, 2)
    assert isinstance(power, MachinePower)
    assert power.watts(0.0) == pytest.approx(2.41 + 2.41 + 4.0)
    assert power.watts(1.0) == pytest.approx(19.92 + 15.99 + 4.0)
    server = shipped.instances["m5.xlarge"].server
    assert server is not None
    assert (server.kg_co2e, server.vcpus) == (1610.79, 96)
    assert shipped.processors["AMD EPYC 3rd Gen"].low[-1][1] == pytest.approx(1.8719, abs=1e-3)
    assert "Apache-2.0" in shipped.licence


def test_no_generation_is_surer_than_the_sources_agree_on_others() -> None:
    """Where both have figures they differ by a factor of two and more; one alone is no more certain."""
    for name, curve in read_curves().processors.items():
        assert curve.high[-1][1] / curve.low[-1][1] > 1.5, name


def test_names_are_found_as_each_cloud_writes_them() -> None:
    """Azure's has a prefix and underscores."""
    shipped = read_curves()
    assert machine_power("Standard_D4_v3", shipped, 2).name == "D4 v3"
    assert machine_power("n2-standard-4", shipped, 2).vcpus == 4
