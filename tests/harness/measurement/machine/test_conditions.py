import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.measurement.machine.conditions import (
    RayUsage,
    busiest_process,
    cpu_time_by_process,
    ray_cpu_time,
    ray_usage,
    take_snapshot,
)
from harness.records.record import GpuSnapshot, MachineSnapshot

CPU = "sys/devices/system/cpu"
WARM = {
    "proc/loadavg": "1.50 0.9 0.7 2/300 4242",
    "proc/stat": "cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 9 0 0 0 0 0 0 4 0 0\ncpu1 9 0 0 0 0 0 0 6 0 0\n",
    "proc/vmstat": "nr_free_pages 5\npswpin 3\npswpout 4",
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1200\nfull avg10=0.00 total=1",
    "proc/pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.00 total=70",
    "proc/self/cgroup": "0::/job",
    "sys/fs/cgroup/cgroup.controllers": "cpu",
    "sys/fs/cgroup/job/cpu.stat": "usage_usec 99\nnr_throttled 2\nthrottled_usec 350",
    f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "3000000",
    f"{CPU}/cpu1/cpufreq/scaling_cur_freq": "2000000",
    f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "5",
    f"{CPU}/cpu0/thermal_throttle/package_throttle_count": "2",
    "sys/class/thermal/thermal_zone0/type": "acpitz",
    "sys/class/thermal/thermal_zone0/temp": "99000",
    "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp",
    "sys/class/thermal/thermal_zone1/temp": "61000",
    "sys/class/hwmon/hwmon2/name": "k10temp",
    "sys/class/hwmon/hwmon2/temp1_input": "63500",
    "sys/class/hwmon/hwmon3/name": "nvme",
    "sys/class/hwmon/hwmon3/temp1_input": "80000",
}


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a small tree and return its root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def test_a_moment_holds_all_that_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Median clock 2.5 GHz, hottest processor sensor 63.5 degrees (a disk's is none), 10 ticks of steal."""
    monkeypatch.setattr(os, "sysconf", lambda _name: 100)
    board = GpuSnapshot(name="A board")
    assert take_snapshot((0, 1), plant(tmp_path, WARM), (board,)) == MachineSnapshot(
        load_average=1.5,
        frequency_khz=2_500_000,
        temperature_mc=63_500,
        thermal_throttles=7,
        quota_throttled_us=350,
        steal_ns=100_000_000,
        pressure_us={"cpu": 1200, "io": 70},
        swapped_pages=7,
        gpus=(board,),
    )


def test_an_older_kernel_counts_its_quota_in_nanoseconds(tmp_path: Path) -> None:
    """Version 1 of cgroups: 2,500,000 ns are 2,500 us."""
    files = {
        "proc/self/cgroup": "2:cpu,cpuacct:/",
        "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_periods 3\nthrottled_time 2500000",
    }
    assert take_snapshot((0,), plant(tmp_path, files)).quota_throttled_us == 2500


def test_a_silent_kernel_gives_no_numbers(tmp_path: Path) -> None:
    """Nothing is made up: every field is absent."""
    assert take_snapshot((0,), tmp_path) == MachineSnapshot()


def test_the_process_that_worked_most_is_named_with_its_cpus() -> None:
    """In 10 s: stress used 15 s, that is 1.5 CPUs; a process that was there before counts what it added."""
    before = {1: ("init", 100.0), 2: ("editor", 50.0)}
    after = {1: ("init", 100.0), 2: ("editor", 51.0), 3: ("stress", 15.0)}
    assert busiest_process(before, after, 10_000_000_000) == "stress, 1.50 CPUs"


def test_a_number_that_was_given_to_another_process_is_not_mixed_up() -> None:
    """Process 5 was an editor and is now a compiler: its 2 s are all its own."""
    assert busiest_process({5: ("editor", 900.0)}, {5: ("cc1", 2.0)}, 10**9) == "cc1, 2.00 CPUs"


@pytest.mark.parametrize("after", [{}, {1: ("init", 100.05)}])
def test_a_quiet_machine_names_nobody(after: dict[int, tuple[str, float]]) -> None:
    """0.05 s in 10 s are half a hundredth of a CPU."""
    assert busiest_process({1: ("init", 100.0)}, after, 10_000_000_000) is None


def test_our_own_processes_are_no_strangers() -> None:
    """This process is left out of what it sees."""
    cpu_time = cpu_time_by_process(os.getpid())
    assert os.getpid() not in cpu_time
    assert all(name and seconds >= 0 for name, seconds in cpu_time.values())


RAY_OF_THIS = (
    "import json, os; from harness.measurement.machine.conditions import ray_cpu_time; "
    "print(json.dumps(sorted(name for name, _ in ray_cpu_time(os.getpid()).values())))"
)


def test_the_processes_of_ray_are_found_by_what_the_kernel_shows_of_them(tmp_path: Path) -> None:
    """A raylet that has started this one, what is below it, and a server of the same package."""
    package = tmp_path / "ray"
    raylet, server = package / "core/src/ray/raylet/raylet", package / "core/src/ray/gcs/gcs_server"
    for program in (raylet, server):
        program.parent.mkdir(parents=True)
        shutil.copy("/bin/sh", program)
    script = f"sleep 60 & '{sys.executable}' -c '{RAY_OF_THIS}'; kill $!"
    other = subprocess.Popen([server, "-c", "read line"], stdin=subprocess.PIPE)
    try:
        done = subprocess.run([raylet, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    finally:
        other.kill()
        other.communicate()
    assert json.loads(done.stdout) == ["gcs_server", "raylet", "sleep"]


def test_without_a_raylet_above_this_process_nothing_is_of_ray() -> None:
    """Ray may run on this machine all the same: then it is another program."""
    assert ray_cpu_time(os.getpid()) == {}
    assert ray_usage({}, {}) is None


def test_the_use_of_ray_is_summed_over_its_processes() -> None:
    """One was there before, one began later."""
    before, after = {1: ("raylet", 5.0)}, {1: ("raylet", 6.0), 2: ("ray::IDLE", 0.5)}
    assert ray_usage(before, after) == RayUsage(("ray::IDLE", "raylet"), 1_500_000_000)
