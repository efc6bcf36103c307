"""The energy that codecarbon reports for a window, to compare it with our own meters; used only where named.

Its classes for the processor and for memory are called directly, as its tracker would start threads, look up
the location of the machine and write files. If codecarbon finds RAPL, the processor is measured. Otherwise
its power is modelled: a share of the thermal design power that follows the load of the whole machine. Memory
is always modelled: constant watts for each module, whose number is guessed from the amount of memory.

A sum is measured only if it holds every package, and each of them could be read and moved in the window.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.common.json_types import JsonObject
from harness.measurement.energy.counters.counter import CounterTraits, Sample, available, reading, unavailable
from harness.measurement.energy.counters.sampler import Sampler
from harness.measurement.energy.cpu.codecarbon_tool import SummedZone, Tool, load_tool
from harness.measurement.energy.cpu.rapl import CEILING_WATTS, QUANTUM_UJ, UPDATE_NS
from harness.measurement.energy.meter import MeterSpec, TimedWindow, with_edges
from harness.records.reading import Grade, Reading, Zone

EVERY_S = 1.0
"""The interval between two samples of the load, as in codecarbon's own tracker."""

TICK_S = 0.01  # the kernel counts CPU time of the whole machine in ticks of 10 ms
STEEPEST = 2.7  # the model is 0.1 + 0.9 x load^3 of the watts, so its slope is at most 2.7
CPU, MEMORY, PSYS = "codecarbon-cpu", "codecarbon-ram", "psys"
INSTALL = "Install codecarbon 3 or newer; `bench doctor` lists the other meters."
READ_ALL = (
    "Make every package readable, or use --meter rapl: `bench doctor --meter rapl` shows what is missing."
)


@dataclass(frozen=True, slots=True)
class _Sum:
    """The sum of all energy so far, and the zones that were in it."""

    sample: Sample
    zones: tuple[SummedZone, ...] = ()


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
        """Return the processor, and memory if both are modelled: a model is never added to a measurement.

        Where codecarbon reads psys, the processor's zone covers the whole platform.
        """
        if self.grade == "measured":
            return (Zone(CPU, "system" if self._names() == (PSYS,) else "package"),)
        return (Zone(CPU, "package"), Zone(MEMORY, "dram"))

    def start(self) -> Sampler[_Sum]:
        """Read the first edge."""
        return Sampler(self._take, self._every_s if self.grade == "modelled" else None)

    def read_window(self, mark: Sampler[_Sum], window: TimedWindow) -> tuple[Reading, ...]:
        """Read the second edge; a modelled energy is scaled to the window alone."""
        readings, watts = self.read(mark), self._tool.watts if self._tool else None
        if watts is None:
            return tuple(with_edges(item, window) for item in readings)
        return tuple(_scaled(item, window, watts if item.zone == CPU else 0.0) for item in readings)

    def read(self, mark: Sampler[_Sum]) -> tuple[Reading, ...]:
        """Read the second edge."""
        sums = mark.end()
        samples = [item.sample for item in sums]
        first, last = samples[0], samples[-1]
        span_ns = last.at_ns - first.at_ns
        tool = self._tool
        if tool is None or any(sample.reason for sample in samples):
            failed = next((sample.reason for sample in samples if sample.reason), self._reason)
            return tuple(unavailable(zone, "codecarbon", span_ns, failed) for zone in self.zones())
        if tool.watts is None:
            if reason := _incomplete(sums[0].zones, sums[-1].zones, span_ns):
                return (unavailable(self.zones()[0], self._source(), span_ns, reason),)
            ceiling_watts = CEILING_WATTS * max(1, len(sums[-1].zones))
            traits = CounterTraits(self._source(), UPDATE_NS, QUANTUM_UJ, ceiling_watts)
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
            else f"measured: RAPL, as read by codecarbon: {' + '.join(self._names()) or 'packages'}",
            "memory": memory if modelled else f"left out ({memory})",
            "model_name": self._tool.model,
            "gpu": "left out: the meter nvml reads boards",
        }

    def spec(self) -> JsonObject:
        """Return the arguments that open this meter in another process."""
        return {"meter": "codecarbon"}

    def obstacle(self) -> tuple[str, str] | None:
        """Return why the meter cannot be used here, and the remedy, or None."""
        if self._tool is None:
            return self._reason, INSTALL
        if self._tool.missing:
            return (
                f"codecarbon's sum lacks {', '.join(self._tool.missing)}, which it could not read",
                READ_ALL,
            )
        names = self._names()
        if self.grade == "measured" and names and names != (PSYS,) and not all(map(_is_package, names)):
            return f"codecarbon adds up {', '.join(names)}, which are no packages", READ_ALL
        return None

    def _names(self) -> tuple[str, ...]:
        """Return the names of the zones in codecarbon's sum; empty where it does not show them."""
        return tuple(zone.name for zone in self._tool.zones()) if self._tool else ()

    def _source(self) -> str:
        if self._tool is None:
            return "codecarbon"
        rapl = "RAPL psys" if self._names() == (PSYS,) else "RAPL"
        method = rapl if self._tool.watts is None else f"load x {self._tool.watts:g} W, memory by its size"
        return f"codecarbon {self._tool.version}: {method}"

    def _take(self) -> _Sum:
        return _Sum(self._sample(), self._tool.zones() if self._tool else ())

    def _sample(self) -> Sample:
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


def _is_package(name: str) -> bool:
    return name.startswith("package-")


def _incomplete(first: Sequence[SummedZone], last: Sequence[SummedZone], span_ns: int) -> str | None:
    """Return why codecarbon's sum lacks a part of its zones' energy in a window, or None."""
    names = [{zone.name for zone in zones} for zones in (first, last)]
    if changed := sorted(names[0] ^ names[1]):
        return f"codecarbon changed its sum within the window: {', '.join(changed)}"
    if lost := next((zone for zone in (*first, *last) if zone.reason), None):
        return f"codecarbon left {lost.name} out of its sum: {lost.reason}"
    values = {zone.name: zone.microjoules for zone in first}
    still = [zone.name for zone in last if zone.microjoules == values[zone.name]]
    if still and span_ns >= 2 * UPDATE_NS and len(still) < len(last):
        return f"the counter of {', '.join(still)} in codecarbon's sum did not move in {span_ns / 1e9:.3g} s"
    return None


def _scaled(item: Reading, window: TimedWindow, most_watts: float) -> Reading:
    """Return a modelled reading for the window alone; what was used beside it is unknown up to some watts."""
    if item.microjoules is None or not 0 < window.wall_ns < item.span_ns:
        return item
    beside_uj = math.ceil(most_watts * (item.span_ns - window.wall_ns) / 1000)
    microjoules = round(item.microjoules * window.wall_ns / item.span_ns)
    resolution_uj = item.resolution_uj + beside_uj
    return replace(item, microjoules=microjoules, span_ns=window.wall_ns, resolution_uj=resolution_uj)


def _failed(error: Exception) -> str:
    return f"codecarbon failed: {type(error).__name__}: {error}"
