"""Readers of `/proc` and `/sys`: CPUs, cgroup limits, memory, CPU time and load.

Workers use these too, so nothing heavy is imported here. Every function takes the root of the file system
as an argument: tests run on small fake trees. A value that the kernel does not show is None, never a default.

psutil is used for single processes only. It has no cgroups and no root, and to find the children of a process
it reads every process of the machine (2.7 ms where `children` takes 0.15 ms).
"""

import os
import re
import resource
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import psutil

ROOT = Path("/")

MOST_CPUS = 2**16
"""Numbers of CPUs beyond this are no numbers of CPUs: Linux allows 8,192 on x86."""

_NUMBER = re.compile(r"[0-9]{1,20}")
"""A number of the kernel; 64 bits have 20 digits. `int` would also accept signs, spaces and other digits."""

MOST_TRIES = 5
"""Reads of the list of children, of which two in a row must be the same."""

_CPU_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def read(path: Path) -> str | None:
    """Return the stripped text of a kernel file, or None where it is missing, hidden or not text."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):  # ValueError: not text, or a path with a null byte
        return None


def number(text: str | None) -> int | None:
    """Return the number that a text of the kernel holds, or None for any other text."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def numbers(text: str | None) -> list[int] | None:
    """Return the numbers in a text that holds nothing else, or None for any other text."""
    values = [number(field) for field in (text or "").split()]
    return [value for value in values if value is not None] if values and None not in values else None


def cpu_list(text: str) -> tuple[int, ...]:
    """Return the CPUs of a list in the kernel's notation: `0-2,8` is 0, 1, 2, 8; empty for any other text."""
    cpus: list[int] = []
    for part in filter(None, map(str.strip, text.replace("\n", ",").split(","))):
        bounds = _CPU_RANGE.fullmatch(part)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (1, 0)
        if not first <= last < MOST_CPUS:
            return ()
        cpus += range(first, last + 1)
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
    cpus = cpu_list(text or "")
    return cpus if cpu in cpus else None


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
    return len({siblings(cpu, root) or (cpu,) for cpu in cpu_list(text)}) or None


def _cgroup_folders(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's cgroups that may limit it: its own first, then every ancestor.

    In a container the path often lies outside of what is mounted; then the root of the mount holds its
    limits.
    """
    base = root / "sys/fs/cgroup"
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon or number(hierarchy) is None:
            continue
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
    limits = filter(None, (numbers(" ".join(pair)) for pair in texts))  # `max` and -1 are no limit
    pairs = (limit for limit in limits if len(limit) == 2 and min(limit) > 0)  # noqa: PLR2004 -- quota, period
    return min((quota / period for quota, period in pairs), default=None)


def ram_bytes(root: Path = ROOT) -> int | None:
    """Return the memory of the machine in bytes, or None if the kernel hides it."""
    return kilobytes("MemTotal", read(root / "proc/meminfo"))


def kilobytes(name: str, text: str | None) -> int | None:
    """Return the bytes of a line like `MemTotal:  16777216 kB`, or None without such a line."""
    line = re.search(rf"^{name}:\s+([0-9]{{1,20}}) kB", text or "", re.MULTILINE)
    return int(line[1]) * 1024 if line and int(line[1]) else None


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """Return the smaller of RAM and the tightest cgroup limit in bytes, or None if neither is known."""
    values = map(number, cgroup_values("memory", ["memory.max", "memory.limit_in_bytes"], root))
    limits = [value for value in values if value is not None]
    ram = ram_bytes(root)
    return min([*limits, ram] if ram else limits, default=None)


class TreeCpuTime:
    """CPU time of the calling process and its descendants in nanoseconds, since they started.

    A call costs CPU time itself (0.3 ms; where the kernel lists no children it visits all processes, a
    millisecond or more). That of all instances is subtracted from the result, so that a meter and a clock do
    not count one another. Living descendants are read from their CPU clocks, to the nanosecond; ended ones
    from the kernel's sums over children that were waited for. A grandchild whose parent ended is missed.
    """

    _overhead_ns: ClassVar[int] = 0
    _outside: ClassVar[Callable[[], int] | None] = None

    @classmethod
    def count_also(cls, outside: Callable[[], int] | None) -> None:
        """Count the CPU time of processes outside of the tree too; None counts the tree alone again."""
        cls._outside = outside

    def __call__(self) -> int:
        """Return the nanoseconds of CPU time that the process tree has used."""
        own, began = time.process_time_ns(), time.thread_time_ns()
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        living = sum(_cpu_ns_of(child) for child in descendants())
        if (outside := TreeCpuTime._outside) is not None:
            living += outside()
        total = own - TreeCpuTime._overhead_ns + round((ended.ru_utime + ended.ru_stime) * 1e9) + living
        TreeCpuTime._overhead_ns += time.thread_time_ns() - began
        return total


def descendants() -> frozenset[int]:
    """Return the living descendants of the calling process.

    The kernel's list of children may lack some of them while another one ends (proc(5)), so it is read until
    it is the same twice; psutil visits all processes where there is no list, or none that stays the same.
    """
    pid = os.getpid()
    if (ROOT / f"proc/self/task/{threading.get_native_id()}/children").exists():
        before = None
        for _ in range(MOST_TRIES):
            listed = frozenset(children(pid))
            if listed == before:
                return listed
            before = listed
    return frozenset(child.pid for child in psutil.Process(pid).children(recursive=True))


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
    waiting, known = [pid], {pid}
    while waiting:
        for file in root.glob(f"proc/{waiting.pop()}/task/*/children"):
            listed = [child for child in numbers(read(file)) or () if child not in known]
            known.update(listed)
            waiting += listed
            yield from listed


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


_CPU_STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The first columns of a processor in /proc/stat (proc(5))."""


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
        name, _, text = line.partition(" ")
        if not name.startswith("cpu"):
            break
        cpu, counters = number(name.removeprefix("cpu")), numbers(text) or []
        if cpu is None or len(counters) < len(_CPU_STATES):
            return None
        user, nice, system, _idle, _iowait, irq, softirq, stolen = counters[: len(_CPU_STATES)]
        ticks = user + nice + system + irq + softirq  # guest time is part of user
        listed.add(cpu)
        if cpu in cpus:
            selected, steal = selected + ticks, steal + stolen
        else:
            elsewhere += ticks
    if not listed or not listed >= set(cpus):
        return None
    tick_ns = 1_000_000_000 // (ticks_per_second or os.sysconf("SC_CLK_TCK"))
    return Busy(selected * tick_ns, elsewhere * tick_ns, steal * tick_ns)
