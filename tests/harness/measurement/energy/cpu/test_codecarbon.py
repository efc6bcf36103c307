"""The energy that codecarbon reports: whether it measured or modelled it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.measurement.energy.cpu.codecarbon import INSTALL, READ_ALL, CodecarbonMeter
from harness.measurement.energy.cpu.codecarbon_tool import SummedZone, Tool, load_tool
from harness.measurement.energy.meter import TimedWindow, read_window
from harness.records.reading import sum_readings
from harness.testing import FakeClock, PowercapTree, powercap_tree

SECOND = 1_000_000_000


class StandIn:
    """A stand-in for codecarbon with a power of 20 W, which a test changes."""

    def __init__(self, watts: float | None = 100.0) -> None:
        self.watts, self.power, self.calls = watts, 20.0, 0

    def tool(self) -> Tool:
        """Return the tool for a meter."""
        return Tool("3.3.2", "A CPU", self.watts, 10.0, self.joules)

    def joules(self, seconds: float) -> float:
        """Return the energy, and count the calls."""
        self.calls += 1
        return self.power * seconds


def test_without_rapl_processor_and_memory_are_modelled_zones_of_their_own() -> None:
    """20 W and 10 W for 3 s are 60 J and 30 J; the load's ticks blur 2.7 x 100 W x 10 ms = 2.7 J."""
    clock, stand_in = FakeClock(), StandIn()
    meter = CodecarbonMeter(clock, tool=stand_in.tool, every_s=None)
    mark = meter.start()
    clock.advance(3 * SECOND)
    cpu, memory = meter.read(mark)
    assert (cpu.microjoules, cpu.grade, cpu.resolution_uj) == (60_000_000, "modelled", 2_700_000)
    assert (memory.microjoules, memory.grade, memory.scope) == (30_000_000, "modelled", "dram")
    assert cpu.source == "codecarbon 3.3.2: load x 100 W, memory by its size"
    whole = sum_readings((cpu, memory))
    assert whole is not None
    assert (whole.microjoules, whole.scope) == (90_000_000, "package+dram")


def test_with_rapl_the_processor_is_measured_and_modelled_memory_is_left_out() -> None:
    """A model is never added to a measurement; the record states that it was left out."""
    clock, stand_in = FakeClock(), StandIn(None)
    meter = CodecarbonMeter(clock, tool=stand_in.tool)
    mark = meter.start()
    clock.advance(3 * SECOND)
    (cpu,) = meter.read(mark)
    assert (cpu.microjoules, cpu.grade, cpu.source) == (60_000_000, "measured", "codecarbon 3.3.2: RAPL")
    assert meter.describe()["memory"] == "left out (modelled: constant 10 W)"


@pytest.mark.parametrize(
    ("joules", "reason"),
    [
        (0.0, "the counter did not move in 3 s"),
        (-1.0, "codecarbon returned -1.0 J"),
        (float("nan"), "codecarbon returned nan J"),
    ],
)
def test_a_read_that_failed_inside_codecarbon_is_not_zero(
    monkeypatch: pytest.MonkeyPatch, joules: float, reason: str
) -> None:
    """Codecarbon returns 0 for a counter that it could not read; the meter returns a reason."""
    clock, stand_in = FakeClock(), StandIn(None)
    meter = CodecarbonMeter(clock, tool=stand_in.tool)
    mark = meter.start()
    clock.advance(3 * SECOND)
    monkeypatch.setattr(stand_in, "power", joules / 3)
    (cpu,) = meter.read(mark)
    assert (cpu.microjoules, cpu.reason) == (None, reason)


def zones_of(**counters: int | None) -> tuple[SummedZone, ...]:
    """Return zones of codecarbon's sum; None for one that could not be read."""
    lost = "its counter could not be read"
    zones = ((name.replace("_", "-"), value) for name, value in counters.items())
    return tuple(SummedZone(name, value, lost if value is None else None) for name, value in zones)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (
            zones_of(package_0=9, package_1=None),
            "codecarbon left package-1 out of its sum: its counter could not be read",
        ),
        (zones_of(package_0=9), "codecarbon changed its sum within the window: package-1"),
        (
            zones_of(package_0=9, package_1=1),
            "the counter of package-1 in codecarbon's sum did not move in 3 s",
        ),
    ],
)
def test_a_socket_that_codecarbon_lost_makes_its_sum_unavailable(
    last: tuple[SummedZone, ...], reason: str
) -> None:
    """It would give the joules of one socket as those of two, without a word."""
    clock, sums = FakeClock(), iter([zones_of(package_0=1, package_1=1)] * 2 + [last] * 4)
    zones = [next(sums)]

    def joules(seconds: float) -> float:
        zones[0] = next(sums)
        return 20 * seconds

    meter = CodecarbonMeter(clock, tool=lambda: Tool("3", "A CPU", None, 10.0, joules, lambda: zones[0]))
    mark = meter.start()
    clock.advance(3 * SECOND)
    (cpu,) = meter.read(mark)
    assert (cpu.microjoules, cpu.reason) == (None, reason)


def rapl_of(folder: Path, tree: PowercapTree, clock: FakeClock) -> CodecarbonMeter:
    """Return a meter of the real codecarbon on a copy of the kernel's tree."""
    del tree
    return CodecarbonMeter(clock, tool=lambda: load_tool(folder / "devices"))


def test_the_real_codecarbon_that_loses_a_socket_is_unavailable(tmp_path: Path) -> None:
    """Two sockets use 450 J each, and one cannot be read at the end: neither 450 J nor 900."""
    tree, clock = powercap_tree(tmp_path, dram=False, core=False), FakeClock()
    tree.advance(1_000_000_000, ["package-0"])
    meter = rapl_of(tmp_path, tree, clock)
    assert meter.obstacle() is None
    assert meter.describe()["processor"] == "measured: RAPL, as read by codecarbon: package-0 + package-1"
    mark = meter.start()
    tree.advance(450_000_000)
    clock.advance(3 * SECOND)
    assert meter.read(mark)[0].microjoules == pytest.approx(900_000_000, rel=1e-6)
    tree.write("package-1", "")
    clock.advance(3 * SECOND)
    (cpu,) = meter.read(mark)
    assert cpu.reason == "codecarbon left package-1 out of its sum: its counter could not be read"


def test_the_real_codecarbon_that_cannot_read_a_socket_is_refused(tmp_path: Path) -> None:
    """It leaves package-1 out from the beginning; the kernel lists it."""
    tree, clock = powercap_tree(tmp_path, dram=False, core=False), FakeClock()
    tree.write("package-1", "")
    assert rapl_of(tmp_path, tree, clock).obstacle() == (
        "codecarbon's sum lacks package-1, which it could not read",
        READ_ALL,
    )


def test_the_real_codecarbon_reads_psys_as_the_platform(tmp_path: Path) -> None:
    """Without a package it takes psys: scope system, not package, and a source of its own."""
    tree, clock = powercap_tree(tmp_path, sockets=0, psys=True), FakeClock()
    meter = rapl_of(tmp_path, tree, clock)
    mark = meter.start()
    tree.advance(70_000_000)
    clock.advance(3 * SECOND)
    (cpu,) = meter.read(mark)
    assert cpu.microjoules == pytest.approx(70_000_000, rel=1e-6)
    assert (cpu.scope, cpu.source.rpartition(": ")[2]) == ("system", "RAPL psys")


def test_a_sum_of_parts_of_a_package_is_refused() -> None:
    """Without package and psys codecarbon adds up whatever it finds."""
    zones = zones_of(core=1, dram=1)
    meter = CodecarbonMeter(FakeClock(), tool=lambda: Tool("3", "A CPU", None, 10.0, float, lambda: zones))
    assert meter.obstacle() == ("codecarbon adds up core, dram, which are no packages", READ_ALL)


def test_a_modelled_energy_is_scaled_to_the_window() -> None:
    """20 W and 10 W for a window of 3 s between edges 3.3 s apart: 60 J and 30 J.

    What the processor used in the 0.3 s beside it is uncertain by up to 100 W: 30 J more.
    """
    clock, stand_in = FakeClock(), StandIn()
    meter = CodecarbonMeter(clock, tool=stand_in.tool, every_s=None)
    mark = meter.start()
    clock.advance(3_300_000_000)
    cpu, memory = read_window(meter, mark, TimedWindow(3 * SECOND, 0))
    assert (cpu.microjoules, memory.microjoules) == (60_000_000, 30_000_000)
    assert (cpu.span_ns, memory.span_ns) == (3 * SECOND, 3 * SECOND)
    assert (cpu.resolution_uj, memory.resolution_uj) == (2_700_000 + 30_000_000, 0)


def test_windows_may_overlap_though_codecarbons_state_may_not() -> None:
    """The energy of one window counts in the other one too."""
    clock, stand_in = FakeClock(), StandIn()
    meter = CodecarbonMeter(clock, tool=stand_in.tool, every_s=None)
    outer = meter.start()
    clock.advance(SECOND)
    inner = meter.start()
    clock.advance(SECOND)
    assert meter.read(inner)[0].microjoules == 20_000_000
    clock.advance(SECOND)
    assert meter.read(outer)[0].microjoules == 60_000_000


def test_a_version_that_fails_is_an_obstacle() -> None:
    """Whatever it raises is a reason, and no reading is a zero."""

    def broken() -> Tool:
        raise AttributeError("no CPU")

    meter = CodecarbonMeter(FakeClock(), tool=broken)
    assert meter.obstacle() == ("codecarbon failed: AttributeError: no CPU", INSTALL)
    assert {reading.grade for reading in meter.read(meter.start())} == {"unavailable"}


def test_the_real_one_is_quiet_and_leaves_no_file(tmp_path: Path) -> None:
    """It is imported, set up and read without network, output or files."""
    program = (
        "import socket, time\n"
        "def no(*_): raise SystemExit('network')\n"
        "socket.socket.connect = no\n"
        "from harness.measurement.energy.cpu.codecarbon import open_codecarbon\n"
        "meter = open_codecarbon({})\n"
        "assert meter.obstacle() is None, meter.obstacle()\n"
        "mark = meter.start(); time.sleep(0.1)\n"
        "readings = meter.read(mark)\n"
        "assert all(reading.microjoules for reading in readings) or meter.grade == 'measured', readings\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_its_spec_opens_it_again() -> None:
    """A worker needs no more than its name."""
    assert CodecarbonMeter(FakeClock(), tool=StandIn().tool).spec() == {"meter": "codecarbon"}
