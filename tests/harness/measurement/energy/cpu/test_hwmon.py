"""Energy counters under hwmon: sockets are summed, cores and the unknown are left out."""

import json
from pathlib import Path

from harness.measurement.energy.counters.meter import read_text
from harness.measurement.energy.cpu.hwmon import ALLOW, NO_COUNTER, HwmonMeter, open_hwmon
from harness.measurement.energy.selection import choose_meter
from harness.records.reading import sum_readings
from harness.testing import FakeClock

SECOND = 1_000_000_000


def hwmon_tree(root: Path, driver: str = "amd_energy", sockets: int = 2, cores: int = 3) -> Path:
    """Write what amd_energy shows: cores first, then sockets, numbered through."""
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"hwmon{len(list(root.glob('hwmon*')))}"
    folder.mkdir()
    (folder / "name").write_text(f"{driver}\n")
    labels = [f"Ecore{core:03d}" for core in range(cores)] + [f"Esocket{socket}" for socket in range(sockets)]
    for number, label in enumerate(labels, 1):
        (folder / f"energy{number}_label").write_text(f"{label}\n")
        (folder / f"energy{number}_input").write_text("1000000\n")
    return folder


def advance(folder: Path, microjoules: int) -> None:
    """Let every counter of a driver use energy."""
    for file in folder.glob("energy*_input"):
        file.write_text(f"{int(file.read_text()) + microjoules}\n")


def test_sockets_are_summed_and_cores_left_out(tmp_path: Path) -> None:
    """Two sockets at 50 J are 100 J; the cores lie inside them."""
    folder, clock = hwmon_tree(tmp_path), FakeClock()
    meter = HwmonMeter(tmp_path, clock)
    mark = meter.start()
    advance(folder, 50_000_000)
    clock.advance(SECOND)
    whole = sum_readings(meter.read(mark))
    assert whole is not None
    assert (whole.microjoules, whole.scope, whole.source) == (100_000_000, "package", "hwmon amd_energy")
    assert meter.describe()["left_out"] == [["amd_energy: Ecore*", "lie inside their socket"]]


def test_other_drivers_are_read_by_their_labels(tmp_path: Path) -> None:
    """The driver zenergy labels its sockets alike; what a graphics card counts is unknown and left out."""
    hwmon_tree(tmp_path, "zenergy", sockets=1, cores=0)
    card = tmp_path / "hwmon7"
    card.mkdir()
    (card / "name").write_text("i915\n")
    (card / "energy1_input").write_text("5\n")
    meter = HwmonMeter(tmp_path)
    assert [zone.name for zone in meter.zones()] == ["package-0"]
    assert meter.describe()["left_out"] == [["i915: energy1_input", "what it covers is unknown"]]


def test_a_socket_that_two_drivers_show_counts_once(tmp_path: Path) -> None:
    """amd_energy and zenergy read the same register."""
    hwmon_tree(tmp_path, "amd_energy", sockets=1, cores=0)
    hwmon_tree(tmp_path, "zenergy", sockets=1, cores=0)
    meter = HwmonMeter(tmp_path)
    assert len(meter.zones()) == 1
    assert meter.describe()["left_out"] == [["zenergy: Esocket0", "the same socket by another driver"]]


def test_a_register_of_32_bits_that_wraps_is_unavailable_and_seen(tmp_path: Path) -> None:
    """No file states where it wraps, so a wrap is not corrected; only a sample in between shows it."""
    folder, clock = hwmon_tree(tmp_path, sockets=1, cores=0), FakeClock()
    meter = HwmonMeter(tmp_path, clock)
    mark = meter.start()
    for value in (60_000_000_000, 4_000_000_000, 9_000_000_000):  # 60 kJ, a wrap, 4 kJ, 9 kJ
        (folder / "energy1_input").write_text(f"{value}\n")
        clock.advance(70 * SECOND)
        mark.sample()
    (reading,) = meter.read(mark)
    assert reading.reason == "the counter decreased, and the range at which it wraps around is unreadable"


def test_a_denied_counter_is_an_obstacle(tmp_path: Path) -> None:
    """As the kernel has it since CVE-2020-8694; the remedy is a command."""
    hwmon_tree(tmp_path)

    def denied(path: Path) -> str:
        if path.name.endswith("_input"):
            raise PermissionError(13, "Permission denied")
        return read_text(path)

    meter = HwmonMeter(tmp_path, read_text=denied)
    assert meter.obstacle() == ("package-0: permission denied on energy4_input", ALLOW)


def test_without_sockets_or_with_dead_ones_it_is_an_obstacle(tmp_path: Path) -> None:
    """No tree, and a counter that reads 0."""
    assert HwmonMeter(tmp_path / "absent").obstacle() == (
        "no hwmon driver shows the energy of a socket",
        NO_COUNTER,
    )
    (hwmon_tree(tmp_path, sockets=1, cores=0) / "energy1_input").write_text("0\n")
    assert HwmonMeter(tmp_path).obstacle() == ("package-0: the counter reads 0", NO_COUNTER)


def test_the_choice_falls_to_hwmon_after_rapl_and_perf(tmp_path: Path) -> None:
    """On an AMD server without powercap; the spec opens the same sockets again."""
    hwmon_tree(tmp_path / "sys/class/hwmon")
    choice = choose_meter("cpu", root=tmp_path / "absent", system=tmp_path)
    assert choice.meter is not None
    assert choice.meter.name == "hwmon"
    assert [row[0] for row in choice.skipped[:2]] == ["rapl", "perf"]
    again = open_hwmon(json.loads(json.dumps(choice.meter.spec())))  # type: ignore[attr-defined]
    assert again.zones() == choice.meter.zones()
