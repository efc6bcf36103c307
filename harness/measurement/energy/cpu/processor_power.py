"""How many watts a busy CPU stands for, from codecarbon's table of processor power figures.

The table is read as a file: importing codecarbon takes long, sets up logging and looks for hardware. A row is
taken only if its whole name is in the processor's, and only if no other row fits as well; tests hold this
against codecarbon's own matching.

A thermal design power is a package's, so it is divided by the package's cores. In a virtual machine these
cannot be counted: there the number in the processor's own name is used ("64-Core Processor") or, failing
that, codecarbon's flat watts per CPU.
"""

import csv
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from harness.common.procfs import ROOT, cores_per_package, cpuinfo, flags_of

FALLBACK_WATTS = 4.0  # codecarbon's DEFAULT_POWER_PER_CORE, which it applies to each logical CPU
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class ProcessorPower:
    """Watts shared by `cpus` cores; `matched_model` is the row of the table, or None for the fallback."""

    watts: float
    cpus: int
    source: str
    matched_model: str | None

    @property
    def watts_per_cpu(self) -> float:
        """Watts for each core's CPU time."""
        return self.watts / self.cpus


def processor_power(root: Path = ROOT, table: dict[str, float] | None = None) -> ProcessorPower:
    """Look up this machine's processor; where nothing fits, return the fallback and say so."""
    info = cpuinfo(root)
    model = info.get("model name", "")
    rows = power_table() if table is None else table
    row = match(model, rows)
    if row is None:
        why = f"no row for {model!r} in its table" if rows else "its table is not installed"
        return _fallback(why if model else "the kernel does not name the processor")
    cores = _cores(info, model, root)
    if cores is None:
        return _fallback(f"{row} is known, but a virtual machine hides how many cores share its power")
    source = f"{rows[row]:g} W / {cores} cores ({row}, codecarbon's table)"
    return ProcessorPower(rows[row], cores, source, row)


def power_table() -> dict[str, float]:
    """Return codecarbon's thermal design powers in watts by processor name; empty where it is missing.

    A few of its rows hold no number (`27.29.5`); they are left out.
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
    """Return the row whose words are all in the processor's name, those that fit exactly first.

    Several rows count as one if they agree on the watts; if they do not, there is no match.
    """
    words = _words(re.sub(r"@\s*[\d.]+GHz", "", model))
    fitting = [name for name in table if _words(name) and _words(name) <= words]
    best = [name for name in fitting if _words(name) == words] or fitting
    return best[0] if len({table[name] for name in best}) == 1 else None


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", name.lower())) - {"r", "tm", "cpu"}


def _cores(info: dict[str, str], model: str, root: Path) -> int | None:
    named = re.search(r"(\d+)-Core", model)
    if named:
        return int(named[1])
    return None if "hypervisor" in flags_of(info) else cores_per_package(root)


def _fallback(why: str) -> ProcessorPower:
    return ProcessorPower(FALLBACK_WATTS, 1, f"{FALLBACK_WATTS:g} W, codecarbon's flat figure ({why})", None)
