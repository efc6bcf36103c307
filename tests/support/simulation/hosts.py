"""Machines of many kinds, and what each meter reads on them in ten seconds: a table for tests and docs.

Case --run--> a simulated machine --choose, check, read--> "680 J, package+dram", or "refused: why"
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from nvml import FakeBoard, FakeNvml, NvmlError
from simulation.counter import Draw, Fault
from simulation.hwmon import SimulatedHwmon
from simulation.machine import SimulatedMachine
from simulation.perf import SimulatedPerf

from harness.measurement.energy.check import check_meter
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.cpu.codecarbon import CodecarbonMeter
from harness.measurement.energy.cpu.codecarbon_tool import load_tool
from harness.measurement.energy.cpu.hwmon import HwmonMeter
from harness.measurement.energy.cpu.models.cpu_time_model import CpuTimeMeter
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.cpu.rapl_perf import RaplPerfMeter
from harness.measurement.energy.external.meter import ExternalMeter
from harness.measurement.energy.meter import SelectableMeter
from harness.measurement.energy.nvml import NvmlMeter
from harness.measurement.energy.nvml_power import NvmlPowerMeter
from harness.measurement.energy.trial import readable_part, usable_part
from harness.measurement.machine.gpu_boards import boards_of
from harness.records.reading import sum_readings
from harness.testing import FakeClock

SECONDS = 10
MS, SECOND = 1_000_000, 1_000_000_000
NOON_NS = 1_767_268_800 * SECOND


@dataclass(frozen=True, slots=True)
class Case:
    """A machine, a meter on it, the outcome, and the function that finds it below an empty folder."""

    machine: str
    meter: str
    outcome: str
    run: Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Processor:
    """The counters of a processor: watts of each zone, mirrors and faults by zone, and outcomes by meter."""

    name: str
    watts: Mapping[str, float]
    outcomes: Mapping[str, str]
    mirrors: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)


def dies(count: int) -> dict[str, str]:
    """Return the zones of further dies that mirror the first."""
    return {f"package-0-die-{die}": "package-0-die-0" for die in range(1, count)}


ONCE = "680 J, package"
MEMORY = {"package-0": 60.0, "package-0/dram": 8.0}
ROOT_ONLY = "refused: package-0: permission denied"
STILL = "the counter did not move in 1.5 s"

PROCESSORS = (
    Processor(
        "one socket with memory",
        MEMORY,
        {"rapl": "680 J, package+dram", "perf": "680 J, package+dram", "hwmon": "600 J, package"},
    ),
    Processor(
        "two sockets with memory",
        {**MEMORY, "package-1": 30.0, "package-1/dram": 2.0},
        {"rapl": "1,000 J, package+dram", "perf": "1,000 J, package+dram", "hwmon": "900 J, package"},
    ),
    Processor(
        "a desktop: cores inside the package, psys around it",
        {"package-0": 60.0, "package-0/core": 50.0, "psys": 90.0},
        {"rapl": "600 J, package", "perf": "600 J, package"},
    ),
    Processor(
        "two dies that mirror one socket's counter (Threadripper)",
        {"package-0-die-0": 68.0},
        dict.fromkeys(("rapl", "perf", "hwmon"), ONCE),
        mirrors=dies(2),
    ),
    Processor(
        "twelve dies that mirror one socket's counter (EPYC)",
        {"package-0-die-0": 68.0},
        dict.fromkeys(("rapl", "perf", "hwmon"), ONCE),
        mirrors=dies(12),
    ),
    Processor(
        "two dies with a counter each (Cascade Lake AP)",
        {"package-0-die-0": 40.0, "package-0-die-1": 28.0},
        dict.fromkeys(("rapl", "perf", "hwmon"), ONCE),
    ),
    Processor(
        "a memory counter that stands still (Sapphire Rapids)",
        MEMORY,
        {"rapl": "600 J, package", "perf": "600 J, package"},
        faults={"package-0/dram": "stuck"},
    ),
    Processor(
        "a dead MSR counter, and the same package through MMIO",
        {"package-0": 60.0},
        {"rapl": "600 J, package"},
        mirrors={"mmio/package-0": "package-0"},
        faults={"package-0": "stuck"},
    ),
    Processor(
        "two sockets, one of them with a dead counter",
        {"package-0": 60.0, "package-1": 30.0},
        {
            "rapl": f"refused: package-1: {STILL}",
            "perf": f"refused: package-1: {STILL}",
            "hwmon": f"refused: package-1: {STILL}",
        },
        faults={"package-1": "stuck"},
    ),
    Processor("psys alone", {"psys": 90.0}, {"rapl": "900 J, system", "perf": "900 J, system"}),
    Processor(
        "counters that only root may read",
        MEMORY,
        {
            "rapl": f"{ROOT_ONLY} on energy_uj",
            "perf": f"{ROOT_ONLY} (perf_event_paranoid is unknown)",
        },
        faults={"package-0": "denied", "package-0/dram": "denied"},
    ),
    Processor(
        "a virtual machine without counters",
        {},
        {
            "rapl": "refused: the kernel shows no RAPL package zone",
            "perf": "refused: the kernel offers no event energy-pkg",
            "hwmon": "refused: no hwmon driver shows the energy of a socket",
            "modelled": "40 J modelled, process share",
        },
    ),
)


class Host:
    """A processor's simulation on a fake clock, with a meter of each interface to it."""

    def __init__(self, folder: Path, processor: Processor) -> None:
        self._folder, self.clock = folder, FakeClock()
        draws = {zone: Draw(0.0, watts) for zone, watts in processor.watts.items()}
        self.machine = SimulatedMachine(
            folder / "powercap",
            draws=draws,
            mirrors=processor.mirrors,
            clock=self.clock,
            cpu_ns=lambda: self.clock.now_ns,
        )
        self._zones = (*processor.watts, *processor.mirrors)
        self._files: SimulatedHwmon | None = None
        for zone, fault in processor.faults.items():
            self.machine.break_down(zone, fault)

    def meter(self, name: str) -> SelectableMeter:
        """Return the meter of this name."""
        makers: dict[str, Callable[[], SelectableMeter]] = {
            "rapl": lambda: RaplMeter(self.machine.root, self.clock),
            "perf": self._perf,
            "hwmon": self._hwmon,
            "modelled": lambda: CpuTimeMeter(4.0, "4 W", cpu_time=self.clock, clock=self.clock),
        }
        return makers[name]()

    def pass_time(self, nanoseconds: int) -> None:
        """Let time pass, and update all counters."""
        self.clock.advance(nanoseconds)
        self.machine.tick()
        if self._files:
            self._files.show()

    def _packages(self) -> list[str]:
        return [zone for zone in self._zones if zone.startswith("package-") and "/" not in zone]

    def _perf(self) -> SelectableMeter:
        """Return a meter whose cpumask lists a CPU for each die."""
        counted: dict[int, dict[str, str]] = {}
        for cpu, package in enumerate(self._packages()):
            parts = {"package": package, "dram": f"{package}/dram"}
            counted[cpu] = {kind: zone for kind, zone in parts.items() if zone in self._zones}
        if "psys" in self._zones:
            counted.setdefault(0, {})["psys"] = "psys"
        root, places = self._folder / "root", {cpu: _place(zones) for cpu, zones in counted.items()}
        perf = SimulatedPerf(self.machine, root, counted, places) if counted else None
        return RaplPerfMeter(root, self.clock, perf=perf)

    def _hwmon(self) -> SelectableMeter:
        """Return a meter of amd_energy, which shows each package or die as a socket."""
        root = self._folder / "hwmon"
        labels = {f"Esocket{number}": zone for number, zone in enumerate(self._packages())}
        self._files = SimulatedHwmon(self.machine, root, labels) if labels else None
        return HwmonMeter(root, self.clock)


def _place(zones: Mapping[str, str]) -> tuple[int, int]:
    """Return the numbers of package and die: of `package-0-die-1`, 0 and 1."""
    _, package, *die = zones.get("package", "package-0").split("-")
    return int(package), int(die[1]) if die else 0


def on_processor(processor: Processor, name: str, folder: Path) -> str:
    """Return what a meter reads on a processor."""
    host = Host(folder, processor)
    return outcome(host.meter(name), host.clock, host.pass_time)


def outcome(meter: SelectableMeter, clock: FakeClock, pass_time: Callable[[int], None]) -> str:
    """Choose, check and read a meter as a run does, and return what that gives."""
    meter = readable_part(meter)
    if obstacle := meter.obstacle():
        return f"refused: {obstacle[0]}"
    used, check = usable_part(meter, lambda part: check_meter(part, clock, lambda: pass_time(MS)))
    if check.moved is False:
        return f"refused: {check.reason}"
    mark = used.start()
    for _ in range(10 * SECONDS):
        pass_time(SECOND // 10)
        if isinstance(mark, Sampler):
            mark.sample()
    total = sum_readings(used.read(mark))
    if total is None or total.microjoules is None:
        return f"refused: {total.reason if total else 'no zone'}"
    modelled = " modelled" if total.grade == "modelled" else ""
    return f"{total.microjoules / 1e6:,.0f} J{modelled}, {total.scope}"


def on_board(
    board: FakeBoard, folder: Path, *, meter: str = "nvml", visible: str = "0", error: str = ""
) -> str:
    """Return what a meter reads of a board that draws 100 W."""
    del folder

    class Nvml(FakeNvml):
        def nvmlInit(self) -> None:  # noqa: N802 -- NVML's name
            if error:
                raise NvmlError(error)

    clock, nvml = FakeClock(), Nvml(board)
    names = boards_of(0, visible)
    polled = NvmlPowerMeter(names, nvml, clock, every_s=None)
    counted = NvmlMeter(names, nvml, clock)

    def pass_time(nanoseconds: int) -> None:
        updates = clock.now_ns // (100 * MS)
        clock.advance(nanoseconds)
        board.millijoules += 10_000 * (clock.now_ns // (100 * MS) - updates) * bool(board.millijoules)

    return outcome(polled if meter == "nvml-power" else counted, clock, pass_time)


def on_instrument(
    folder: Path, *, ahead_s: int = 0, hole: range = range(0), row: str = "{time},{watts}"
) -> str:
    """Return what `external` reads of a file with 50 W every second, but in a hole."""
    file, wall, clock = folder / "readings.csv", FakeClock(NOON_NS), FakeClock()
    file.write_text("time,watts\n")
    written = -20

    def pass_time(nanoseconds: int) -> None:
        nonlocal written
        clock.advance(nanoseconds)
        wall.advance(nanoseconds)
        with file.open("a") as handle:
            while written <= (wall.now_ns - NOON_NS) // SECOND + ahead_s:
                if written not in hole:
                    handle.write(row.format(time=NOON_NS // SECOND + written, watts="50.0") + "\n")
                written += 1

    pass_time(0)
    meter = ExternalMeter(str(file), clock, wall=wall, sleep=lambda seconds: pass_time(round(seconds * 1e9)))
    if obstacle := meter.obstacle():
        return f"refused: {obstacle[0]}"
    mark = meter.start()
    pass_time(SECONDS * SECOND)
    (reading,) = meter.read(mark)
    if reading.microjoules is None:
        return f"refused: {reading.reason}"
    return f"{reading.microjoules / 1e6:,.0f} J, {reading.scope}"


def on_codecarbon(processor: Processor, folder: Path, *, lost: str = "") -> str:
    """Return what the real codecarbon reads on a processor, of which it loses a zone within the window."""
    host = Host(folder, processor)
    tree = folder / "powercap" / "devices"
    meter = CodecarbonMeter(host.clock, tool=lambda: load_tool(tree))
    if obstacle := meter.obstacle():
        return f"refused: {obstacle[0]}"
    mark = meter.start()
    host.pass_time(SECONDS * SECOND)
    if lost:
        host.machine.break_down(lost, "denied")
    (reading,) = meter.read(mark)
    if reading.microjoules is None:
        return f"refused: {reading.reason}"
    return f"{reading.microjoules / 1e6:,.0f} J, {reading.scope}"


def _mig() -> FakeBoard:
    return FakeBoard("GPU-a", instances=("MIG-1",))


BOARDS = (
    Case("a board with a counter", "nvml", "1,000 J, board", lambda at: on_board(FakeBoard(), at)),
    Case(
        "a board without a counter",
        "nvml",
        "refused: gpu-0: the counter reads 0, as on a board that has none",
        lambda at: on_board(FakeBoard(millijoules=0), at),
    ),
    Case(
        "a board without a counter",
        "nvml-power",
        "1,000 J, board",
        lambda at: on_board(FakeBoard(architecture=6), at, meter="nvml-power"),
    ),
    Case("a MIG instance", "nvml", "1,000 J, shared board", lambda at: on_board(_mig(), at, visible="MIG-1")),
    Case(
        "a power sensor that shows 0xFFFFFFFF mW",
        "nvml-power",
        "refused: gpu-0: the sensor reads 4,294,967 W, and the board draws 1,400 W at most",
        lambda at: on_board(FakeBoard(milliwatts=0xFFFFFFFF), at, meter="nvml-power"),
    ),
    Case(
        "a driver that was updated and not loaded",
        "nvml",
        "refused: NVML reports: Driver/library version mismatch",
        lambda at: on_board(FakeBoard(), at, error="Driver/library version mismatch"),
    ),
    Case(
        "an unknown UUID in CUDA_VISIBLE_DEVICES",
        "nvml",
        "refused: CUDA_VISIBLE_DEVICES names a GPU that NVML does not list",
        lambda at: on_board(FakeBoard(), at, visible="GPU-ff"),
    ),
)

INSTRUMENTS = (
    Case("an instrument that writes 50 W every second", "external", "500 J, system", on_instrument),
    Case(
        "the same, hung for 8 s",
        "external",
        "refused: the rows have a hole of 9 s, and one comes every 1 s",
        lambda at: on_instrument(at, hole=range(1, 9)),
    ),
    Case(
        "the same, its clock 30 s ahead",
        "external",
        "refused: readings.csv: its last row is 30 s later than now: its clock runs ahead",
        lambda at: on_instrument(at, ahead_s=30),
    ),
    Case(
        "the same, with decimal commas",
        "external",
        "refused: readings.csv: line 2: it has 3 fields, and the heading has 2",
        lambda at: on_instrument(at, row="{time},50,0"),
    ),
)

TWO = Processor("two sockets", {"package-0": 60.0, "package-1": 30.0}, {})
CODECARBON = (
    Case("two sockets", "codecarbon", "900 J, package", partial(on_codecarbon, TWO)),
    Case(
        "two sockets, one lost within the window",
        "codecarbon",
        "refused: codecarbon left package-1 out of its sum: its counter could not be read",
        partial(on_codecarbon, TWO, lost="package-1"),
    ),
    Case(
        "psys alone",
        "codecarbon",
        "900 J, system",
        partial(on_codecarbon, Processor("psys alone", {"psys": 90.0}, {})),
    ),
)


def cases() -> Iterator[Case]:
    """Yield every machine with every meter that is tried on it."""
    for processor in PROCESSORS:
        for name, expected in processor.outcomes.items():
            yield Case(processor.name, name, expected, partial(on_processor, processor, name))
    yield from (*CODECARBON, *BOARDS, *INSTRUMENTS)
