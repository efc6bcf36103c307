"""The energy that codecarbon reports: whether it measured or modelled it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.measurement.energy.cpu.codecarbon import INSTALL, CodecarbonMeter, Tool
from harness.records.reading import sum_readings
from harness.testing import FakeClock

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
