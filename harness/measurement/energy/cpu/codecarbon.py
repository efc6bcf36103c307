"""The energy that codecarbon reports for a window, to compare it with our own meters; used only where named.

Its classes for the processor and for memory are called directly, as its tracker would start threads, look up
the location of the machine and write files. If codecarbon finds RAPL, the processor is measured. Otherwise
its power is modelled: a share of the thermal design power that follows the load of the whole machine. Memory
is always modelled: constant watts for each module, whose number is guessed from the amount of memory.
"""

import importlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample, available, reading, unavailable
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.meter import MeterSpec
from harness.records.reading import Grade, Reading, Zone

EVERY_S = 1.0
"""The interval between two samples of the load, as in codecarbon's own tracker."""

JOULES_PER_KWH = 3.6e6
TICK_S = 0.01  # the kernel counts CPU time of the whole machine in ticks of 10 ms
STEEPEST = 2.7  # the model is 0.1 + 0.9 x load^3 of the watts, so its slope is at most 2.7
CPU, MEMORY = "codecarbon-cpu", "codecarbon-ram"
INSTALL = "Install codecarbon 3 or newer; `bench doctor` lists the other meters."


@dataclass(frozen=True, slots=True)
class Tool:
    """The parts of codecarbon that are used here.

    `cpu_joules` returns the processor's energy for the given seconds since the last call. `watts` is the
    power that its model scales, or None if it reads RAPL. `memory_watts` is constant.
    """

    version: str
    model: str
    watts: float | None
    memory_watts: float
    cpu_joules: Callable[[float], float]


class CodecarbonMeter:
    """Reads codecarbon at both edges of a window, and every second in between as its tracker would.

    `tool` returns codecarbon or a stand-in; it is called on construction, and importing codecarbon takes a
    moment.
    """

    name = "codecarbon"

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
        except Exception as error:  # noqa: BLE001 -- a version of codecarbon may raise anything
            self._reason = _failed(error)
        self._total_uj, self._last_ns = 0, clock()

    @property
    def grade(self) -> Grade:
        """`measured` if codecarbon reads RAPL, otherwise `modelled`."""
        return "measured" if self._tool and self._tool.watts is None else "modelled"

    def zones(self) -> tuple[Zone, ...]:
        """Return the processor, and memory if both are modelled: a model is never added to a measurement."""
        cpu = Zone(CPU, "package")
        return (cpu,) if self.grade == "measured" else (cpu, Zone(MEMORY, "dram"))

    def start(self) -> Sampler[Sample]:
        """Read the first edge."""
        return Sampler(self._take, self._every_s if self.grade == "modelled" else None)

    def read(self, mark: Sampler[Sample]) -> tuple[Reading, ...]:
        """Read the second edge."""
        samples = mark.end()
        first, last = samples[0], samples[-1]
        span_ns = last.at_ns - first.at_ns
        tool = self._tool
        if tool is None or any(sample.reason for sample in samples):
            reason = next((sample.reason for sample in samples if sample.reason), self._reason)
            return tuple(unavailable(zone, "codecarbon", span_ns, reason) for zone in self.zones())
        if tool.watts is None:
            traits = CounterTraits(self._source(), UPDATE_NS, QUANTUM_UJ, CEILING_WATTS)
            return (reading(self.zones()[0], first, last, traits),)
        cpu_uj = (last.microjoules or 0) - (first.microjoules or 0)
        tick_uj = math.ceil(STEEPEST * tool.watts * TICK_S * 1e6)
        memory_uj = round(tool.memory_watts * span_ns / 1000)
        source, cpu_values = self._source(), (cpu_uj, tick_uj, len(samples), mark.observer_ns)
        cpu_zone, memory_zone = self.zones()
        return (
            available(cpu_zone, source, span_ns, *cpu_values, grade="modelled"),
            available(memory_zone, source, span_ns, memory_uj, 0, 2, mark.observer_ns, grade="modelled"),
        )

    def describe(self) -> JsonObject:
        """Return whether codecarbon measures or models, and the parameters of its models."""
        if self._tool is None:
            return {"source": "codecarbon"}
        modelled = self._tool.watts is not None
        memory = f"modelled: constant {self._tool.memory_watts:g} W"
        return {
            "source": self._source(),
            "update_period_ns": round(TICK_S * 1e9) if modelled else UPDATE_NS,
            "looks_every_s": EVERY_S if modelled else None,
            "processor": f"modelled: {self._tool.watts:g} W x (0.1 + 0.9 x load^3), load of the whole machine"
            if modelled
            else "measured: RAPL of the packages, as read by codecarbon",
            "memory": memory if modelled else f"left out ({memory})",
            "model_name": self._tool.model,
            "gpu": "left out: the meter nvml reads boards",
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process."""
        return {"meter": "codecarbon"}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy, or None."""
        return None if self._tool else (self._reason, INSTALL)

    def _source(self) -> str:
        if self._tool is None:
            return "codecarbon"
        method = "RAPL" if self._tool.watts is None else f"load x {self._tool.watts:g} W, memory by its size"
        return f"codecarbon {self._tool.version}: {method}"

    def _take(self) -> Sample:
        """Add the energy since the last call to a total: windows may overlap; codecarbon has one state."""
        if self._tool is None:
            return Sample(self._clock(), None, self._reason)
        with self._lock:
            now = self._clock()
            seconds, self._last_ns = (now - self._last_ns) / 1e9, now
            try:
                joules = self._tool.cpu_joules(seconds)
            except Exception as error:  # noqa: BLE001 -- a meter that breaks must not break the run
                return Sample(now, None, _failed(error))
            if not math.isfinite(joules) or joules < 0:
                return Sample(now, None, f"codecarbon returned {joules} J")
            self._total_uj += round(joules * 1e6)
            return Sample(now, self._total_uj)


def open_codecarbon(spec: MeterSpec) -> CodecarbonMeter:
    """Open the meter that `CodecarbonMeter.spec` described."""
    del spec
    return CodecarbonMeter()


def _failed(error: Exception) -> str:
    return f"codecarbon failed: {type(error).__name__}: {error}"


def load_tool() -> Tool:
    """Import codecarbon without its log output, and set up its classes as its tracker would.

    Uses neither the network nor files.
    """
    cpu = importlib.import_module("codecarbon.core.cpu")
    hardware = importlib.import_module("codecarbon.external.hardware")
    memory = importlib.import_module("codecarbon.external.ram")
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tdp = cpu.TDP()
    rapl = bool(cpu.is_rapl_available())
    util = importlib.import_module("codecarbon.core.util")
    watts = None if rapl else float(tdp.tdp or hardware.POWER_CONSTANT) * max(1, util.count_physical_cpus())
    mode = "intel_rapl" if rapl else hardware.MODE_CPU_LOAD
    processor = hardware.CPU.from_utils("", mode, tdp.model, watts)
    processor.start()

    def cpu_joules(seconds: float) -> float:
        _power, energy = processor.measure_power_and_energy(seconds)
        return float(energy.kWh) * JOULES_PER_KWH

    return Tool(version("codecarbon"), str(tdp.model), watts, float(memory.RAM().total_power().W), cpu_joules)
