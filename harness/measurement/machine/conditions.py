"""What moves by itself while a run goes on: heat, clocks, load, throttling; taken before and after.

    fingerprint (harness/measurement/machine/host.py)   what stays: another value is another machine
    conditions                      what moves: too much of it is a warning
    (harness/analysis/diagnostics/environment.py)

What the kernel or the driver does not tell is None. Counters run since boot, so only their differences mean
something; the rest is a state at one moment, in which no worker lives.
"""

import statistics
from collections.abc import Collection, Mapping
from pathlib import Path

import psutil

from harness.common.procfs import ROOT, busy, cgroup_values, read
from harness.records.record import GpuSnapshot, MachineSnapshot

PRESSURES = ("cpu", "memory", "io")


def take_snapshot(
    cpus: Collection[int], root: Path = ROOT, gpus: tuple[GpuSnapshot, ...] = ()
) -> MachineSnapshot:
    """Return the state of these CPUs and of the machine now, with that of the boards in `gpus`."""
    worked = busy(cpus, root)
    return MachineSnapshot(
        load_average=_load_average(root),
        frequency_khz=_frequency_khz(cpus, root),
        temperature_mc=_temperature_mc(root),
        thermal_throttles=_thermal_throttles(cpus, root),
        quota_throttled_us=_quota_throttled_us(root),
        steal_ns=worked.steal_ns if worked else None,
        pressure_us=_pressure_us(root),
        swapped_pages=_swapped_pages(root),
        gpus=gpus,
    )


def cpu_time_by_process(own: int) -> dict[int, tuple[str, float]]:
    """Return name and CPU seconds of every process that may be seen, but `own` and what is below it."""
    found = {}
    try:
        ours = {own, *(child.pid for child in psutil.Process(own).children(recursive=True))}
    except psutil.NoSuchProcess:
        ours = {own}
    for process in psutil.process_iter(["name", "cpu_times"]):
        name, times = process.info["name"], process.info["cpu_times"]
        if times and name and process.pid not in ours:
            found[process.pid] = (str(name), float(times.user + times.system))
    return found


def busiest_process(
    before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]], span_ns: int
) -> str | None:
    """Name the process of others that worked most in between, and how many CPUs it kept busy, or None.

    A process that came and went in between is not seen.
    """
    spent = {
        pid: seconds - (before[pid][1] if pid in before and before[pid][0] == name else 0.0)
        for pid, (name, seconds) in after.items()
    }
    most = max(spent, key=spent.__getitem__, default=None)
    share = spent[most] * 1e9 / span_ns if most is not None and span_ns else 0.0
    if most is None or share < 0.01:  # noqa: PLR2004 -- of one CPU: less is not worth a name
        return None
    return f"{after[most][0]}, {share:.2f} CPUs"


def _number(path: Path) -> int | None:
    text = read(path) or ""
    return int(text) if text.lstrip("-").isdigit() else None


def _known(values: Collection[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def _load_average(root: Path) -> float | None:
    words = (read(root / "proc/loadavg") or "").split()
    return float(words[0]) if words else None


def _frequency_khz(cpus: Collection[int], root: Path) -> int | None:
    """Return the median clock of these CPUs."""
    system = root / "sys/devices/system/cpu"
    clocks = _known([_number(system / f"cpu{cpu}/cpufreq/scaling_cur_freq") for cpu in cpus])
    return round(statistics.median(clocks)) if clocks else None


def _temperature_mc(root: Path) -> int | None:
    """Return the hottest processor sensor in thousandths of a degree Celsius."""
    zones = [
        place / "temp" for place in root.glob("sys/class/thermal/thermal_zone*") if _of_cpu(place / "type")
    ]
    chips = [place for place in root.glob("sys/class/hwmon/hwmon*") if _of_cpu(place / "name")]
    files = [*zones, *(file for chip in chips for file in chip.glob("temp*_input"))]
    return max(_known([_number(file) for file in files]), default=None)


def _of_cpu(file: Path) -> bool:
    """Say whether a sensor is the processor's: Intel's, AMD's, or an Arm board's."""
    name = read(file) or ""
    return name in ("x86_pkg_temp", "coretemp", "k10temp", "zenpower") or name.startswith("cpu")


def _thermal_throttles(cpus: Collection[int], root: Path) -> int | None:
    """Return how often these CPUs were slowed down by heat since boot."""
    folder = "sys/devices/system/cpu/cpu{}/thermal_throttle/{}_throttle_count"
    counts = [_number(root / folder.format(cpu, kind)) for cpu in cpus for kind in ("core", "package")]
    return sum(_known(counts)) if _known(counts) else None


def _quota_throttled_us(root: Path) -> int | None:
    """Return the microseconds for which the nearest cgroup's quota has held its processes back."""
    for text in cgroup_values("cpu", ["cpu.stat"], root):
        facts = dict(line.split(None, 1) for line in text.splitlines() if " " in line)
        if "throttled_usec" in facts:
            return int(facts["throttled_usec"])
        if "throttled_time" in facts:  # version 1 counts nanoseconds
            return int(facts["throttled_time"]) // 1000
    return None


def _pressure_us(root: Path) -> dict[str, int]:
    """Return for how long some process waited for each resource since boot, where the kernel counts it."""
    found = {}
    for name in PRESSURES:
        first = (read(root / f"proc/pressure/{name}") or "").partition("\n")[0].split()
        total = next((word.partition("=")[2] for word in first if word.startswith("total=")), "")
        if total.isdigit():
            found[name] = int(total)
    return found


def _swapped_pages(root: Path) -> int | None:
    """Return pages swapped in and out since boot."""
    lines = (line.split() for line in (read(root / "proc/vmstat") or "").splitlines())
    facts = {words[0]: words[1] for words in lines if words[0] in ("pswpin", "pswpout")}
    return sum(map(int, facts.values())) if facts else None
