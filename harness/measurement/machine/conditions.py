"""Conditions that change by themselves: heat, clocks, load, throttling; recorded before and after a run.

    fingerprint (harness/measurement/machine/host.py)   constant: another value means another machine
    conditions  (this module)                           variable: a large change is a warning
                                                        (harness/analysis/diagnostics/environment.py)

A value that the kernel or the driver does not show is None. Counters run since boot, so only their
differences have a meaning; the other values are the state at a moment when no worker runs.
"""

import re
import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.common.procfs import ROOT, busy, cgroup_values, number, read
from harness.records.record import GpuSnapshot, MachineSnapshot

PRESSURES = ("cpu", "memory", "io")

RAYLET = "raylet"
"""The kernel's name of the process that Ray runs on every node of a cluster, and that starts all others."""


def take_snapshot(
    cpus: Collection[int], root: Path = ROOT, gpus: tuple[GpuSnapshot, ...] = ()
) -> MachineSnapshot:
    """Return the present state of these CPUs and of the machine; `gpus` is that of the boards."""
    cpu_time = busy(cpus, root)
    return MachineSnapshot(
        load_average=_load_average(root),
        frequency_khz=_frequency_khz(cpus, root),
        temperature_mc=_temperature_mc(root),
        thermal_throttles=_thermal_throttles(cpus, root),
        quota_throttled_us=_quota_throttled_us(root),
        steal_ns=cpu_time.steal_ns if cpu_time else None,
        pressure_us=_pressure_us(root),
        swapped_pages=_swapped_pages(root),
        gpus=gpus,
    )


def cpu_time_by_process(own: int) -> dict[int, tuple[str, float]]:
    """Return the name and CPU seconds of every visible process, except `own` and its descendants."""
    seconds_by_process = {}
    try:
        ours = {own, *(child.pid for child in psutil.Process(own).children(recursive=True))}
    except psutil.NoSuchProcess:
        ours = {own}
    for process in psutil.process_iter(["name", "cpu_times"]):
        name, times = process.info["name"], process.info["cpu_times"]
        if times and name and process.pid not in ours:
            seconds_by_process[process.pid] = (str(name), float(times.user + times.system))
    return seconds_by_process


def busiest_process(
    before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]], span_ns: int
) -> str | None:
    """Return the name of the process that used the most CPU time in between, and how many CPUs, or None.

    A process that began and ended in between is missed.
    """
    used = _seconds_between(before, after)
    busiest = max(used, key=used.__getitem__, default=None)
    cpus = used[busiest] * 1e9 / span_ns if busiest is not None and span_ns else 0.0
    if busiest is None or cpus < 0.01:  # noqa: PLR2004 -- 1 % of a CPU is negligible
        return None
    return f"{after[busiest][0]}, {cpus:.2f} CPUs"


@dataclass(frozen=True, slots=True)
class RayUsage:
    """The CPU time of Ray's processes on this host in nanoseconds, and their names in the kernel."""

    processes: tuple[str, ...]
    cpu_ns: int


def ray_cpu_time(own: int) -> dict[int, tuple[str, float]]:
    """Return the name and CPU seconds of every process of Ray, where Ray has started `own`; else nothing.

    Ray has started it if a raylet is among its ancestors. Ray's processes are that one and all below it,
    except `own` and its descendants, and all that run a program of the raylet's package: a head's servers.
    """
    try:
        raylet = next((each for each in psutil.Process(own).parents() if each.name() == RAYLET), None)
        if raylet is None:
            return {}
        below = {raylet.pid, *(child.pid for child in raylet.children(recursive=True))}
        # ray/core/src/ray/raylet/raylet
        package = f"{Path(raylet.exe()).parents[4]}/"
    except (psutil.Error, IndexError):
        return {}
    others = cpu_time_by_process(own)
    return {pid: used for pid, used in others.items() if pid in below or _runs_from(pid, package)}


def ray_usage(
    before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]]
) -> RayUsage | None:
    """Return what Ray's processes used in between; None if there are none.

    A process that began and ended in between is missed.
    """
    if not after:
        return None
    seconds = sum(_seconds_between(before, after).values())
    return RayUsage(tuple(sorted({name for name, _ in after.values()})), round(seconds * 1e9))


def _runs_from(pid: int, package: str) -> bool:
    """Return whether a process runs a program or a script of this folder."""
    try:
        return any(word.startswith(package) for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def _seconds_between(
    before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]]
) -> dict[int, float]:
    return {
        pid: seconds - (before[pid][1] if pid in before and before[pid][0] == name else 0.0)
        for pid, (name, seconds) in after.items()
    }


def _number(path: Path) -> int | None:
    text = read(path) or ""
    magnitude = number(text.removeprefix("-"))
    return -magnitude if magnitude is not None and text.startswith("-") else magnitude


def _available(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def _load_average(root: Path) -> float | None:
    load = re.match(r"[0-9]{1,9}\.[0-9]{1,9}(?=\s|$)", read(root / "proc/loadavg") or "")
    return float(load[0]) if load else None


def _frequency_khz(cpus: Collection[int], root: Path) -> int | None:
    """Return the median clock frequency of these CPUs."""
    system = root / "sys/devices/system/cpu"
    clocks = _available(_number(system / f"cpu{cpu}/cpufreq/scaling_cur_freq") for cpu in cpus)
    return round(statistics.median(clocks)) if clocks else None


def _temperature_mc(root: Path) -> int | None:
    """Return the hottest processor sensor in thousandths of a degree Celsius."""
    zones = root.glob("sys/class/thermal/thermal_zone*")
    chips = root.glob("sys/class/hwmon/hwmon*")
    files = [
        *(zone / "temp" for zone in zones if _is_cpu_sensor(zone / "type")),
        *(file for chip in chips if _is_cpu_sensor(chip / "name") for file in chip.glob("temp*_input")),
    ]
    return max(_available(map(_number, files)), default=None)


def _is_cpu_sensor(file: Path) -> bool:
    """Return whether a sensor is the processor's: Intel's, AMD's, or an Arm board's."""
    name = read(file) or ""
    return name in ("x86_pkg_temp", "coretemp", "k10temp", "zenpower") or name.startswith("cpu")


def _thermal_throttles(cpus: Collection[int], root: Path) -> int | None:
    """Return how often these CPUs were slowed down by heat since boot."""
    file = "sys/devices/system/cpu/cpu{}/thermal_throttle/{}_throttle_count"
    counts = [_number(root / file.format(cpu, kind)) for cpu in cpus for kind in ("core", "package")]
    return sum(_available(counts)) if _available(counts) else None


def _quota_throttled_us(root: Path) -> int | None:
    """Return for how many microseconds the quota of the nearest cgroup has stopped its processes."""
    for text in cgroup_values("cpu", ["cpu.stat"], root):
        facts = {
            name: number(value) for name, _, value in (line.partition(" ") for line in text.splitlines())
        }
        if facts.get("throttled_usec") is not None:
            return facts["throttled_usec"]
        nanoseconds = facts.get("throttled_time")  # version 1
        if nanoseconds is not None:
            return nanoseconds // 1000
    return None


def _pressure_us(root: Path) -> dict[str, int]:
    """Return for how long some process waited for each resource since boot, if the kernel counts it."""
    waits = {}
    for name in PRESSURES:
        fields = (read(root / f"proc/pressure/{name}") or "").partition("\n")[0].split()
        total = number(next((field.partition("=")[2] for field in fields if field.startswith("total=")), ""))
        if total is not None:
            waits[name] = total
    return waits


def _swapped_pages(root: Path) -> int | None:
    """Return the number of pages swapped in and out since boot."""
    lines = (line.partition(" ") for line in (read(root / "proc/vmstat") or "").splitlines())
    counts = [number(value) for name, _, value in lines if name in ("pswpin", "pswpout")]
    return sum(_available(counts)) if counts and None not in counts else None
