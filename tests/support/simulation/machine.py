"""A simulated machine of known energy: real files, and an NVML, that count the CPU time of this process tree.

    this process and its workers --TreeClock--> CPU time --Draw--> exact energy --Sensor--> counters
                                                                    |
                                                    exact_uj(): the energy that a meter should read

Workers in their own processes read the files as they would read the kernel's. A thread writes them at each
update; its own CPU time does not count.
"""

import contextlib
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from simulation.counter import Draw, Fault, Ledger, Sensor, SimulatedCounter
from simulation.cpu import TreeClock
from simulation.nvml import SimulatedNvml

from harness.testing.powercap import PowercapTree

ZONES = {"package-0": Draw(20.0, 8.0), "package-0/core": Draw(17.0, 1.0), "package-0/dram": Draw(3.0, 2.0)}
"""The zones of a server with one socket; core lies inside its package."""

NOT_COUNTED = ("core", "uncore", "psys")
"""Zones that lie inside a package, or around all of them."""

BOARD = Draw(150.0, 40.0)
BOARD_SENSOR = Sensor(update_ns=100_000_000, quantum_uj=1000.0, range_uj=2**63)

UNREADABLE = (Path("/proc/sys/vm/compact_memory"), Path("/sys/bus/cpu/drivers_probe"))
"""Files that no user may read, not even root."""

MMIO = "mmio"
MIRROR_PHASE_NS = 30_000
"""By how much the updates of a mirror come later: the register is copied from die to die."""

SWITCH_S = 0.0002
"""Python's switch interval between the thread that computes and the one that updates; 5 ms are too long."""


class SimulatedMachine:
    """Counters of a processor with its memory, and of boards, below an empty folder.

    `draws` and `boards` are in watts; all zones of the processor have the same `sensor`. `mirrors` are
    further zones with the zone whose counter they show, each `MIRROR_PHASE_NS` later than the one before.
    `clock` returns monotonic nanoseconds, `cpu_ns` nanoseconds of CPU time; by default they are real, and the
    CPU time is that of this process and its descendants.
    """

    def __init__(
        self,
        folder: Path,
        *,
        draws: Mapping[str, Draw] = ZONES,
        mirrors: Mapping[str, str] | None = None,
        sensor: Sensor | None = None,
        boards: Mapping[int, Draw] | None = None,
        board_sensor: Sensor = BOARD_SENSOR,
        clock: Callable[[], int] = time.monotonic_ns,
        cpu_ns: Callable[[], int] | None = None,
    ) -> None:
        self._clock = clock
        self._overhead_ns = 0
        self._lock = threading.Lock()
        self._ledger = Ledger(clock, cpu_ns or TreeClock(clock=clock, left_out=lambda: self._overhead_ns))
        self._tree = PowercapTree(folder)
        self._folder = folder / "devices"
        sensor, mirrors = sensor or Sensor(), mirrors or {}
        self._places, self._mirrors = places((*draws, *mirrors)), mirrors
        for zone, place in self._places.items():
            name = zone.rpartition("/")[2]
            self._tree.add(zone, place, name, range_uj=sensor.range_uj, energy_uj=int(sensor.start_uj))
        begin = clock()
        sensors = {zone: replace(sensor, seed=sensor.seed + place) for place, zone in enumerate(draws)}
        for late, (zone, source) in enumerate(mirrors.items(), 1):
            sensors[zone] = replace(sensors[source], phase_ns=late * MIRROR_PHASE_NS)
        self._zones = {
            zone: SimulatedCounter(zone, draws[mirrors.get(zone, zone)], sensor, begin)
            for zone, sensor in sensors.items()
        }
        self._boards = {
            index: SimulatedCounter(f"gpu-{index}", draw, board_sensor, begin)
            for index, draw in (boards or {}).items()
        }
        self.nvml = SimulatedNvml(self._boards)

    @property
    def root(self) -> Path:
        """The powercap folder for a RAPL meter."""
        return self._tree.root

    @property
    def counted(self) -> tuple[str, ...]:
        """The zones of packages and memory, of which each is a counter of its own."""
        inside = (zone for zone in self._zones if zone.rpartition("/")[2] not in NOT_COUNTED)
        return tuple(zone for zone in inside if zone not in self._mirrors)

    def counter(self, zone: str) -> SimulatedCounter:
        """Return the counter of a zone, for a simulation of another interface to it."""
        return self._zones[zone]

    def kept_up(self, *names: str) -> bool:
        """Return whether these zones (or package and memory) were updated in time since the last call.

        In time means less than an update period late.
        """
        with self._lock:
            counters = [counter for counter in self._counters() if counter.name in (names or self.counted)]
            in_time = all(counter.worst_late_ns <= counter.sensor.update_ns for counter in counters)
            for counter in counters:
                counter.worst_late_ns = 0
        return in_time

    def exact_uj(self, *names: str) -> float:
        """Return the exact energy of these zones (by default packages and memory) since the beginning."""
        _, cpu_ns, span_ns = self._ledger.now()
        draws = {counter.name: counter.draw for counter in self._counters()}
        return sum(draws[name].microjoules(cpu_ns, span_ns) for name in names or self.counted)

    def tick(self) -> None:
        """Update every counter whose update is due."""
        with self._lock:
            now_ns, cpu_ns, span_ns = self._ledger.now()
            for counter in self._counters():
                if counter.fault != "stuck" and now_ns >= counter.due_ns:
                    counter.update(now_ns, counter.draw.microjoules(cpu_ns, span_ns))
                    if counter.name in self._zones and counter.fault in (None, "backwards"):
                        self._show(counter)

    def break_down(self, name: str, fault: Fault) -> None:
        """Make a zone or board fail from now on."""
        with self._lock:
            for counter in self._counters():
                inside = counter.name.startswith(f"{name}/") and fault == "gone"
                counter.fault = fault if counter.name == name or inside else counter.fault
            if name in self._zones and fault == "gone":
                for zone in self._zones:
                    if zone.startswith(f"{name}/"):
                        self._tree.remove(zone)
                self._tree.remove(name)
            elif name in self._zones and fault == "denied":
                self._deny(self._file(name))

    def mend(self, name: str) -> None:
        """Make a zone or board work again; its counter continues from its present value."""
        with self._lock:
            for counter in self._counters():
                if counter.name == name or counter.name.startswith(f"{name}/"):
                    counter.fault = None
                    if counter.name in self._zones:
                        self._restore(counter)

    @contextmanager
    def running(self) -> Iterator["SimulatedMachine"]:
        """Update the counters in real time, in a thread, until the block ends."""
        stop = threading.Event()
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        thread = threading.Thread(target=self._keep_up, args=(stop,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()
            sys.setswitchinterval(before)

    def _keep_up(self, stop: threading.Event) -> None:
        with contextlib.suppress(OSError):  # real-time priority, which only root has; others may be late
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # 0 is this thread alone
        while not stop.is_set():
            self._overhead_ns = time.thread_time_ns()
            self.tick()
            self._overhead_ns = time.thread_time_ns()
            stop.wait(max(0, min(map(self._due_ns, self._counters())) - self._clock()) / 1e9)

    def _due_ns(self, counter: SimulatedCounter) -> int:
        return counter.due_ns if counter.fault != "stuck" else self._clock() + counter.sensor.update_ns

    def _counters(self) -> tuple[SimulatedCounter, ...]:
        return (*self._zones.values(), *self._boards.values())

    def _file(self, zone: str) -> Path:
        return self._folder / self._places[zone] / "energy_uj"

    def _show(self, counter: SimulatedCounter) -> None:
        """Overwrite the number in its file; all numbers have the same width, so one small write is enough."""
        handle = os.open(self._file(counter.name), os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.pwrite(handle, _text(counter), 0)
        finally:
            os.close(handle)

    def _restore(self, counter: SimulatedCounter) -> None:
        """Restore the zone, or its readable file, after a fault."""
        if not self._file(counter.name).parent.exists():
            name = counter.name.rpartition("/")[2]
            self._tree.add(counter.name, self._places[counter.name], name, range_uj=counter.sensor.range_uj)
        self._file(counter.name).unlink()
        self._file(counter.name).write_bytes(_text(counter))

    def _deny(self, file: Path) -> None:
        """Deny the permission to read, also to root."""
        file.chmod(0)
        hidden = next((path for path in UNREADABLE if path.exists()), None)
        if os.geteuid() == 0 and hidden is not None:
            file.unlink()
            file.symlink_to(hidden)


def places(zones: Iterable[str]) -> dict[str, str]:
    """Return the kernel's folder of each zone: packages and psys in order, and their parts below them.

    `mmio/package-0` is package-0 by the second interface.
    """
    folders = {MMIO: "intel-rapl-mmio"}
    below: dict[str, int] = defaultdict(int)
    for zone in zones:
        parent = folders[zone.partition("/")[0]] if "/" in zone else "intel-rapl"
        folders[zone] = f"{parent}/{parent.rpartition('/')[2]}:{below[parent]}"
        below[parent] += 1
    del folders[MMIO]
    return folders


def _text(counter: SimulatedCounter) -> bytes:
    return b"%020d\n" % counter.shown_uj
