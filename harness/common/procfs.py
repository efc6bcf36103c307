"""What the kernel says about CPUs, limits and load: small readers over `/proc` and `/sys`.

Workers use these too, so nothing heavy is imported here. Every function takes the root of the file system
as an argument: tests run on small fake trees. What the kernel does not say is None, never a default.
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
    """Return the CPUs of a kernel list: `0-2,8` is 0, 1, 2, 8."""
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
    wanted = frozenset(affinity)
    chosen: dict[tuple[int, ...], int] = {}
    for cpu in sorted(wanted & (allowed_cpus(root) or wanted)):
        chosen.setdefault(siblings(cpu, root) or (cpu,), cpu)
    return tuple(chosen.values())


def cores_per_package(root: Path = ROOT) -> int | None:
    """Return the physical cores of the package of the first CPU, or None if the kernel does not say."""
    text = None
    for name in ("package_cpus_list", "core_siblings_list"):  # the second is the name before Linux 5.3
        text = text or read(root / "sys/devices/system/cpu/cpu0/topology" / name)
    if not text:
        return None
    return len({siblings(cpu, root) or (cpu,) for cpu in cpu_list(text)})


def _cgroup_folders(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's cgroups that may limit it, own first, then every ancestor.

    A container often sees a path that lies outside what is mounted for it; the mount's own root then holds
    its limits.
    """
    base = root / "sys/fs/cgroup"
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2, alone or beside version 1
            mount = base if (base / "cgroup.controllers").exists() else base / "unified"
        elif controller in controllers.split(","):
            named = [folder for folder in base.glob("*") if controller in folder.name.split(",")]
            mount = min(named, default=base / controller)
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        yield from (mount / place for place in (inside, *inside.parents) if ".." not in place.parts)


def cgroup_values(controller: str, files: Iterable[str], root: Path) -> list[str]:
    """Return what these files of this process's cgroups hold, own first."""
    texts = (read(folder / name) for folder in _cgroup_folders(controller, root) for name in files)
    return [text for text in texts if text]


def allowed_cpus(root: Path = ROOT) -> frozenset[int]:
    """Return the CPUs that the nearest cgroup cpuset allows; empty where nothing limits them."""
    files = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
    values = cgroup_values("cpuset", files, root)
    return frozenset(cpu_list(values[0])) if values else frozenset()


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return the CPUs' worth of time that the tightest cgroup allows, or None without a quota."""
    files = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")  # version 2: both in one; version 1: two
    texts = ([read(folder / name) or "" for name in files] for folder in _cgroup_folders("cpu", root))
    pairs = (" ".join(group).split() for group in texts)
    numbers = (list(map(int, pair)) for pair in pairs if pair and all(map(str.isdigit, pair)))
    return min((quota / period for quota, period in numbers), default=None)


def ram_bytes(root: Path = ROOT) -> int | None:
    """Return the memory of the machine in bytes, or None if the kernel does not say."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", read(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """Return the smaller of RAM and the tightest cgroup limit in bytes, or None if neither is known."""
    limits = cgroup_values("memory", ["memory.max", "memory.limit_in_bytes"], root)
    known = [int(limit) for limit in limits if limit.isdigit()]
    ram = ram_bytes(root)
    return min([*known, ram] if ram else known, default=None)


class TreeCpuTime:
    """CPU time of the calling process and its descendants in nanoseconds, since they began.

    Calling it costs CPU time itself (a walk over all processes, a millisecond or more); that cost is kept
    out of what it returns. Living descendants are read from their CPU clocks, to the nanosecond; ended ones
    from the kernel's sums over waited-for children. A grandchild whose parent died is lost from sight.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._spent_ns = 0

    def __call__(self) -> int:
        """Return the nanoseconds of CPU time that the tree has used."""
        own, began = time.process_time_ns(), time.thread_time_ns()
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        living = sum(_cpu_ns(child) for child in self._process.children(recursive=True))
        total = own - self._spent_ns + round((ended.ru_utime + ended.ru_stime) * 1e9) + living
        self._spent_ns += time.thread_time_ns() - began
        return total


def _cpu_ns(process: psutil.Process) -> int:
    """Return CPU time of one process and of the children it has waited for; 0 once it is gone."""
    try:
        # the CPU clock of another process: ~pid and CPUCLOCK_SCHED, as clock_getcpuclockid(3) builds it
        own = time.clock_gettime_ns((~process.pid << 3) | 2)
        times = process.cpu_times()
    except (OSError, psutil.Error):
        return 0
    return own + int((times.children_user + times.children_system) * 1e9)


def children(pid: int, root: Path = ROOT) -> Iterator[int]:
    """Yield the living descendants of a process, by what the kernel lists for each of its threads.

    This looks at the tree alone; psutil looks at every process of the machine to find it.
    """
    for file in root.glob(f"proc/{pid}/task/*/children"):
        for child in map(int, (read(file) or "").split()):
            yield child
            yield from children(child, root)


def tree_cpu_ns(pid: int, root: Path = ROOT) -> int:
    """Return CPU time of a process, its living descendants and those it waited for; 0 once it is gone."""
    return sum(_cpu_ns_of(each) for each in (pid, *children(pid, root)))


def _cpu_ns_of(pid: int) -> int:
    try:
        return _cpu_ns(psutil.Process(pid))
    except psutil.Error:
        return 0


@dataclass(frozen=True, slots=True)
class Busy:
    """CPU time in nanoseconds, since boot or between two points, whoever used it.

    `ours_ns` is what the named CPUs spent not idle, `elsewhere_ns` what all others did, `steal_ns` what the
    hypervisor took from the named ones. The kernel counts in ticks, usually of 10 ms.
    """

    ours_ns: int
    elsewhere_ns: int
    steal_ns: int

    def since(self, earlier: "Busy") -> "Busy":
        """Return what was spent between an earlier point and this one."""
        return Busy(
            self.ours_ns - earlier.ours_ns,
            self.elsewhere_ns - earlier.elsewhere_ns,
            self.steal_ns - earlier.steal_ns,
        )


def busy(cpus: Collection[int], root: Path = ROOT, *, ticks_per_second: int | None = None) -> Busy | None:
    """Return how long these CPUs, and all others, have worked since boot; None where the kernel hides it."""
    ours = elsewhere = steal = 0
    known = set()
    for line in (read(root / "proc/stat") or "").splitlines()[1:]:
        name, *counters = line.split()
        if not name.startswith("cpu"):
            break
        user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, counters[:8])
        worked = user + nice + system + irq + softirq  # guest time is part of user
        cpu = int(name.removeprefix("cpu"))
        known.add(cpu)
        if cpu in cpus:
            ours, steal = ours + worked, steal + stolen
        else:
            elsewhere += worked
    if not known or not known >= set(cpus):
        return None
    tick_ns = 1_000_000_000 // (ticks_per_second or os.sysconf("SC_CLK_TCK"))
    return Busy(ours * tick_ns, elsewhere * tick_ns, steal * tick_ns)
