"""One physical counter under several names: left out where it mirrors another, added where it does not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from simulation.counter import Draw, Sensor
from simulation.hwmon import SimulatedHwmon
from simulation.machine import SimulatedMachine
from simulation.perf import SimulatedPerf

from harness.measurement.energy.check import UNCERTAIN, MeterCheck, check_meter
from harness.measurement.energy.counters.mirrors import MirrorSearch
from harness.measurement.energy.cpu.hwmon import HwmonMeter
from harness.measurement.energy.cpu.rapl import RaplMeter, open_rapl
from harness.measurement.energy.cpu.rapl_perf import RaplPerfMeter
from harness.measurement.energy.meter import Meter
from harness.measurement.energy.trial import usable_part
from harness.records.reading import Zone, sum_readings
from harness.testing import FakeClock

SECOND = 1_000_000_000


class Dies:
    """A socket of several dies on a fake clock: mirrors of one counter, or a counter each."""

    def __init__(
        self,
        folder: Path,
        watts: list[float],
        mirrors: int = 0,
        sensor: Sensor | None = None,
        dram: float = 0.0,
    ) -> None:
        self.clock = FakeClock()
        draws = {f"package-0-die-{die}": Draw(0.0, value) for die, value in enumerate(watts)}
        shown = {f"package-0-die-{len(watts) + die}": "package-0-die-0" for die in range(mirrors)}
        if dram:
            draws["package-0-die-0/dram"] = Draw(0.0, dram)
            shown |= {f"{zone}/dram": "package-0-die-0/dram" for zone in list(shown)}
        self.machine = SimulatedMachine(
            folder, draws=draws, mirrors=shown, sensor=sensor, clock=self.clock, cpu_ns=lambda: 0
        )
        self.packages = [zone for zone in (*draws, *shown) if not zone.endswith("/dram")]
        self.work: Callable[[], None] = self.machine.tick

    def rapl(self) -> RaplMeter:
        """Return a meter of the powercap tree."""
        return RaplMeter(self.machine.root, self.clock)

    def perf(self, root: Path) -> RaplPerfMeter:
        """Return a meter of perf events, whose cpumask lists a CPU for each die."""
        zones = {16 * die: {"package": zone} for die, zone in enumerate(self.packages)}
        places = {cpu: (0, cpu // 16) for cpu in zones}
        return RaplPerfMeter(root, self.clock, perf=SimulatedPerf(self.machine, root, zones, places))

    def hwmon(self, root: Path) -> HwmonMeter:
        """Return a meter of amd_energy, which takes each die for a socket."""
        labels = {f"Esocket{die}": zone for die, zone in enumerate(self.packages)}
        files = SimulatedHwmon(self.machine, root, labels)

        def work() -> None:
            self.machine.tick()
            files.show()

        self.work = work
        return HwmonMeter(root, self.clock)

    def check(self, meter: Meter, read_ns: int = 1_000_000) -> tuple[Meter, MeterCheck]:
        """Check a meter, and leave out what the check found."""

        def work() -> None:
            self.clock.advance(read_ns)
            self.work()

        return usable_part(meter, lambda part: check_meter(part, self.clock, work))

    def joules(self, meter: Meter, seconds: int) -> float:
        """Return the sum that a meter reads in a window."""
        mark = meter.start()
        self.clock.advance(seconds * SECOND)
        self.work()
        total = sum_readings(meter.read(mark))
        assert total is not None
        assert total.microjoules is not None, total.reason
        return total.microjoules / 1e6


METERS: dict[str, Callable[[Dies, Path], Meter]] = {
    "rapl": lambda dies, _: dies.rapl(),
    "perf": lambda dies, root: dies.perf(root),
    "hwmon": lambda dies, root: dies.hwmon(root),
}


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize(("dies", "watts", "seconds", "joules"), [(2, 68.0, 5, 340), (12, 200.0, 10, 2000)])
def test_mirrored_dies_are_counted_once(
    tmp_path: Path, name: str, dies: int, watts: float, seconds: int, joules: int
) -> None:
    """68 W for 5 s are 340 J, not 680; 200 W for 10 s are 2,000 J, not 24,000."""
    socket = Dies(tmp_path / "powercap", [watts], mirrors=dies - 1)
    meter, check = socket.check(METERS[name](socket, tmp_path / "root"))
    assert (check.moved, len(meter.zones())) == (True, 1)
    assert socket.joules(meter, seconds) == pytest.approx(joules, abs=0.3)


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize("watts", [[40.0, 28.0], [10.0 + die for die in range(12)]])
def test_dies_with_counters_of_their_own_are_added_up(tmp_path: Path, name: str, watts: list[float]) -> None:
    """40 + 28 W for 5 s are 340 J; 10 + 11 + ... + 21 W for 5 s are 930 J. Nothing is left out."""
    socket = Dies(tmp_path / "powercap", watts)
    meter, check = socket.check(METERS[name](socket, tmp_path / "root"))
    assert (check.moved, check.left_out, len(meter.zones())) == (True, (), len(watts))
    assert socket.joules(meter, 5) == pytest.approx(5 * sum(watts), abs=0.1 * len(watts))


@pytest.mark.parametrize("watts", [[34.0, 34.2], [34.0, 34.0]])
def test_separate_dies_of_nearly_the_same_power_are_added_up(tmp_path: Path, watts: list[float]) -> None:
    """34.0 and 34.2 W, or 34 W each, with 5 % of noise: the values drift, as those of mirrors never do."""
    socket = Dies(tmp_path, watts, sensor=Sensor(noise=0.05, seed=7))
    meter, check = socket.check(socket.rapl())
    assert (check.moved, check.left_out) == (True, ())
    assert len(meter.zones()) == 2


def test_what_mirrors_is_named_in_the_check_the_facts_and_the_spec(tmp_path: Path) -> None:
    """The record holds which zone was left out and why, and a worker opens the same zones."""
    socket = Dies(tmp_path, [68.0], mirrors=1)
    meter, check = socket.check(socket.rapl())
    reason = "mirrors package-0-die-0: the two differ by next to nothing whenever they are read"
    assert check.left_out == (("package-0-die-1", reason),)
    assert ["package-0-die-1 (intel-rapl:1)", reason] in meter.describe()["left_out"]
    assert isinstance(meter, RaplMeter)
    assert open_rapl(json.loads(json.dumps(meter.spec()))).zones() == meter.zones()


def test_memory_of_mirrored_dies_is_counted_once_beside_the_package(tmp_path: Path) -> None:
    """60 W of the socket and 8 W of its memory for 5 s: 340 J, package+dram."""
    socket = Dies(tmp_path, [60.0], mirrors=1, dram=8.0)
    meter, _ = socket.check(socket.rapl())
    assert [zone.name for zone in meter.zones()] == ["package-0-die-0", "package-0-die-0/dram"]
    assert socket.joules(meter, 5) == pytest.approx(340, abs=0.3)


def test_dies_that_step_too_rarely_to_tell_are_refused(tmp_path: Path) -> None:
    """A step every 100 ms: 15 steps in 1.5 s do not show whether they are one counter or two."""
    socket = Dies(tmp_path, [68.0], mirrors=1, sensor=Sensor(update_ns=100_000_000))
    _, check = socket.check(socket.rapl(), read_ns=5_000_000)
    assert check.moved is False
    assert check.reason == f"package-0-die-0 and package-0-die-1 {UNCERTAIN}"


def test_two_zones_of_one_name_by_one_driver_are_told_apart_by_reading(tmp_path: Path) -> None:
    """Kernels before 5.3 call both dies package-0; here each counts: 40 + 28 W for 5 s are 340 J."""
    socket = Dies(tmp_path, [40.0, 28.0])
    for folder in socket.machine.root.iterdir():
        (folder / "name").write_text("package-0\n")
    meter, _ = socket.check(socket.rapl())
    assert [zone.name for zone in meter.zones()] == ["package-0", "package-0 (intel-rapl:1)"]
    assert socket.joules(meter, 5) == pytest.approx(340, abs=0.3)


def pairs(rows: list[tuple[int, int]]) -> MirrorSearch:
    """Return the search after these rows of two zones."""
    search = MirrorSearch([Zone("a", "package"), Zone("b", "package")])
    for first, second in rows:
        search.add({"a": first, "b": second})
    return search


def test_a_reader_that_pauses_between_two_zones_does_not_separate_mirrors() -> None:
    """Every 20th row is read 30 steps late in its second half, as by a process that was held up."""
    rows = [(step * 1000, (step + (30 if step % 20 == 0 else 0)) * 1000) for step in range(1, 400)]
    assert pairs(rows).mirrors() == {"b": "a"}


def test_a_mirror_may_be_updated_later_than_the_first() -> None:
    """Every other row is read between the two updates: the second is a step behind, and then the same."""
    rows = [(step * 1000, behind * 1000) for step in range(2, 60) for behind in (step - 1, step)]
    assert pairs(rows).mirrors() == {"b": "a"}


def test_counters_of_the_same_power_that_seldom_agree_are_separate() -> None:
    """The second differs by 3 % of a step, up or down: never two steps apart, and never the same."""
    rows = [(step * 1000, step * 1000 + (-30 if step % 2 else 30)) for step in range(1, 60)]
    assert pairs(rows).decided()


def test_counters_that_drift_apart_are_decided_at_once() -> None:
    """20 % apart: after some 20 steps nothing more need be read."""
    search = pairs([(step * 1000, step * 1200) for step in range(1, 30)])
    assert search.decided()
    assert (search.mirrors(), search.uncertain()) == ({}, [])
