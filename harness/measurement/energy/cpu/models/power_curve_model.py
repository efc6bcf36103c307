"""A model of energy from a published power curve, for machines without a counter; never called measured.

    load   = CPU time of the process tree / (virtual CPUs x window)
    energy = virtual CPUs x watts of one at that load x window

Unlike the model of CPU time it has idle power: a machine that waits is paid for. CPU time of other processes
is not in it. The load is the mean of the window.
"""

import math
import time
from collections.abc import Callable

from harness.common.json_types import JsonObject
from harness.common.procfs import TreeCpuTime
from harness.measurement.energy.counters.counter import available, unavailable
from harness.measurement.energy.cpu.models.cpu_time_model import STEP_NS, WindowStart
from harness.measurement.energy.cpu.models.power_curves import MachinePower, PowerCurve
from harness.measurement.energy.meter import MeterSpec, TimedWindow
from harness.records.reading import Grade, Reading, Zone

ZONE = Zone("power-curve", "machine share")


class PowerCurveMeter:
    """Looks up the power of the machine at the load that the calling process tree makes.

    `cpu_time` returns nanoseconds of CPU time, `clock` monotonic nanoseconds.
    """

    name = "modelled"
    grade: Grade = "modelled"

    def __init__(
        self,
        machine: MachinePower,
        cpu_time: Callable[[], int] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._machine = machine
        self._source = f"power curve of {machine.vcpus:g} vCPUs of {machine.name} ({machine.source})"
        self._cpu_time, self._clock = cpu_time or TreeCpuTime(), clock

    def zones(self) -> tuple[Zone, ...]:
        """Return its only zone."""
        return (ZONE,)

    def start(self) -> WindowStart:
        """Read the first edge."""
        return WindowStart(cpu_ns=self._cpu_time(), at_ns=self._clock())

    def read(self, mark: WindowStart) -> tuple[Reading, ...]:
        """Read the second edge, and return the energy from edge to edge."""
        cpu_ns = self._cpu_time() - mark.cpu_ns
        return (self._reading(cpu_ns, self._clock() - mark.at_ns, cpu_ns),)

    def read_window(self, mark: WindowStart, window: TimedWindow) -> tuple[Reading, ...]:
        """Return the energy of the window alone; CPU time beside it is uncertain, as it may belong to it."""
        cpu_ns = self._cpu_time() - mark.cpu_ns
        return (self._reading(cpu_ns, window.wall_ns, window.cpu_ns),)

    def _reading(self, between_ns: int, span_ns: int, cpu_ns: int) -> Reading:
        """Return the energy at the load of some CPU time: watts x nanoseconds are nanojoules."""
        if min(between_ns, cpu_ns) < 0:
            reason = "the CPU time decreased, because a process left the process tree"
            return unavailable(ZONE, self._source, span_ns, reason)
        load = cpu_ns / (self._machine.vcpus * span_ns) if span_ns else 0.0
        microjoules = round(self._machine.watts(load) * span_ns / 1000)
        full_watts = self._machine.curve.points[-1][1]
        resolution_uj = math.ceil(full_watts * (2 * STEP_NS + abs(between_ns - cpu_ns)) / 1000)
        return available(ZONE, self._source, span_ns, microjoules, resolution_uj, grade="modelled")

    def describe(self) -> JsonObject:
        """Return the model and its parameters; `watts` and its range are of one virtual CPU by load."""
        curve = self._machine.curve
        return {
            "source": self._source,
            "model": "energy = virtual CPUs x watts of one at the mean load of the process tree x window",
            "machine": self._machine.name,
            "vcpus": self._machine.vcpus,
            "watts": _by_load(curve.points),
            "lowest_watts": _by_load(curve.low),
            "highest_watts": _by_load(curve.high),
            "means": "published figures of other servers of this kind; not this machine's",
            **({"because": self._machine.reason} if self._machine.reason else {}),
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process, the curve included."""
        curve = self._machine.curve
        return {
            "meter": "modelled",
            "machine": self._machine.name,
            "vcpus": self._machine.vcpus,
            "source": self._machine.source,
            "curve": [[list(point) for point in points] for points in (curve.points, curve.low, curve.high)],
        }

    def obstacle(self) -> tuple[str, str] | None:
        """Return None: CPU time is always readable."""
        return None


def open_power_curve(spec: MeterSpec) -> PowerCurveMeter:
    """Open the meter that `PowerCurveMeter.spec` described."""
    points, low, high = (tuple((float(load), float(watts)) for load, watts in part) for part in spec["curve"])
    curve = PowerCurve(points, low, high)
    return PowerCurveMeter(
        MachinePower(str(spec["machine"]), float(spec["vcpus"]), curve, str(spec["source"]))
    )


def _by_load(points: tuple[tuple[float, float], ...]) -> JsonObject:
    return {f"{100 * load:g} %": watts for load, watts in points}
