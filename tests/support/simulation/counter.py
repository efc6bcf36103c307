"""Simulated energy counters: the energy is known exactly, and shown in steps and quanta, with wrap-around.

CPU time and wall time --Draw--> exact microjoules --SimulatedCounter--> the value that a meter reads
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Fault = Literal["denied", "stuck", "gone", "backwards"]
"""Permission is denied; the counter stops; the zone disappears; the counter decreases."""

SERVER_RANGE_UJ = 262_143_328_850
"""The range of Intel's servers: 2^32 units of 2^-14 J."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The power of a zone: watts during each second of CPU time, and watts at all times."""

    busy_watts: float
    idle_watts: float

    def microjoules(self, cpu_ns: int, span_ns: int) -> float:
        """Return the exact energy; watts times nanoseconds are nanojoules."""
        return (self.busy_watts * cpu_ns + self.idle_watts * span_ns) / 1000

    def __add__(self, other: "Draw") -> "Draw":
        return Draw(self.busy_watts + other.busy_watts, self.idle_watts + other.idle_watts)


@dataclass(frozen=True, slots=True)
class Sensor:
    """How a counter shows the energy.

    It is updated every `update_ns` nanoseconds, in whole quanta, and wraps around at `range_uj`. `noise` is
    the relative standard deviation of each step, with the random `seed`. `start_uj` is its first value, and
    `phase_ns` the time by which its updates come after those of a counter without one.
    """

    update_ns: int = 1_000_000
    quantum_uj: float = SERVER_RANGE_UJ / 2**32
    range_uj: int = SERVER_RANGE_UJ
    noise: float = 0.0
    seed: int = 0
    start_uj: float = 0.0
    phase_ns: int = 0


class SimulatedCounter:
    """One counter: it adds up the exact energy, and shows it as its sensor does, once an update is due."""

    def __init__(self, name: str, draw: Draw, sensor: Sensor, now_ns: int) -> None:
        self.name, self.draw, self.sensor = name, draw, sensor
        self.fault: Fault | None = None
        self.watts = draw.idle_watts
        self.worst_late_ns = 0
        self._random = random.Random(sensor.seed)
        self._total_uj = sensor.start_uj
        self._exact_uj = 0.0
        self._at_ns = now_ns
        self.due_ns = now_ns + sensor.update_ns + sensor.phase_ns
        self.shown_uj = self._quantised()

    def update(self, now_ns: int, exact_uj: float) -> None:
        """Update the shown value; the worst delay is kept, and missed updates are left out."""
        self.worst_late_ns = max(self.worst_late_ns, now_ns - self.due_ns)
        missed = (now_ns - self.due_ns) // self.sensor.update_ns
        self.due_ns += (missed + 1) * self.sensor.update_ns
        step = max(0.0, exact_uj - self._exact_uj)
        noise = self._random.gauss(0.0, self.sensor.noise) if self.sensor.noise else 0.0
        shown = max(0.0, step * (1 + noise))
        self._total_uj += -shown if self.fault == "backwards" else shown
        if now_ns > self._at_ns:
            self.watts = 1000 * shown / (now_ns - self._at_ns)  # uJ over ns is kW
        self._exact_uj, self._at_ns = self._exact_uj + step, now_ns
        self.shown_uj = self._quantised()

    def _quantised(self) -> int:
        quanta = self._total_uj // self.sensor.quantum_uj
        return int(quanta * self.sensor.quantum_uj) % self.sensor.range_uj


class Ledger:
    """The time since the simulation began, on a clock and on a clock of CPU time."""

    def __init__(self, clock: Callable[[], int], cpu_ns: Callable[[], int]) -> None:
        self._clock, self._cpu_ns = clock, cpu_ns
        self._begin_ns, self._begin_cpu_ns = clock(), cpu_ns()

    def now(self) -> tuple[int, int, int]:
        """Return the time now, and the nanoseconds of CPU time and of wall time since the beginning."""
        now_ns, cpu_ns = self._clock(), self._cpu_ns()
        return now_ns, cpu_ns - self._begin_cpu_ns, now_ns - self._begin_ns
