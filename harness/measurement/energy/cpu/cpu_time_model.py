"""CPU time in other units: what to show where no counter can be read, and never to be called measured.

    energy = CPU time of the process tree x watts per CPU

The watts are one constant for a whole run, so ratios of modelled energy are ratios of CPU time, whatever the
constant is. The model sees no memory traffic, no clock frequency, no vector width and no idle power.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.common.procfs import TreeCpuTime
from harness.records.reading import Grade, Reading, Zone

ZONE = Zone("cpu-time", "process share")
STEP_NS = 1_000  # the kernel tells the CPU time of ended children in microseconds


@dataclass(frozen=True, slots=True)
class WindowStart:
    """The first edge: clock and CPU time in nanoseconds."""

    at_ns: int
    cpu_ns: int


class CpuTimeMeter:
    """Multiplies the CPU time of the calling process tree by a constant.

    `source` says where the watts come from. `cpu_time` returns nanoseconds of CPU time, `clock` monotonic
    nanoseconds.
    """

    def __init__(
        self,
        watts_per_cpu: float,
        source: str,
        cpu_time: Callable[[], int] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._watts_per_cpu, self._source = watts_per_cpu, source
        self._cpu_time, self._clock = cpu_time or TreeCpuTime(), clock

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "modelled"

    @property
    def grade(self) -> Grade:
        """The best grade its readings can have."""
        return "modelled"

    def zones(self) -> tuple[Zone, ...]:
        """Return its only zone."""
        return (ZONE,)

    def start(self) -> WindowStart:
        """Read the first edge."""
        return WindowStart(cpu_ns=self._cpu_time(), at_ns=self._clock())

    def read(self, mark: WindowStart) -> tuple[Reading, ...]:
        """Read the second edge: watts x nanoseconds are nanojoules."""
        span_ns = self._clock() - mark.at_ns
        cpu_ns = self._cpu_time() - mark.cpu_ns
        lost = cpu_ns < 0
        return (
            Reading(
                zone=ZONE.name,
                grade="unavailable" if lost else "modelled",
                scope=ZONE.scope,
                source=f"CPU time x {self._source}",
                microjoules=None if lost else round(self._watts_per_cpu * cpu_ns / 1000),
                span_ns=span_ns,
                resolution_uj=0 if lost else math.ceil(2 * self._watts_per_cpu * STEP_NS / 1000),
                samples=0 if lost else 2,
                reason="CPU time went back: a process left the tree unseen" if lost else None,
            ),
        )

    def describe(self) -> dict[str, Any]:
        """Return the model and its parameters."""
        return {
            "source": f"CPU time x {self._source}",
            "model": "energy = CPU time of the process tree x watts per CPU",
            "watts_per_cpu": self._watts_per_cpu,
            "means": "ratios are ratios of CPU time; joules are a guess at the size",
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process; the watts travel with it."""
        return {"meter": "modelled", "watts_per_cpu": self._watts_per_cpu, "source": self._source}

    def obstacle(self) -> tuple[str, str] | None:
        """Return None: CPU time can always be read."""
        return None


def open_modelled(spec: Mapping[str, Any]) -> CpuTimeMeter:
    """Open the meter that `ModelledMeter.spec` described."""
    return CpuTimeMeter(float(spec["watts_per_cpu"]), str(spec["source"]))
