"""A model of energy from CPU time, for machines without a readable counter; never called measured.

    energy = CPU time of the process tree x watts per CPU

The watts are constant within a run, so a ratio of modelled energies is a ratio of CPU times, whatever the
constant. The model ignores memory traffic, clock frequency, vector width and idle power.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.common.json_types import JsonObject
from harness.common.procfs import TreeCpuTime
from harness.measurement.energy.counters.counter import available, unavailable
from harness.measurement.energy.meter import MeterSpec, TimedWindow
from harness.records.reading import Grade, Reading, Zone

ZONE = Zone("cpu-time", "process share")
STEP_NS = 1_000  # the kernel shows the CPU time of ended children in microseconds


@dataclass(frozen=True, slots=True)
class WindowStart:
    """The first edge of a window: clock and CPU time, in nanoseconds."""

    at_ns: int
    cpu_ns: int


class CpuTimeMeter:
    """Multiplies the CPU time of the calling process tree by a constant.

    `source` is the origin of the watts. `cpu_time` returns nanoseconds of CPU time, `clock` monotonic
    nanoseconds.
    """

    name = "modelled"
    grade: Grade = "modelled"

    def __init__(
        self,
        watts_per_cpu: float,
        source: str,
        cpu_time: Callable[[], int] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._watts_per_cpu, self._origin = watts_per_cpu, source
        self._source = f"CPU time x {source}"
        self._cpu_time, self._clock = cpu_time or TreeCpuTime(), clock

    def zones(self) -> tuple[Zone, ...]:
        """Return its only zone."""
        return (ZONE,)

    def start(self) -> WindowStart:
        """Read the first edge."""
        return WindowStart(at_ns=self._clock(), cpu_ns=self._cpu_time())

    def read(self, mark: WindowStart) -> tuple[Reading, ...]:
        """Read the second edge, and return the energy from edge to edge."""
        cpu_ns = self._cpu_time() - mark.cpu_ns
        return (self._reading(cpu_ns, self._clock() - mark.at_ns, cpu_ns),)

    def read_window(self, mark: WindowStart, window: TimedWindow) -> tuple[Reading, ...]:
        """Return the energy of the window's own CPU time.

        What the process tree used between the meter's edges and the window's is uncertain: it may belong to
        the window, as clocks are not read at one moment.
        """
        cpu_ns = self._cpu_time() - mark.cpu_ns
        return (self._reading(cpu_ns, window.wall_ns, window.cpu_ns),)

    def _reading(self, between_ns: int, span_ns: int, cpu_ns: int) -> Reading:
        """Return the energy of some CPU time, of which `between_ns` passed between the edges."""
        if min(between_ns, cpu_ns) < 0:
            reason = "the CPU time decreased, because a process left the process tree"
            return unavailable(ZONE, self._source, span_ns, reason)
        microjoules = round(self._watts_per_cpu * cpu_ns / 1000)  # W x ns = nJ
        uncertain_ns = 2 * STEP_NS + abs(between_ns - cpu_ns)
        resolution_uj = math.ceil(self._watts_per_cpu * uncertain_ns / 1000)
        return available(ZONE, self._source, span_ns, microjoules, resolution_uj, grade="modelled")

    def describe(self) -> JsonObject:
        """Return the model and its parameters."""
        return {
            "source": self._source,
            "model": "energy = CPU time of the process tree x watts per CPU",
            "watts_per_cpu": self._watts_per_cpu,
            "means": "ratios are ratios of CPU time; thermal design power is a limit, of unknown error",
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process, watts included."""
        return {"meter": "modelled", "watts_per_cpu": self._watts_per_cpu, "source": self._origin}

    def obstacle(self) -> tuple[str, str] | None:
        """Return None: CPU time is always readable."""
        return None


def open_cpu_time(spec: MeterSpec) -> CpuTimeMeter:
    """Open the meter that `CpuTimeMeter.spec` described."""
    return CpuTimeMeter(float(spec["watts_per_cpu"]), str(spec["source"]))
