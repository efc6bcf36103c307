"""RAPL through perf events: a small copy of the kernel's files, and a fake kernel."""

import errno
import gc
import json
import os
from pathlib import Path

import pytest

from harness.measurement.energy.cpu.rapl_perf import ALLOW, NO_TREE, KernelPerf, RaplPerfMeter, open_perf
from harness.measurement.energy.selection import choose_meter
from harness.records.reading import sum_readings
from harness.testing import FakeClock

SECOND = 1_000_000_000
SCALE = "2.3283064365386962890625e-10"  # 2^-32 J
COUNTS_PER_J = 2**32
EVENTS = {
    "energy-pkg": "event=0x02",
    "energy-ram": "event=0x03",
    "energy-cores": "event=0x01",
    "energy-psys": "event=0x05",
}


def events_tree(root: Path, cpumask: str = "0,28", *, packages: str = "01", paranoid: str = "4") -> Path:
    """Write the files of a machine with two sockets, whose first CPUs are 0 and 28."""
    device = root / "sys/bus/event_source/devices/power"
    (device / "events").mkdir(parents=True)
    (device / "type").write_text("23\n")
    (device / "cpumask").write_text(f"{cpumask}\n")
    for name, config in EVENTS.items():
        (device / "events" / name).write_text(f"{config}\n")
        (device / "events" / f"{name}.scale").write_text(f"{SCALE}\n")
        (device / "events" / f"{name}.unit").write_text("Joules\n")
    for cpu, package in zip(cpumask.split(","), packages, strict=True):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        (topology / "die_id").write_text(f"{int(cpu) // 28}\n")
    level = root / "proc/sys/kernel/perf_event_paranoid"
    level.parent.mkdir(parents=True)
    level.write_text(f"{paranoid}\n")
    return root


class FakePerf:
    """Counts as a test sets it; `refuses` is the error number with which `open` fails."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses, self.broken = refuses, False
        self.opened: list[tuple[int, int, int]] = []
        self.counts: dict[int, int] = {}
        self.closed: list[int] = []

    def open(self, kind: int, config: int, cpu: int) -> int:
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        self.opened.append((kind, config, cpu))
        self.counts[len(self.opened)] = 0
        return len(self.opened)

    def read(self, handle: int) -> int:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self.counts[handle]

    def close(self, handle: int) -> None:
        self.closed.append(handle)

    def advance(self, joules: float) -> None:
        """Add this many joules to every event."""
        for handle in self.counts:
            self.counts[handle] += round(joules * COUNTS_PER_J)


def test_packages_and_memory_of_every_socket_are_counted_once(tmp_path: Path) -> None:
    """2 packages and 2 memories at 40 J are 160 J; cores and psys are not opened."""
    perf, clock = FakePerf(), FakeClock()
    meter = RaplPerfMeter(events_tree(tmp_path), clock, perf=perf)
    mark = meter.start()
    perf.advance(40)
    clock.advance(SECOND)
    readings = meter.read(mark)
    whole = sum_readings(readings)
    assert whole is not None
    assert (whole.microjoules, whole.scope, whole.grade) == (160_000_000, "package+dram", "measured")
    assert [reading.zone for reading in readings] == [
        "package-0",
        "package-1",
        "package-0/dram",
        "package-1/dram",
    ]
    assert perf.opened == [(23, 2, 0), (23, 2, 28), (23, 3, 0), (23, 3, 28)]
    assert meter.describe()["left_out"] == [
        ["energy-cores", "lies inside its package"],
        ["energy-psys", "contains the packages"],
    ]


def test_the_count_is_scaled_to_microjoules_with_rapls_steps(tmp_path: Path) -> None:
    """2^31 counts of 2^-32 J are 0.5 J; 2 x 1 ms x 0.5 W = 1,000 uJ, and two quanta of 61.04 uJ: 1,123."""
    perf, clock = FakePerf(), FakeClock()
    meter = RaplPerfMeter(events_tree(tmp_path), clock, perf=perf)
    mark = meter.start()
    perf.advance(0.5)
    clock.advance(SECOND)
    first = meter.read(mark)[0]
    assert (first.microjoules, first.resolution_uj, first.source) == (500_000, 1_123, "RAPL perf events")


def test_a_package_that_is_counted_by_dies_is_a_zone_for_each(tmp_path: Path) -> None:
    """Two CPUs of one package in the mask: the names are powercap's."""
    meter = RaplPerfMeter(events_tree(tmp_path, packages="00"), perf=FakePerf())
    assert [zone.name for zone in meter.zones()[:2]] == ["package-0-die-0", "package-0-die-1"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_refused_event_names_the_setting_and_the_capability(tmp_path: Path, number: int) -> None:
    """The obstacle has the value of perf_event_paranoid, the remedy names it and CAP_PERFMON."""
    meter = RaplPerfMeter(events_tree(tmp_path), FakeClock(), perf=FakePerf(number))
    reason = "permission denied (perf_event_paranoid is 4)"
    assert meter.obstacle() == (f"package-0: {reason}", ALLOW)
    assert "perf_event_paranoid" in ALLOW
    assert "cap_perfmon" in ALLOW
    assert {reading.reason for reading in meter.read(meter.start())} == {reason}


def test_a_kernel_without_perf_events_is_an_obstacle(tmp_path: Path) -> None:
    """Neither a machine without the device, nor one whose kernel lacks the call."""
    assert RaplPerfMeter(tmp_path, perf=FakePerf()).obstacle() == (
        "the kernel offers no event energy-pkg",
        NO_TREE,
    )
    meter = RaplPerfMeter(events_tree(tmp_path), perf=FakePerf(errno.ENOSYS))
    assert meter.obstacle() == (
        "package-0: the event could not be opened (Function not implemented)",
        NO_TREE,
    )


def test_memory_alone_is_no_machine(tmp_path: Path) -> None:
    """Without packages nothing is offered, rather than a part of the energy as the whole."""
    root = events_tree(tmp_path)
    events = root / "sys/bus/event_source/devices/power/events"
    (events / "energy-pkg").unlink()
    (events / "energy-psys").unlink()
    assert RaplPerfMeter(root, perf=FakePerf()).zones() == ()


def test_psys_alone_is_the_whole_platform(tmp_path: Path) -> None:
    """70 J of scope system, by a source of its own; memory lies inside it."""
    root, perf, clock = events_tree(tmp_path), FakePerf(), FakeClock()
    (root / "sys/bus/event_source/devices/power/events/energy-pkg").unlink()
    meter = RaplPerfMeter(root, clock, perf=perf)
    mark = meter.start()
    perf.advance(70)
    clock.advance(SECOND)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.scope) == (70_000_000, "system")
    assert reading.source == "RAPL perf events, psys"


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.EMFILE, "ulimit"), (errno.EINVAL, "dmesg"), (errno.ENODEV, "VMs have no RAPL")],
)
def test_an_event_that_does_not_open_has_the_remedy_of_its_cause(
    tmp_path: Path, number: int, word: str
) -> None:
    """Too many files, an event that the kernel refuses, a machine without counters."""
    _, remedy = RaplPerfMeter(events_tree(tmp_path), perf=FakePerf(number)).obstacle() or ("", "")
    assert word in remedy


def test_dies_without_a_number_keep_names_of_their_own(tmp_path: Path) -> None:
    """A kernel that shows die 0 for both CPUs of a package: two zones, not one that counts twice."""
    root = events_tree(tmp_path, packages="00")
    (root / "sys/devices/system/cpu/cpu28/topology/die_id").write_text("0\n")
    names = [zone.name for zone in RaplPerfMeter(root, perf=FakePerf()).zones()]
    assert names[:2] == ["package-0-die-0", "package-0-die-0-cpu-28"]
    assert len({*names}) == 4


def test_an_event_in_another_unit_is_left_out(tmp_path: Path) -> None:
    """What is not in joules is not guessed."""
    root = events_tree(tmp_path)
    (root / "sys/bus/event_source/devices/power/events/energy-ram.unit").write_text("Watts\n")
    meter = RaplPerfMeter(root, perf=FakePerf())
    assert [zone.name for zone in meter.zones()] == ["package-0", "package-1"]
    assert meter.describe()["left_out"][0] == ["energy-ram", "its unit or its number is not the usual one"]


def test_a_read_that_fails_in_the_middle_is_unavailable(tmp_path: Path) -> None:
    """It is neither zero nor the whole count."""
    perf, clock = FakePerf(), FakeClock()
    meter = RaplPerfMeter(events_tree(tmp_path), clock, perf=perf)
    mark = meter.start()
    clock.advance(SECOND)
    perf.broken = True
    assert meter.read(mark)[0].reason == "the event could not be read (Input/output error)"


def test_events_are_closed_with_the_meter(tmp_path: Path) -> None:
    """A run chooses meters several times and must not run out of files."""
    perf = FakePerf()
    meter = RaplPerfMeter(events_tree(tmp_path), perf=perf)
    del meter
    gc.collect()
    assert perf.closed == [1, 2, 3, 4]


def test_the_choice_falls_to_perf_where_powercap_is_closed(tmp_path: Path) -> None:
    """The record lists the skipped meters; the spec opens the same events again."""
    root = events_tree(tmp_path)
    choice = choose_meter("cpu", root=tmp_path / "absent", system=root, perf=FakePerf())
    assert choice.meter is not None
    assert (choice.meter.name, choice.skipped[0][0]) == ("perf", "rapl")
    again = open_perf(json.loads(json.dumps(choice.meter.spec())))  # type: ignore[attr-defined]
    assert again.zones() == choice.meter.zones()


def test_the_real_kernel_opens_an_event() -> None:
    """An event that is everywhere (software, the clock of a CPU) counts, where it may be opened."""
    kernel = KernelPerf()
    try:
        handle = kernel.open(1, 0, 0)
    except OSError as refused:
        pytest.skip(f"perf_event_open: {refused}")
    first = kernel.read(handle)
    assert kernel.read(handle) >= first >= 0
    kernel.close(handle)
