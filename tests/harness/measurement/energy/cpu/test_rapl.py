"""The powercap tree: which zones are read and summed, and what happens when one cannot be read."""

import json
from pathlib import Path

import pytest

from harness.measurement.energy.cpu.rapl import ALLOW, MASKED, NO_TREE, RaplMeter, open_rapl, quantum_uj
from harness.records.reading import Reading, sum_readings
from harness.testing import FakeClock, PowercapTree, powercap_tree

SECOND = 1_000_000_000


def measure(tree: PowercapTree, microjoules: int = 40_000_000) -> dict[str, Reading]:
    """Read a window of one second in which every zone uses the same energy."""
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock, read_text=tree.read_text)
    mark = meter.start()
    tree.advance(microjoules)
    clock.advance(SECOND)
    return {reading.zone: reading for reading in meter.read(mark)}


def test_two_sockets_and_their_memory_are_read(tmp_path: Path) -> None:
    """DRAM hangs below its package and is not part of it: both are zones, and so is the second socket."""
    readings = measure(powercap_tree(tmp_path))
    scopes = {zone: reading.scope for zone, reading in readings.items()}
    assert scopes == {
        "package-0": "package",
        "package-0/dram": "dram",
        "package-1": "package",
        "package-1/dram": "dram",
    }
    assert {reading.microjoules for reading in readings.values()} == {40_000_000}


def test_the_sum_counts_every_joule_once(tmp_path: Path) -> None:
    """2 packages + 2 memories at 40 J are 160 J; cores, psys and the second road to package-0 add nothing."""
    tree = powercap_tree(tmp_path, psys=True, mmio_duplicate=True)
    whole = sum_readings(measure(tree).values())
    assert whole is not None
    assert (whole.microjoules, whole.scope, whole.grade) == (160_000_000, "package+dram", "measured")


def test_what_is_left_out_is_named_with_the_reason(tmp_path: Path) -> None:
    """The record shows which zones exist and why they are not in the sum."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, psys=True, mmio_duplicate=True)
    tree.add("package-0/uncore", "intel-rapl/intel-rapl:0/intel-rapl:0:1", "uncore")
    assert RaplMeter(tree.root).describe()["left_out"] == [
        ["package-0/core", "lies inside its package"],
        ["package-0/uncore", "lies inside its package"],
        ["psys", "contains the packages"],
        ["package-0 (intel-rapl-mmio:0)", "the same zone as intel-rapl:0"],
    ]


def test_a_tree_that_is_nested_only_reads_the_same(tmp_path: Path) -> None:
    """A copy without the flat links, or with both, shows each zone once."""
    tree = powercap_tree(tmp_path, sockets=1)
    flat = RaplMeter(tree.root).zones()
    assert RaplMeter(tmp_path / "devices").zones() == flat
    (tree.root / "intel-rapl").symlink_to(tmp_path / "devices" / "intel-rapl")
    assert RaplMeter(tree.root).zones() == flat


def test_the_tenth_socket_follows_the_ninth(tmp_path: Path) -> None:
    """Zones are ordered by number and none is lost where the number has two digits."""
    zones = RaplMeter(powercap_tree(tmp_path, sockets=12, dram=False).root).zones()
    assert [zone.name for zone in zones] == [f"package-{socket}" for socket in range(12)]


def test_a_desktop_without_dram_is_package_only(tmp_path: Path) -> None:
    """The scope of the sum does not include memory."""
    whole = sum_readings(measure(powercap_tree(tmp_path, dram=False)).values())
    assert whole is not None
    assert (whole.microjoules, whole.scope) == (80_000_000, "package")


def test_a_wrap_within_the_window_loses_nothing(tmp_path: Path) -> None:
    """10 J before the range of 65.5 kJ, 40 J on: the counter shows 30 J, the window used 40."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, range_uj=65_532_610_987)
    tree.advance(65_532_610_987 - 10_000_000)
    assert measure(tree)["package-0"].microjoules == 40_000_000


def test_a_wrap_with_an_unreadable_range_is_unavailable(tmp_path: Path) -> None:
    """Kernels that hide the range from users leave nothing to correct with."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, range_uj=65_532_610_987)
    tree.advance(65_532_610_987 - 10_000_000)
    tree.fail("package-0", "max_energy_range_uj")
    reading = measure(tree)["package-0"]
    assert reading.reason == "the counter decreased, and the range at which it wraps around is unreadable"


def test_a_counter_that_decreased_is_unavailable(tmp_path: Path) -> None:
    """A counter that a reload reset to zero has not wrapped around."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False)
    tree.write("package-0", 100_000_000_000)
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock)
    mark = meter.start()
    tree.write("package-0", 3)
    clock.advance(SECOND)
    (reading,) = meter.read(mark)
    assert reading.grade == "unavailable"
    assert reading.reason == "the counter decreased by 100000 J in 1 s, which is not a wrap-around"


def test_a_denied_zone_has_a_reason_and_other_zones_are_read(tmp_path: Path) -> None:
    """Permission denied is a reason on that zone's reading, and the sum is not a sum without it."""
    tree = powercap_tree(tmp_path)
    tree.deny("package-1")
    readings = measure_around_denial(tree)
    assert readings["package-1"].reason == "permission denied on energy_uj"
    assert readings["package-0"].microjoules == 40_000_000
    whole = sum_readings(readings.values())
    assert whole is not None
    assert (whole.grade, whole.reason) == ("unavailable", "package-1: permission denied on energy_uj")


def measure_around_denial(tree: PowercapTree) -> dict[str, Reading]:
    """Measure with all zones but the denied one advancing: the test may not be root."""
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock, read_text=tree.read_text)
    mark = meter.start()
    tree.advance(40_000_000, ["package-0", "package-0/dram", "package-1/dram"])
    clock.advance(SECOND)
    return {reading.zone: reading for reading in meter.read(mark)}


def test_a_denied_meter_is_an_obstacle_with_a_remedy(tmp_path: Path) -> None:
    """The remedy names the cause, a command for now and the place of the lasting rule."""
    tree = powercap_tree(tmp_path, sockets=1)
    tree.deny("package-0")
    meter = RaplMeter(tree.root, read_text=tree.read_text)
    assert meter.obstacle() == ("package-0: permission denied on energy_uj", ALLOW)
    assert "CVE-2020-8694" in ALLOW
    assert "udev" in ALLOW


def test_a_read_that_fails_in_the_middle_is_not_zero(tmp_path: Path) -> None:
    """An input/output error at the second edge makes that zone unavailable and no other."""
    tree = powercap_tree(tmp_path, sockets=2, dram=False)
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock, read_text=tree.read_text)
    mark = meter.start()
    tree.advance(40_000_000)
    clock.advance(SECOND)
    tree.fail("package-0")
    first, second = meter.read(mark)
    assert (first.microjoules, first.reason) == (None, "energy_uj could not be read (Input/output error)")
    assert second.microjoules == 40_000_000


def test_a_read_that_failed_first_invents_nothing(tmp_path: Path) -> None:
    """The whole counter, 62 kJ since the start of the machine, is not the energy of the window."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False)
    tree.write("package-0", "")
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock)
    mark = meter.start()
    tree.write("package-0", 62_143_000_000)
    clock.advance(SECOND)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.reason) == (None, "energy_uj does not hold a number")


def test_a_zone_that_goes_away_is_noticed(tmp_path: Path) -> None:
    """A socket removed between the edges has no energy, and the other socket has its own."""
    tree = powercap_tree(tmp_path, sockets=2, dram=False)
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock)
    mark = meter.start()
    tree.advance(40_000_000)
    clock.advance(SECOND)
    tree.remove("package-1")
    first, second = meter.read(mark)
    assert first.microjoules == 40_000_000
    assert (second.microjoules, second.reason) == (None, "the zone has disappeared")


def test_a_window_shorter_than_a_step_is_unavailable(tmp_path: Path) -> None:
    """One request of 0.4 ms reads 0 or a whole step; 0 is not shown as a measurement."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False)
    clock = FakeClock()
    meter = RaplMeter(tree.root, clock)
    mark = meter.start()
    clock.advance(400_000)
    (reading,) = meter.read(mark)
    assert reading.reason == "the window of 0.4 ms is shorter than two update periods of the counter"


def test_no_tree_is_an_obstacle(tmp_path: Path) -> None:
    """Virtual machines have no powercap tree at all, or an empty one."""
    expected = ("the kernel shows no RAPL package zone", NO_TREE)
    assert RaplMeter(tmp_path / "absent").obstacle() == expected
    assert RaplMeter(tmp_path).obstacle() == expected


def test_a_container_that_hides_the_tree_is_an_obstacle(tmp_path: Path) -> None:
    """Container runtimes mask the folder that the links lead to."""
    tree = powercap_tree(tmp_path, sockets=1, core=False)
    tree.hide()
    expected = ("2 zones are listed, but a container hides what they link to", MASKED)
    assert RaplMeter(tree.root).obstacle() == expected


def test_a_readable_tree_has_no_obstacle(tmp_path: Path) -> None:
    """Every zone is readable: the meter can be chosen."""
    assert RaplMeter(powercap_tree(tmp_path).root).obstacle() is None


@pytest.mark.parametrize(
    ("range_uj", "expected"),
    [(262_143_328_850, 61.04), (65_532_610_987, 15.26), (None, 61.04)],
)
def test_the_quantum_follows_from_the_range(range_uj: int | None, expected: float) -> None:
    """2^32 units make the range: 262,143 J / 2^32 = 61.04 uJ, 65,533 J / 2^32 = 15.26 uJ."""
    assert quantum_uj(range_uj) == pytest.approx(expected, abs=0.006)


def test_the_resolution_is_edges_at_mean_power(tmp_path: Path) -> None:
    """40 W: 2 x 1 ms x 40 W = 80,000 uJ, and two quanta of 61.04 uJ are 122.07: 80,123 rounded up."""
    reading = measure(powercap_tree(tmp_path, sockets=1, dram=False))["package-0"]
    assert reading.resolution_uj == 80_123


def test_facts_and_spec_are_json_and_open_the_same_meter(tmp_path: Path) -> None:
    """A worker opens the meter from the parent's spec; the record's facts contain no path."""
    meter = RaplMeter(powercap_tree(tmp_path).root)
    assert open_rapl(json.loads(json.dumps(meter.spec()))).zones() == meter.zones()
    assert str(tmp_path) not in json.dumps(meter.describe())
    assert meter.describe()["zones"][0] == {
        "zone": "package-0",
        "scope": "package",
        "range_uj": 262_143_328_850,
        "quantum_uj": 61.035,
        "longest_window_s": 262.1,
    }
