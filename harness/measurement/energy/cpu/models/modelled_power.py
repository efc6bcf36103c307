"""The power of a machine without a counter: by its own processor's figures, or by a published power curve.

a processor of its own, in codecarbon's table -> ProcessorPower, a constant for CPU time
a virtual machine, or no row of the table     -> MachinePower, the curve of its generation, or of all
a name of the user                            -> MachinePower, the curve of that processor or instance
"""

import os
from dataclasses import replace
from pathlib import Path

from harness.common.procfs import ROOT, allowed_cpus, cpu_list, cpu_quota, cpuinfo, read
from harness.measurement.energy.cpu.models.architecture import generation_of
from harness.measurement.energy.cpu.models.power_curve_file import SHIPPED, read_curves
from harness.measurement.energy.cpu.models.power_curves import (
    MachinePower,
    PowerCurves,
    machine_power,
    unknown_power,
)
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower, processor_power


def modelled_power(
    root: Path = ROOT, table: dict[str, float] | None = None, curves: PowerCurves | None = None
) -> ProcessorPower | MachinePower:
    """Return the power of this machine; a curve holds the reason why its processor's own is not used."""
    power = processor_power(root, table)
    if isinstance(power, ProcessorPower):
        return power
    curves, cpus = curves or read_curves(), usable_cpus(root)
    generation = generation_of(cpuinfo(root))
    if generation in curves.processors:
        return replace(machine_power(str(generation), curves, cpus), reason=power.reason)
    return replace(unknown_power(curves, cpus, generation), reason=power.reason)


def named_power(argument: str, root: Path = ROOT) -> MachinePower:
    """Return the power of `NAME` or `NAME@FILE`; UsageError for a name or a file that cannot be used."""
    name, _, file = argument.partition("@")
    curves = read_curves(Path(file) if file else SHIPPED)
    return machine_power(name, curves, usable_cpus(root))


def displayed_machine(argument: str) -> str:
    """Return `NAME@FILE` with the base name of the file."""
    name, at, file = argument.partition("@")
    return f"{name}{at}{Path(file).name}" if at else name


def usable_cpus(root: Path = ROOT) -> float:
    """Return how many of the machine's CPUs this process may use: those of its cpuset, within its quota.

    A container is charged for its part of the machine.
    """
    online = cpu_list(read(root / "sys/devices/system/cpu/online") or "")
    cpus = len(allowed_cpus(root)) or len(online) or os.cpu_count() or 1
    quota = cpu_quota(root)
    return float(cpus) if quota is None else min(float(cpus), quota)
