"""The watts of a busy CPU, from codecarbon's table of processors.

The table is read as a file, as importing codecarbon takes long, configures logging and searches for hardware.
A row is used only if its whole name is part of the processor's name, and no other row fits; tests compare
this with codecarbon's own matching.

A thermal design power belongs to a package, so it is divided by the package's cores. It is what a cooler
must carry away: a limit of what the package draws for long, without memory and the losses of the power
supply. In a virtual machine the package's cores cannot be counted, and a virtual CPU is often half a core:
there a power curve is used (`harness.measurement.energy.cpu.models.modelled_power`).
"""

import csv
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from harness.common.procfs import ROOT, cores_per_package, cpuinfo, flags_of
from harness.records.estimate import Unavailable

_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class ProcessorPower:
    """Watts shared by `cpus` cores; `matched_model` is the row of the table.

    `source` is part of every modelled reading. Readings of different sources are not compared, so its wording
    must not change.
    """

    watts: float
    cpus: int
    source: str
    matched_model: str

    @property
    def watts_per_cpu(self) -> float:
        """The watts for the CPU time of one core."""
        return self.watts / self.cpus


def processor_power(root: Path = ROOT, table: dict[str, float] | None = None) -> ProcessorPower | Unavailable:
    """Look up this machine's processor; return why its power is not known if no row fits."""
    info = cpuinfo(root)
    model = info.get("model name", "")
    rows = power_table() if table is None else table
    row = match(model, rows)
    if not model:
        return Unavailable("the kernel does not name the processor")
    if row is None:
        reason = (
            f"codecarbon's table has no row for {model!r}" if rows else "codecarbon's table is not installed"
        )
        return Unavailable(reason)
    cores = None if "hypervisor" in flags_of(info) else cores_per_package(root)
    if cores is None:
        return Unavailable(f"{row} is known, but a virtual machine hides how many cores share its power")
    source = f"{rows[row]:g} W / {cores} cores ({row}, codecarbon's table)"
    return ProcessorPower(rows[row], cores, source, row)


def power_table() -> dict[str, float]:
    """Return codecarbon's thermal design powers in watts by processor name; empty if it is not installed.

    A few of its rows do not hold a number (`27.29.5`); they are left out.
    """
    spec = importlib.util.find_spec("codecarbon")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data/hardware/cpu_power.csv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            return {row["Name"]: float(row["TDP"]) for row in rows if _NUMBER.fullmatch(row["TDP"])}
    return {}


def match(model: str, table: dict[str, float]) -> str | None:
    """Return the row whose words all occur in the processor's name, or None; an exact fit comes first.

    Several rows count as one if their watts agree; otherwise there is no match.
    """
    model_words = _words(re.sub(r"@\s*[\d.]+GHz", "", model))
    fitting = [name for name in table if _words(name) and _words(name) <= model_words]
    best = [name for name in fitting if _words(name) == model_words] or fitting
    return best[0] if len({table[name] for name in best}) == 1 else None


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", name.lower())) - {"r", "tm", "cpu"}
