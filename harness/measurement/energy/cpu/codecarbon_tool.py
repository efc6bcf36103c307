"""The classes of codecarbon, set up as its tracker would, and the zones of its sum.

    codecarbon's reader of RAPL --summed_zones--> which zones it adds up, and each one's counter now

codecarbon leaves a counter that it cannot read out of its sum, and takes psys, or parts of a package, where
it finds no package. So the zones of its sum are compared with those that the kernel lists.
"""

import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from harness.common.procfs import number, read
from harness.measurement.energy.counters.meter import read_text
from harness.measurement.energy.cpu.rapl import POWERCAP, survey_powercap

JOULES_PER_KWH = 3.6e6


class RaplFile(Protocol):
    """codecarbon's reader of one counter."""

    path: str


class RaplReader(Protocol):
    """codecarbon's reader of RAPL, of which the files are its sum."""

    _rapl_files: Sequence[RaplFile]


@dataclass(frozen=True, slots=True)
class SummedZone:
    """One zone of codecarbon's sum: its name, and its counter in microjoules or why that was not read."""

    name: str
    microjoules: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """The parts of codecarbon that are used here.

    `cpu_joules` returns the processor's energy for the given seconds since the last call. `watts` is the
    power that its model scales, or None if it reads RAPL. `memory_watts` is constant. `zones` returns the
    zones of the last sum. `missing` are packages that the kernel lists and codecarbon does not read.
    """

    version: str
    model: str
    watts: float | None
    memory_watts: float
    cpu_joules: Callable[[float], float]
    zones: Callable[[], tuple[SummedZone, ...]] = tuple
    missing: tuple[str, ...] = ()


def load_tool(powercap: Path | None = None) -> Tool:
    """Import codecarbon without its log output, and set up its classes as its tracker would.

    Uses neither the network nor files. `powercap` is a tree that it reads in place of the kernel's.
    """
    cpu = importlib.import_module("codecarbon.core.cpu")
    hardware = importlib.import_module("codecarbon.external.hardware")
    memory = importlib.import_module("codecarbon.external.ram")
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    tdp = cpu.TDP()
    places = {} if powercap is None else {"rapl_dir": str(powercap)}
    rapl = bool(cpu.is_rapl_available(**places))
    util = importlib.import_module("codecarbon.core.util")
    watts = None if rapl else float(tdp.tdp or hardware.POWER_CONSTANT) * max(1, util.count_physical_cpus())
    mode = "intel_rapl" if rapl else hardware.MODE_CPU_LOAD
    processor = hardware.CPU("", mode, tdp.model, watts, **places)
    reader: RaplReader | None = getattr(processor, "_intel_interface", None)
    names = _names(reader) if reader else {}
    missing = _missing(names, powercap or POWERCAP) if reader else ()
    processor.start()

    def cpu_joules(seconds: float) -> float:
        _power, energy = processor.measure_power_and_energy(seconds)
        return float(energy.kWh) * JOULES_PER_KWH

    memory_watts = float(memory.RAM().total_power().W)
    return Tool(
        *(version("codecarbon"), str(tdp.model), watts, memory_watts, cpu_joules),
        zones=lambda: summed_zones(reader, names) if reader else (),
        missing=missing,
    )


def summed_zones(reader: RaplReader, names: Mapping[str, str]) -> tuple[SummedZone, ...]:
    """Return the zones that codecarbon's reader of RAPL adds up, each with its counter now.

    `names` are those of its files by path. Zones that it takes for mirrors of others are not in its sum.
    """
    pending = getattr(reader, "_mirrored_candidates", {})
    return tuple(_summed_zone(file, names[file.path]) for file in _files(reader) if file.path not in pending)


def _files(reader: RaplReader) -> Sequence[RaplFile]:
    return reader._rapl_files  # noqa: SLF001 -- codecarbon has no public name for them


def _summed_zone(file: RaplFile, name: str) -> SummedZone:
    microjoules = number(read(Path(file.path)))
    if microjoules is None or getattr(file, "sample_skipped", False):
        return SummedZone(name, None, "its counter could not be read")
    return SummedZone(name, microjoules)


def _names(reader: RaplReader) -> dict[str, str]:
    """Return the zone of each file, by path."""
    paths = [Path(file.path) for file in _files(reader)]
    return {str(path): read(path.with_name("name")) or path.parent.name for path in paths}


def _missing(names: Mapping[str, str], powercap: Path) -> tuple[str, ...]:
    """Return the packages that the kernel lists and codecarbon does not read."""
    counters = survey_powercap(powercap, read_text).counters
    packages = [counter.zone.name for counter in counters if counter.zone.scope == "package"]
    return tuple(name for name in packages if name not in names.values())
