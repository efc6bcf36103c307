"""The kernel's values, read from small fake trees, and CPU time, read from real processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.common.procfs import (
    Busy,
    TreeCpuTime,
    busy,
    children,
    cores_per_package,
    cpu_list,
    cpu_quota,
    memory_limit_bytes,
    physical_cpus,
    tree_cpu_ns,
)

GIB = 2**30
MEMINFO = {"proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n"}


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a small tree and return its root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def topology(siblings: list[str], packages: list[str]) -> dict[str, str]:
    """Return the files that list the CPUs of each core and package, CPU by CPU."""
    place = "sys/devices/system/cpu/cpu{}/topology/{}"
    files = {place.format(cpu, "thread_siblings_list"): text for cpu, text in enumerate(siblings)}
    return files | {place.format(cpu, "package_cpus_list"): text for cpu, text in enumerate(packages)}


FOUR_CORES = topology(["0,4", "1,5", "2,6", "3,7"] * 2, ["0-1,4-5", "0-1,4-5", "2-3,6-7", "2-3,6-7"] * 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-2,8", (0, 1, 2, 8)), ("5", (5,)), ("", ()), ("0-1\n", (0, 1)), ("0,2-3", (0, 2, 3))],
)
def test_the_kernels_lists_of_cpus_are_read(text: str, expected: tuple[int, ...]) -> None:
    """Ranges, single numbers and nothing."""
    assert cpu_list(text) == expected


def test_one_cpu_stands_for_each_core(tmp_path: Path) -> None:
    """Four cores of two threads: the lower thread of each."""
    assert physical_cpus(range(8), plant(tmp_path, FOUR_CORES)) == (0, 1, 2, 3)


def test_only_cpus_of_the_affinity_are_used(tmp_path: Path) -> None:
    """Of core 0-4 only thread 4 may be used, and core 3-7 not at all."""
    assert physical_cpus([4, 5, 1, 2], plant(tmp_path, FOUR_CORES)) == (1, 2, 4)


@pytest.mark.parametrize(
    "group",
    [
        {
            "proc/self/cgroup": "0::/job",
            "sys/fs/cgroup/cgroup.controllers": "cpuset",
            "sys/fs/cgroup/job/cpuset.cpus.effective": "1-2",
        },
        {"proc/self/cgroup": "3:cpuset:/job\n0::/", "sys/fs/cgroup/cpuset/job/cpuset.cpus": "1-2"},
    ],
)
def test_a_cpuset_narrows_the_choice(tmp_path: Path, group: dict[str, str]) -> None:
    """In both versions of cgroups, CPUs outside the set are not offered."""
    assert physical_cpus(range(8), plant(tmp_path, FOUR_CORES | group)) == (1, 2)


def test_without_topology_each_cpu_is_a_core(tmp_path: Path) -> None:
    """A kernel that hides the topology leaves nothing to join."""
    assert physical_cpus([3, 1], tmp_path) == (1, 3)


def test_cores_are_counted_per_package(tmp_path: Path) -> None:
    """CPUs 0-1 and 4-5 share the first package: two cores; unknown where the kernel is silent."""
    assert cores_per_package(tmp_path) is None
    assert cores_per_package(plant(tmp_path, FOUR_CORES)) == 2


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 16 * GIB),
        (
            {
                "proc/self/cgroup": "0::/job/step",
                "sys/fs/cgroup/cgroup.controllers": "cpu memory",
                "sys/fs/cgroup/job/step/memory.max": "max",
                "sys/fs/cgroup/job/memory.max": str(3 * GIB),
            },
            3 * GIB,
        ),
        (
            # inside a container: the path is the host's, the mount shows the container's own folder
            {
                "proc/self/cgroup": "4:memory:/docker/a1",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GIB),
            },
            2 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            16 * GIB,
        ),
    ],
)
def test_the_tightest_memory_limit_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """RAM, a limit on an ancestor, a container's limit, and version 1's value for no limit."""
    assert memory_limit_bytes(plant(tmp_path, MEMINFO | files)) == expected


def test_an_unknown_memory_limit_is_none(tmp_path: Path) -> None:
    """Where neither RAM nor a limit can be read there is no number."""
    assert memory_limit_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                "proc/self/cgroup": "0::/job",
                "sys/fs/cgroup/cgroup.controllers": "cpu",
                "sys/fs/cgroup/job/cpu.max": "150000 100000",
            },
            1.5,
        ),
        (
            {
                "proc/self/cgroup": "0::/job",
                "sys/fs/cgroup/cgroup.controllers": "cpu",
                "sys/fs/cgroup/job/cpu.max": "max 100000",
            },
            None,
        ),
        (
            {
                "proc/self/cgroup": "2:cpu,cpuacct:/",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "2:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
)
def test_a_cpu_quota_is_read_in_both_versions(
    tmp_path: Path, files: dict[str, str], expected: float | None
) -> None:
    """Quota over period; `max` and -1 are no quota."""
    assert cpu_quota(plant(tmp_path, files)) == expected


STAT = (
    "cpu  999 0 0 0 0 0 0 0 0 0\n"
    "cpu0 {} 1 {} 5000 40 2 3 {} 7 0\n"
    "cpu1 50 0 0 9000 0 0 0 4 0 0\n"
    "cpu2 {} 0 0 9000 0 0 0 9 0 0\n"
    "intr 1 2 3\n"
)


def test_busy_time_is_split_between_our_cpus_and_all_others(tmp_path: Path) -> None:
    """Ticks of 10 ms; idle and iowait are not busy, guest time is inside user already.

    CPU 0 before: 100 + 1 + 20 + 2 + 3 = 126 ticks; after: 190 + 1 + 30 + 2 + 3 = 226; CPU 1 did nothing:
    1,000 ms on ours. CPU 2 went from 10 to 40: 300 ms elsewhere. Steal on CPU 0 rose by 5 ticks, 50 ms.
    """
    before = busy((0, 1), plant(tmp_path, {"proc/stat": STAT.format(100, 20, 10, 10)}), ticks_per_second=100)
    after = busy((0, 1), plant(tmp_path, {"proc/stat": STAT.format(190, 30, 15, 40)}), ticks_per_second=100)
    assert before is not None
    assert after is not None
    assert after.since(before) == Busy(1_000_000_000, 300_000_000, 50_000_000)


@pytest.mark.parametrize("text", ["", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", STAT.format(1, 1, 1, 1)])
def test_hidden_load_is_none(tmp_path: Path, text: str) -> None:
    """A sandbox without counters, or without those of our CPUs, gives no load, not a quiet machine."""
    assert busy((0, 3), plant(tmp_path, {"proc/stat": text})) is None


def test_a_tree_of_processes_is_found_without_looking_at_all_others(tmp_path: Path) -> None:
    """Process 10 has children under two threads, one of them a child of its own; 99 has no parent here."""
    files = {
        "proc/10/task/10/children": "11 12 ",
        "proc/10/task/15/children": "13",
        "proc/11/task/11/children": "",
        "proc/12/task/12/children": "14",
        "proc/99/task/99/children": "100",
    }
    assert sorted(children(10, plant(tmp_path, files))) == [11, 12, 13, 14]
    assert list(children(7, tmp_path)) == []


SPIN = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


def test_cpu_time_of_a_waited_for_child_is_counted() -> None:
    """A child that spun for 0.3 s of CPU time adds at least that."""
    cpu_time = TreeCpuTime()
    before = cpu_time()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    assert cpu_time() - before >= 300_000_000


def test_cpu_time_of_a_living_child_is_counted() -> None:
    """The child has spun and now waits: its time is there before it ends, and is not counted twice after."""
    cpu_time = TreeCpuTime()
    before = cpu_time()
    program = SPIN + "print('spun', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "spun\n"
    alive = cpu_time() - before
    child.communicate("\n")
    ended = cpu_time() - before
    assert alive >= 300_000_000
    assert alive <= ended < alive + 300_000_000


def test_cpu_time_of_another_tree_is_read_from_outside() -> None:
    """A child that spun for 0.3 s by now shows it to its parent; a child that has ended shows nothing."""
    program = SPIN + "print('spun', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "spun\n"
    assert tree_cpu_ns(child.pid) >= 300_000_000
    assert tree_cpu_ns(os.getpid()) >= tree_cpu_ns(child.pid) > 0
    child.communicate("\n")
    assert tree_cpu_ns(child.pid) == 0


def test_looking_costs_nothing_in_the_result() -> None:
    """20 reads cost CPU time, most of which is not in the difference."""
    cpu_time = TreeCpuTime()
    raw, before = time.process_time_ns(), cpu_time()
    for _ in range(20):
        cpu_time()
    counted, real = cpu_time() - before, time.process_time_ns() - raw
    assert counted < real / 2
