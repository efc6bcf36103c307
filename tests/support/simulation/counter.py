"""Energy counters whose joules are known: what is drawn is exact, what is shown has steps, quanta and wraps.

CPU time and wall time --Draw--> exact microjoules --SimulatedCounter--> what a meter can read
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Fault = Literal["denied", "stuck", "gone", "backwards"]
"""Permission is lost; the counter stands still; the zone goes away; the counter runs down."""

SERVER_RANGE_UJ = 262_143_328_850
"""What Intel's servers show: 2^32 units of 2^-14 J."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What is drawn: watts for each second of CPU time, and watts at all times."""

    busy_watts: float
    idle_watts: float

    def microjoules(self, cpu_ns: int, span_ns: int) -> float:
        """Return the exact energy: watts times nanoseconds are nanojoules."""
        return (self.busy_watts * cpu_ns + self.idle_watts * span_ns) / 1000

    def __add__(self, other: "Draw") -> "Draw":
        return Draw(self.busy_watts + other.busy_watts, self.idle_watts + other.idle_watts)


@dataclass(frozen=True, slots=True)
class Sensor:
    """How a counter shows what is drawn.

    It steps every `update_ns` nanoseconds in whole quanta and wraps at `range_uj`. `noise` is the relative
    standard deviation of each step, drawn by `seed`. `start_uj` is where the counter begins.
    """

    update_ns: int = 1_000_000
    quantum_uj: float = SERVER_RANGE_UJ / 2**32
    range_uj: int = SERVER_RANGE_UJ
    noise: float = 0.0
    seed: int = 0
    start_uj: float = 0.0


class SimulatedCounter:
    """One counter: keeps the exact energy, and shows it as its sensor does, once an update is due."""

    def __init__(self, name: str, draw: Draw, sensor: Sensor, now_ns: int) -> None:
        self.name, self.draw, self.sensor = name, draw, sensor
        self.fault: Fault | None = None
        self.watts = draw.idle_watts
        self.worst_late_ns = 0
        self._random = random.Random(sensor.seed)
        self._total_uj = sensor.start_uj
        self._exact_uj = 0.0
        self._at_ns = now_ns
        self.due_ns = now_ns + sensor.update_ns
        self.shown_uj = self._quantised()

    def update(self, now_ns: int, exact_uj: float) -> None:
        """Take a step; a late one is remembered, and those that were missed are left out."""
        self.worst_late_ns = max(self.worst_late_ns, now_ns - self.due_ns)
        missed = (now_ns - self.due_ns) // self.sensor.update_ns
        self.due_ns += (missed + 1) * self.sensor.update_ns
        step = max(0.0, exact_uj - self._exact_uj)
        seen = (
            max(0.0, step * (1 + self._random.gauss(0.0, self.sensor.noise))) if self.sensor.noise else step
        )
        self._total_uj += -seen if self.fault == "backwards" else seen
        if now_ns > self._at_ns:
            self.watts = 1000 * seen / (now_ns - self._at_ns)  # uJ over ns is kW
        self._exact_uj, self._at_ns = self._exact_uj + step, now_ns
        self.shown_uj = self._quantised()

    def _quantised(self) -> int:
        quanta = self._total_uj // self.sensor.quantum_uj
        return int(quanta * self.sensor.quantum_uj) % self.sensor.range_uj


class Ledger:
    """The simulation's own account: exact energy since it began, from a clock and a clock of CPU time."""

    def __init__(self, clock: Callable[[], int], cpu_ns: Callable[[], int]) -> None:
        self._clock, self._cpu_ns = clock, cpu_ns
        self._begin_ns, self._begin_cpu_ns = clock(), cpu_ns()

    def now(self) -> tuple[int, int, int]:
        """Return the time, and since the beginning nanoseconds of CPU time and of wall time."""
        now_ns, cpu_ns = self._clock(), self._cpu_ns()
        return now_ns, cpu_ns - self._begin_cpu_ns, now_ns - self._begin_ns
