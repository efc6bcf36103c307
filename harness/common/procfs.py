"""Readers of `/proc` and `/sys`: CPUs, cgroup limits, memory, CPU time and load.

Workers use these too, so nothing heavy is imported here. Every function takes the root of the file system
as an argument: tests run on small fake trees. A value that the kernel does not show is None, never a default.

psutil is used for single processes only. It has no cgroups and no root, and to find the children of a process
it reads every process of the machine (2.7 ms where `children` takes 0.15 ms).
"""

import os
import re
import resource
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

ROOT = Path("/")


def read(path: Path) -> str | None:
    """Return the stripped text of a kernel file, or None where it is missing, hidden or not text."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def cpu_list(text: str) -> tuple[int, ...]:
    """Return the CPUs of a list in the kernel's notation: `0-2,8` is 0, 1, 2, 8."""
    cpus: list[int] = []
    for part in text.replace("\n", ",").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            cpus += range(int(first), int(last or first) + 1)
    return tuple(cpus)


def cpuinfo(root: Path = ROOT) -> dict[str, str]:
    """Return the fields of the first processor in `/proc/cpuinfo`."""
    fields: dict[str, str] = {}
    for line in (read(root / "proc/cpuinfo") or "").splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            break
        fields[key.strip()] = value.strip()
    return fields


def flags_of(info: dict[str, str]) -> frozenset[str]:
    """Return the processor's feature flags: `flags` on x86, `Features` on Arm."""
    return frozenset((info.get("flags") or info.get("Features") or "").split())


def siblings(cpu: int, root: Path = ROOT) -> tuple[int, ...] | None:
    """Return the logical CPUs that share this one's core, itself included, or None if unknown."""
    text = read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return cpu_list(text) or None if text else None


def physical_cpus(affinity: Iterable[int], root: Path = ROOT) -> tuple[int, ...]:
    """Return one logical CPU per physical core: the lowest of each core within affinity and cpuset.

    A CPU whose topology is unknown counts as a core of its own.
    """
    usable = frozenset(affinity)
    first_of_core: dict[tuple[int, ...], int] = {}
    for cpu in sorted(usable & (allowed_cpus(root) or usable)):
        first_of_core.setdefault(siblings(cpu, root) or (cpu,), cpu)
    return tuple(first_of_core.values())


def cores_per_package(root: Path = ROOT) -> int | None:
    """Return the number of physical cores in the package of CPU 0, or None if the kernel hides it."""
    text = None
    for name in ("package_cpus_list", "core_siblings_list"):  # the second name is that before Linux 5.3
        text = text or read(root / "sys/devices/system/cpu/cpu0/topology" / name)
    if not text:
        return None
    return len({siblings(cpu, root) or (cpu,) for cpu in cpu_list(text)})


def _cgroup_folders(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's cgroups that may limit it: its own first, then every ancestor.

    In a container the path often lies outside of what is mounted; then the root of the mount holds its
    limits.
    """
    base = root / "sys/fs/cgroup"
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2, alone or beside version 1
            mount = base if (base / "cgroup.controllers").exists() else base / "unified"
        elif controller in controllers.split(","):
            mounts = [folder for folder in base.glob("*") if controller in folder.name.split(",")]
            mount = min(mounts, default=base / controller)
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        yield from (mount / folder for folder in (group, *group.parents) if ".." not in folder.parts)


def cgroup_values(controller: str, files: Iterable[str], root: Path) -> list[str]:
    """Return the contents of these files of this process's cgroups: its own first, then its ancestors'."""
    texts = (read(folder / name) for folder in _cgroup_folders(controller, root) for name in files)
    return [text for text in texts if text]


def allowed_cpus(root: Path = ROOT) -> frozenset[int]:
    """Return the CPUs that the nearest cgroup cpuset allows; empty if none limits them."""
    files = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
    values = cgroup_values("cpuset", files, root)
    return frozenset(cpu_list(values[0])) if values else frozenset()


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return how many CPUs' worth of time the tightest cgroup allows, or None without a quota."""
    files = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")  # version 2 has both in one file
    texts = ([read(folder / name) or "" for name in files] for folder in _cgroup_folders("cpu", root))
    pairs = (" ".join(pair).split() for pair in texts)
    limits = (list(map(int, pair)) for pair in pairs if pair and all(map(str.isdigit, pair)))
    return min((quota / period for quota, period in limits), default=None)


def ram_bytes(root: Path = ROOT) -> int | None:
    """Return the memory of the machine in bytes, or None if the kernel hides it."""
    total = re.search(r"^MemTotal:\s+(\d+) kB", read(root / "proc/meminfo") or "", re.MULTILINE)
    return int(total[1]) * 1024 if total else None


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """Return the smaller of RAM and the tightest cgroup limit in bytes, or None if neither is known."""
    values = cgroup_values("memory", ["memory.max", "memory.limit_in_bytes"], root)
    limits = [int(value) for value in values if value.isdigit()]
    ram = ram_bytes(root)
    return min([*limits, ram] if ram else limits, default=None)


class TreeCpuTime:
    """CPU time of the calling process and its descendants in nanoseconds, since they started.

    A call costs CPU time itself (it visits all processes, a millisecond or more), which is subtracted from
    the result. Living descendants are read from their CPU clocks, to the nanosecond; ended ones from the
    kernel's sums over children that were waited for. A grandchild whose parent ended is missed.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._overhead_ns = 0

    def __call__(self) -> int:
        """Return the nanoseconds of CPU time that the process tree has used."""
        own, began = time.process_time_ns(), time.thread_time_ns()
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        living = sum(_cpu_ns(child) for child in self._process.children(recursive=True))
        total = own - self._overhead_ns + round((ended.ru_utime + ended.ru_stime) * 1e9) + living
        self._overhead_ns += time.thread_time_ns() - began
        return total


def _cpu_ns(process: psutil.Process) -> int:
    """Return the CPU time of a process and of the children it has waited for; 0 once it has ended."""
    try:
        # the CPU clock of another process: ~pid and CPUCLOCK_SCHED, as clock_getcpuclockid(3) builds it
        own = time.clock_gettime_ns((~process.pid << 3) | 2)
        times = process.cpu_times()
    except (OSError, psutil.Error):
        return 0
    return own + int((times.children_user + times.children_system) * 1e9)


def children(pid: int, root: Path = ROOT) -> Iterator[int]:
    """Yield the living descendants of a process, from the kernel's list of children for each thread."""
    for file in root.glob(f"proc/{pid}/task/*/children"):
        for child in map(int, (read(file) or "").split()):
            yield child
            yield from children(child, root)


def tree_cpu_ns(pid: int, root: Path = ROOT) -> int:
    """Return the CPU time of a process, its living descendants and the children it has waited for.

    In nanoseconds; 0 once the process has ended.
    """
    return sum(_cpu_ns_of(process) for process in (pid, *children(pid, root)))


def _cpu_ns_of(pid: int) -> int:
    try:
        return _cpu_ns(psutil.Process(pid))
    except psutil.Error:
        return 0


@dataclass(frozen=True, slots=True)
class Busy:
    """Busy time of CPUs in nanoseconds, since boot or between two points, over all processes.

    `busy_ns` is the time that the selected CPUs were not idle, `elsewhere_ns` the same of all other CPUs, and
    `steal_ns` the time that the hypervisor took from the selected ones. The kernel counts ticks, usually of
    10 ms.
    """

    busy_ns: int
    elsewhere_ns: int
    steal_ns: int

    def since(self, earlier: "Busy") -> "Busy":
        """Return the busy time between an earlier point and this one."""
        return Busy(
            self.busy_ns - earlier.busy_ns,
            self.elsewhere_ns - earlier.elsewhere_ns,
            self.steal_ns - earlier.steal_ns,
        )


def busy(cpus: Collection[int], root: Path = ROOT, *, ticks_per_second: int | None = None) -> Busy | None:
    """Return how long these CPUs and all others have been busy since boot; None if the kernel hides it."""
    selected = elsewhere = steal = 0
    listed = set()
    for line in (read(root / "proc/stat") or "").splitlines()[1:]:
        name, *counters = line.split()
        if not name.startswith("cpu"):
            break
        user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, counters[:8])
        ticks = user + nice + system + irq + softirq  # guest time is part of user
        cpu = int(name.removeprefix("cpu"))
        listed.add(cpu)
        if cpu in cpus:
            selected, steal = selected + ticks, steal + stolen
        else:
            elsewhere += ticks
    if not listed or not listed >= set(cpus):
        return None
    tick_ns = 1_000_000_000 // (ticks_per_second or os.sysconf("SC_CLK_TCK"))
    return Busy(selected * tick_ns, elsewhere * tick_ns, steal * tick_ns)
