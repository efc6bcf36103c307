"""What codecarbon would say of a window: the tool most people know, beside our own meters, only when named.

Its classes for the processor and for memory are asked directly: a tracker would start threads, look up where
on earth the machine stands and write files. What they know is this. Where codecarbon finds RAPL, the
processor is measured. Elsewhere its power is a model: a share of the thermal design power that follows the
load of the whole machine. Memory is always a model: so many watts for each module that its size suggests.
"""

import importlib
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from harness.measurement.energy.counters.counter import CounterTraits, Sample, reading, unavailable
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, QUANTUM_UJ, UPDATE_NS
from harness.records.reading import Grade, Reading, Zone

EVERY_S = 1.0
"""Between two looks at the load, as codecarbon's own tracker has it."""

JOULES_PER_KWH = 3.6e6
TICK_S = 0.01  # the kernel counts CPU time of the whole machine in ticks of 10 ms
STEEPEST = 2.7  # its model is 0.1 + 0.9 x load^3 of the watts, whose slope is at most 2.7
CPU, MEMORY = "codecarbon-cpu", "codecarbon-ram"
INSTALL = "Install codecarbon 3 or newer; see `bench doctor` for meters of our own."


@dataclass(frozen=True, slots=True)
class Tool:
    """codecarbon, as far as it is asked.

    `cpu_joules` returns what it says the processor used in so many seconds since the last call; `watts` is
    the power that its model scales, None where it reads RAPL; `memory_watts` is constant.
    """

    version: str
    model: str
    watts: float | None
    memory_watts: float
    cpu_joules: Callable[[float], float]


class CodecarbonMeter:
    """Asks codecarbon at both edges of a window, and every second in between as its tracker would.

    `tool` returns codecarbon or a stand-in; it is imported on construction, which takes a moment.
    """

    def __init__(
        self,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        tool: Callable[[], Tool] | None = None,
        every_s: float | None = EVERY_S,
    ) -> None:
        self._clock, self._every_s = clock, every_s
        self._lock = threading.Lock()
        self._tool: Tool | None = None
        self._reason = "codecarbon is not installed"
        try:
            self._tool = (tool or load_tool)()
        except Exception as error:  # noqa: BLE001 -- whatever a version of codecarbon may raise
            self._reason = f"codecarbon says: {type(error).__name__}: {error}"
        self._spent_uj, self._last_ns, self._lost = 0, clock(), 0

    @property
    def name(self) -> str:
        """Its name in the table of meters."""
        return "codecarbon"

    @property
    def grade(self) -> Grade:
        """Measured where codecarbon reads RAPL, modelled where it does not."""
        return "measured" if self._tool and self._tool.watts is None else "modelled"

    def zones(self) -> tuple[Zone, ...]:
        """Return the processor, and memory where both are modelled: a model is added to no measurement."""
        cpu = Zone(CPU, "package")
        return (cpu,) if self.grade == "measured" else (cpu, Zone(MEMORY, "dram"))

    def start(self) -> Sampler[Sample]:
        """Ask for the first time."""
        return Sampler(self._take, self._every_s if self.grade == "modelled" else None)

    def read(self, mark: Sampler[Sample]) -> tuple[Reading, ...]:
        """Ask for the last time."""
        samples = mark.end()
        first, last = samples[0], samples[-1]
        span_ns = last.at_ns - first.at_ns
        tool, spent = self._tool, mark.observer_ns
        if tool is None or any(sample.reason for sample in samples):
            why = next((sample.reason for sample in samples if sample.reason), self._reason)
            return tuple(unavailable(zone, "codecarbon", span_ns, why) for zone in self.zones())
        if tool.watts is None:
            traits = CounterTraits(self._source(), UPDATE_NS, QUANTUM_UJ, CEILING_WATTS)
            return (reading(self.zones()[0], first, last, traits),)
        used = (last.microjoules or 0) - (first.microjoules or 0)
        blurred = math.ceil(STEEPEST * tool.watts * TICK_S * 1e6)
        memory = round(tool.memory_watts * span_ns / 1000)
        cpu_zone, memory_zone = self.zones()
        return (
            self._modelled(cpu_zone, used, span_ns, blurred, len(samples), spent),
            self._modelled(memory_zone, memory, span_ns, 0, 2, spent),
        )

    def describe(self) -> dict[str, Any]:
        """Return which of its ways codecarbon took, and the parameters of its models."""
        if self._tool is None:
            return {"source": "codecarbon"}
        modelled = self._tool.watts is not None
        memory = f"modelled: {self._tool.memory_watts:g} W, whatever is done"
        return {
            "source": self._source(),
            "update_period_ns": round(TICK_S * 1e9) if modelled else UPDATE_NS,
            "looks_every_s": EVERY_S if modelled else None,
            "processor": f"modelled: {self._tool.watts:g} W x (0.1 + 0.9 x load^3), load of the whole machine"
            if modelled
            else "measured: RAPL of the packages, by codecarbon's reading",
            "memory": memory if modelled else f"left out ({memory})",
            "model_name": self._tool.model,
            "gpu": "left out: the meter nvml reads boards",
        }

    def spec(self) -> dict[str, Any]:
        """Return what opens this meter again in another process."""
        return {"meter": "codecarbon"}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why it cannot be used here and what would allow it, or None."""
        return None if self._tool else (self._reason, INSTALL)

    def _source(self) -> str:
        if self._tool is None:
            return "codecarbon"
        way = "RAPL" if self._tool.watts is None else f"load x {self._tool.watts:g} W, memory by its size"
        return f"codecarbon {self._tool.version}: {way}"

    def _modelled(
        self, zone: Zone, microjoules: int, span_ns: int, blurred: int, samples: int, spent: int
    ) -> Reading:
        return Reading(
            zone=zone.name,
            grade="modelled",
            scope=zone.scope,
            source=self._source(),
            microjoules=microjoules,
            span_ns=span_ns,
            resolution_uj=blurred,
            samples=samples,
            observer_ns=spent,
        )

    def _take(self) -> Sample:
        """Add what codecarbon says was used since the last call: windows may overlap, its state may not."""
        if self._tool is None:
            return Sample(self._clock(), None, self._reason)
        with self._lock:
            now = self._clock()
            seconds, self._last_ns = (now - self._last_ns) / 1e9, now
            try:
                joules = self._tool.cpu_joules(seconds)
            except Exception as error:  # noqa: BLE001 -- a meter that breaks must not break the run
                return Sample(now, None, f"codecarbon says: {type(error).__name__}: {error}")
            if not math.isfinite(joules) or joules < 0:
                return Sample(now, None, f"codecarbon says {joules} J")
            self._spent_uj += round(joules * 1e6)
            return Sample(now, self._spent_uj)


def open_codecarbon(spec: Mapping[str, Any]) -> CodecarbonMeter:
    """Open the meter that `CodecarbonMeter.spec` described."""
    del spec
    return CodecarbonMeter()


def load_tool() -> Tool:
    """Import codecarbon, quietly, and set its classes up as its tracker would: without network or files."""
    cpu = importlib.import_module("codecarbon.core.cpu")
    hardware = importlib.import_module("codecarbon.external.hardware")
    memory = importlib.import_module("codecarbon.external.ram")
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tdp = cpu.TDP()
    rapl = bool(cpu.is_rapl_available())
    util = importlib.import_module("codecarbon.core.util")
    watts = None if rapl else float(tdp.tdp or hardware.POWER_CONSTANT) * max(1, util.count_physical_cpus())
    mode = "intel_rapl" if rapl else hardware.MODE_CPU_LOAD
    asked = hardware.CPU.from_utils("", mode, tdp.model, watts)
    asked.start()

    def cpu_joules(seconds: float) -> float:
        _power, energy = asked.measure_power_and_energy(seconds)
        return float(energy.kWh) * JOULES_PER_KWH

    return Tool(version("codecarbon"), str(tdp.model), watts, float(memory.RAM().total_power().W), cpu_joules)
