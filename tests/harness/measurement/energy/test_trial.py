"""Meters of which a part is dead: what works is offered with its scope, and what is dead is named."""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.measurement.energy.check import MeterCheck, ZoneCheck
from harness.measurement.energy.cpu.hwmon import HwmonMeter
from harness.measurement.energy.cpu.rapl import ALLOW, NO_PACKAGE, RaplMeter
from harness.measurement.energy.cpu.rapl_perf import RaplPerfMeter
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.selection import choose_meter
from harness.measurement.energy.trial import SAME_PARTS, readable_part, usable_part
from harness.records.reading import sum_readings
from harness.testing import FakeClock, PowercapTree, powercap_tree

SECOND = 1_000_000_000
STILL = "the counter did not move in 1.5 s"


def check_in_which(dead: Mapping[str, str]) -> Callable[[Meter], MeterCheck]:
    """Return a check that finds the counters of these folders dead, by zone name and folder."""

    def check(meter: Meter) -> MeterCheck:
        counters = {counter.zone.name: counter.key for counter in meter._counters}  # type: ignore[attr-defined]
        reasons = {zone: dead.get(key.partition("/")[0]) for zone, key in counters.items()}
        zones = tuple(ZoneCheck(zone, 0, reason=reason) for zone, reason in reasons.items())
        return MeterCheck(meter.name, moved=not any(reasons.values()), zones=zones)

    return check


def joules(meter: Meter, tree: PowercapTree, clock: FakeClock, microjoules: Mapping[str, int]) -> object:
    """Return the sum of a window of one second in which zones use this energy, and its scope."""
    mark = meter.start()
    for zone, energy in microjoules.items():
        tree.advance(energy, [zone])
    clock.advance(SECOND)
    total = sum_readings(meter.read(mark))
    return total and (total.microjoules, total.scope)


def test_one_dead_memory_counter_leaves_the_packages(tmp_path: Path) -> None:
    """Two packages at 40 J are 80 J of scope package; the memory of the other socket is left out too."""
    tree, clock = powercap_tree(tmp_path), FakeClock()
    meter, check = usable_part(RaplMeter(tree.root, clock), check_in_which({"intel-rapl:0:1": STILL}))
    energies = {"package-0": 40_000_000, "package-1": 40_000_000, "package-1/dram": 9_000_000}
    assert joules(meter, tree, clock, energies) == (80_000_000, "package")
    assert check.moved is True
    assert check.left_out == (("package-0/dram", STILL), ("package-1/dram", SAME_PARTS))


def test_a_dead_msr_counter_is_replaced_by_its_live_mmio_twin(tmp_path: Path) -> None:
    """intel-rapl:0 stands still and intel-rapl-mmio:0 counts 40 J: package-0 used 40 J."""
    tree, clock = powercap_tree(tmp_path, sockets=1, dram=False, mmio_duplicate=True), FakeClock()
    meter, check = usable_part(RaplMeter(tree.root, clock), check_in_which({"intel-rapl:0": STILL}))
    assert joules(meter, tree, clock, {"mmio/package-0": 40_000_000}) == (40_000_000, "package")
    assert check.moved is True
    assert ["package-0 (intel-rapl:0)", STILL] in meter.describe()["left_out"]


def test_a_dead_package_without_a_twin_is_not_left_out_of_the_sum(tmp_path: Path) -> None:
    """A sum without a socket is not the machine's: the meter is refused, and the zone is named."""
    tree = powercap_tree(tmp_path)
    _, check = usable_part(RaplMeter(tree.root, FakeClock()), check_in_which({"intel-rapl:1": STILL}))
    assert (check.moved, check.reason) == (False, f"package-1: {STILL}")


def test_a_dead_twin_of_a_dead_package_is_refused(tmp_path: Path) -> None:
    """Neither of the two interfaces counts."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, mmio_duplicate=True)
    dead = {"intel-rapl:0": STILL, "intel-rapl-mmio:0": STILL}
    _, check = usable_part(RaplMeter(tree.root, FakeClock()), check_in_which(dead))
    assert (check.moved, check.reason) == (False, f"package-0: {STILL}")


def test_memory_that_fails_to_be_read_leaves_the_packages(tmp_path: Path) -> None:
    """Sapphire Rapids without the BIOS setting: reading dram fails, and package-0 counts 40 J."""
    tree, clock = powercap_tree(tmp_path, sockets=1), FakeClock()
    tree.fail("package-0/dram")
    choice = choose_meter("cpu", root=tree.root, clock=clock, read_text=tree.read_text, system=tmp_path)
    assert choice.meter is not None
    assert choice.meter.name == "rapl"
    assert joules(choice.meter, tree, clock, {"package-0": 40_000_000}) == (40_000_000, "package")
    reason = "energy_uj could not be read (Input/output error)"
    assert ["package-0/dram (intel-rapl:0:1)", reason] in choice.meter.describe()["left_out"]


def test_a_package_that_may_not_be_read_is_not_replaced_by_psys(tmp_path: Path) -> None:
    """The remedy is to allow it, not to measure something else."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, psys=True)
    tree.deny("package-0")
    meter = readable_part(RaplMeter(tree.root, read_text=tree.read_text))
    assert meter.obstacle() == ("package-0: permission denied on energy_uj", ALLOW)


def test_psys_alone_is_the_whole_platform_and_no_package(tmp_path: Path) -> None:
    """A machine that shows psys and no package: 70 J of scope system, by a source of its own."""
    tree, clock = powercap_tree(tmp_path, sockets=0, psys=True), FakeClock()
    meter = RaplMeter(tree.root, clock)
    assert meter.obstacle() is None
    assert joules(meter, tree, clock, {"psys": 70_000_000}) == (70_000_000, "system")
    assert meter.traits()[0].source == "RAPL powercap, psys"


def test_memory_alone_is_refused_with_what_the_kernel_shows(tmp_path: Path) -> None:
    """The remedy is not that of a virtual machine."""
    tree = PowercapTree(tmp_path)
    tree.add("dram", "intel-rapl/intel-rapl:0", "dram")
    assert RaplMeter(tree.root).obstacle() == ("the kernel shows dram, and no package zone", NO_PACKAGE)


def test_a_dead_socket_of_one_driver_is_read_by_another(tmp_path: Path) -> None:
    """amd_energy reads 0 for Esocket0, zenergy shows 5 J: package-0 is read there."""
    for number, (driver, value) in enumerate((("amd_energy", 0), ("zenergy", 5_000_000))):
        folder = tmp_path / f"hwmon{number}"
        folder.mkdir()
        for name, text in (("name", driver), ("energy1_label", "Esocket0"), ("energy1_input", value)):
            (folder / name).write_text(f"{text}\n")
    meter = readable_part(HwmonMeter(tmp_path))
    assert meter.obstacle() is None
    assert meter.describe()["source"] == "hwmon zenergy"
    assert ["amd_energy: Esocket0", "the counter reads 0"] in meter.describe()["left_out"]


class NoMemoryEvent:
    """A kernel that lists energy-ram and does not open it."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Open packages alone."""
        del kind, cpu
        if config == 3:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return config

    def read(self, handle: int) -> int:
        """Return a count."""
        return handle

    def close(self, handle: int) -> None:
        """Do nothing."""


def test_a_memory_event_that_does_not_open_leaves_the_packages(tmp_path: Path) -> None:
    """The zones are the package's; the reason of the memory is in the facts."""
    device = tmp_path / "sys/bus/event_source/devices/power"
    (device / "events").mkdir(parents=True)
    files = {"type": "23", "cpumask": "0"}
    for name, config in (("energy-pkg", 2), ("energy-ram", 3)):
        files |= {
            f"events/{name}": f"event={config}",
            f"events/{name}.unit": "Joules",
            f"events/{name}.scale": "1e-6",
        }
    for name, text in files.items():
        (device / name).write_text(f"{text}\n")
    meter = readable_part(RaplPerfMeter(tmp_path, FakeClock(), perf=NoMemoryEvent()))
    assert meter.obstacle() is None
    assert [zone.name for zone in meter.zones()] == ["package-0"]
    reason = "the event could not be opened (No such device)"
    assert ["package-0/dram", reason] in meter.describe()["left_out"]
