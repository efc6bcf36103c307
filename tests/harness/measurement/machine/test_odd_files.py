"""Files of the kernel with odd contents: every reader returns None or leaves a value out, and none raises."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.common import procfs
from harness.common.errors import MeasurementError
from harness.measurement.energy.counters.meter import read_text
from harness.measurement.energy.cpu.hwmon import HwmonMeter
from harness.measurement.energy.cpu.models.modelled_power import modelled_power
from harness.measurement.energy.cpu.models.power_curves import MachinePower
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.cpu.rapl_perf import RaplPerfMeter
from harness.measurement.machine.conditions import take_snapshot
from harness.measurement.machine.host import fingerprint
from harness.measurement.machine.memory import high_water_bytes
from harness.measurement.machine.outside import OutsideProcesses

CPU = "sys/devices/system/cpu"
POWER = "sys/bus/event_source/devices/power"
RAPL = "sys/class/powercap/intel-rapl:0"
HWMON = "sys/class/hwmon/hwmon0"

FILES = (
    *("proc/cpuinfo", "proc/stat", "proc/meminfo", "proc/loadavg", "proc/vmstat", "proc/self/cgroup"),
    *("proc/1/cgroup", "proc/7/status", "proc/7/task/7/children", "proc/sys/kernel/osrelease"),
    *("proc/sys/kernel/perf_event_paranoid", "proc/sys/vm/swappiness", "proc/sys/kernel/numa_balancing"),
    *("proc/pressure/cpu", "proc/pressure/memory", "proc/pressure/io"),
    *(f"sys/fs/cgroup/{name}" for name in ("cpu.max", "cpu.stat", "memory.max", "cpuset.cpus.effective")),
    *(f"sys/fs/cgroup/cpu,cpuacct/{name}" for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.stat")),
    *("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/cpuset/cpuset.cpus"),
    *(f"{CPU}/{name}" for name in ("online", "smt/active", "intel_pstate/no_turbo", "cpufreq/boost")),
    *(f"{CPU}/cpu0/topology/{name}" for name in ("thread_siblings_list", "package_cpus_list", "die_id")),
    *(f"{CPU}/cpu0/topology/{name}" for name in ("core_siblings_list", "physical_package_id")),
    *(f"{CPU}/cpu0/cpufreq/{name}" for name in ("scaling_governor", "scaling_cur_freq", "scaling_max_freq")),
    *(f"{CPU}/cpu0/thermal_throttle/{name}_throttle_count" for name in ("core", "package")),
    *("sys/class/thermal/thermal_zone0/type", "sys/class/thermal/thermal_zone0/temp"),
    *(f"{HWMON}/{name}" for name in ("name", "temp1_input", "energy1_label", "energy1_input")),
    *("sys/kernel/mm/transparent_hugepage/enabled", "sys/class/dmi/id/sys_vendor"),
    *(f"{RAPL}/{name}" for name in ("name", "energy_uj", "max_energy_range_uj")),
    *(f"{POWER}/{name}" for name in ("type", "cpumask", "events/energy-pkg", "events/energy-pkg.scale")),
    *(f"{POWER}/{name}" for name in ("events/energy-pkg.unit", "events/energy-ram", "events/energy-psys")),
)

ODD = (
    *(b"", b"\n", b" ", b"100000", b"max", b"max 100000", b"100000 0", b"0 0", b"1 2 3", b"-1", b"-1 100000"),
    *(b"0-", b"-0", b"0-x", b"3-1", b"0-999999999", b"0,0,0", b"0-3:1/2", b"99999999999999999999999"),
    *(b"9" * 5000, b"\xff\xfe1", "\u00b2".encode(), "\u0663".encode(), b"\x00", b"1_000", b"1e3", b"nan"),
    *(b"inf", b"cpu", b"cpu \ncpu0", b"cpu 1\ncpu0 1 2 3", b"cpu 1\ncpux 1 2 3 4 5 6 7 8", b"0::/", b"0:"),
    *(
        b":::",
        b"x",
        b"0::/../a",
        b"1:cpu:/b",
        b"0::/\x00",
        b"pswpin",
        b"pswpin x\npswpout 1",
        b"\n\npswpin 1",
    ),
    *(b"some total=", b"throttled_usec", b"throttled_usec x", b"throttled_time ", b"MemTotal: x kB", b"7"),
    *(b"VmHWM: kB", b"7 8", b"Joules", b"event=", b"event=0x", b"event=0x02,umask=1", b"Esocket0"),
    *(b"package-0", b"psys", b"x86_pkg_temp"),
)
"""Contents that some kernel, container or fault has shown, or might show."""

GROUP = {"proc/self/cgroup": b"0::/", "sys/fs/cgroup/cgroup.controllers": b"cpu"}
"""A process in the root group of cgroup version 2."""

CONTENTS = st.sampled_from(ODD) | st.binary(max_size=30)


def plant(root: Path, contents: dict[str, bytes]) -> None:
    """Write these files below a root."""
    for name, data in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class NoPerf:
    """Perf events that open and count nothing."""

    def open(self, kind: int, config: int, cpu: int) -> int:
        """Open."""
        return kind + config + cpu

    def read(self, handle: int) -> int:
        """Return no count."""
        return 0 * handle

    def close(self, handle: int) -> None:
        """Do nothing."""


def a_number(value: object) -> bool:
    """Return whether a value is None, or a number of a plausible size."""
    return value is None or (isinstance(value, int | float) and math.isfinite(value) and abs(value) < 2**75)


READERS: dict[str, Callable[[Path], bool]] = {
    "cpu_quota": lambda root: a_number(procfs.cpu_quota(root)) and (procfs.cpu_quota(root) or 1) > 0,
    "memory_limit": lambda root: a_number(procfs.memory_limit_bytes(root)),
    "ram": lambda root: a_number(procfs.ram_bytes(root)),
    "allowed_cpus": lambda root: all(cpu < procfs.MOST_CPUS for cpu in procfs.allowed_cpus(root)),
    "physical_cpus": lambda root: set(procfs.physical_cpus([0, 1], root)) <= {0, 1},
    "cores_per_package": lambda root: procfs.cores_per_package(root) != 0,
    "siblings": lambda root: 0 in (procfs.siblings(0, root) or (0,)),
    "busy": lambda root: a_number(getattr(procfs.busy([0], root), "busy_ns", None)),
    "children": lambda root: all(child > 0 for child in procfs.children(7, root) if child),
    "high_water": lambda root: a_number(high_water_bytes(7, root)),
    "snapshot": lambda root: a_number(take_snapshot([0], root).load_average),
    "fingerprint": lambda root: bool(
        fingerprint(root, affinity=[0], machine="x86_64", name="x", environ={}, gpus=list).fingerprint
    ),
    "modelled_power": lambda root: _watts(modelled_power(root, {})) > 0,
    "rapl": lambda root: _read(RaplMeter(root / "sys/class/powercap", read_text=read_text)),
    "perf": lambda root: _read(RaplPerfMeter(root, perf=NoPerf())),
    "hwmon": lambda root: _read(HwmonMeter(root / "sys/class/hwmon", read_text=read_text)),
    "outside": lambda root: a_number(_cpu_ns(OutsideProcesses(cgroup="/", root=root))),
}
"""Every reader of /proc and /sys, with what holds of its result whatever the files hold."""


def _watts(power: ProcessorPower | MachinePower) -> float:
    return power.watts if isinstance(power, ProcessorPower) else power.watts(1.0)


def _cpu_ns(outside: OutsideProcesses) -> int | None:
    try:
        return outside.cpu_ns()
    except MeasurementError:
        return None


def _read(meter: RaplMeter | RaplPerfMeter | HwmonMeter) -> bool:
    meter.obstacle()
    return all((reading.microjoules or 0) >= 0 for reading in meter.read(meter.start()))


@settings(max_examples=25, deadline=None)
@example(
    contents={
        "proc/self/cgroup": b"0::/",
        "sys/fs/cgroup/cgroup.controllers": b"",
        "sys/fs/cgroup/cpu.max": b"1",
    }
)
@given(
    contents=st.dictionaries(
        st.sampled_from(FILES), st.sampled_from(ODD) | st.binary(max_size=30), min_size=1
    )
)
def test_no_reader_raises_whatever_the_kernel_shows(contents: dict[str, bytes]) -> None:
    """Each file may hold anything, and any may be missing; a cgroup of its own makes version 2 or 1 apply."""
    contents.setdefault("proc/self/cgroup", b"4:cpu,cpuacct:/\n3:memory:/\n2:cpuset:/\n0::/")
    with TemporaryDirectory() as folder:
        plant(Path(folder), contents)
        for name, holds in READERS.items():
            assert holds(Path(folder)), name


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("200000 100000", 2.0),
        *(
            (text, None)
            for text in ("100000", "max", "max 100000", "1 2 3", "100000 0", "0 100000", "x y", "")
        ),
    ],
)
def test_a_quota_is_two_positive_numbers_or_none(tmp_path: Path, text: str, quota: float | None) -> None:
    """`cpu.max` with one number is no quota, and no error."""
    files = {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/cgroup.controllers": "cpu",
        "sys/fs/cgroup/cpu.max": text,
    }
    plant(tmp_path, {name: value.encode() for name, value in files.items()})
    assert procfs.cpu_quota(tmp_path) == quota


def test_a_processor_with_fewer_columns_hides_how_busy_it_is(tmp_path: Path) -> None:
    """Before Linux 2.6.11 there is no column of stolen time: None, not zero."""
    plant(tmp_path, {"proc/stat": b"cpu  1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1\n"})
    assert procfs.busy([0], tmp_path) is None


def test_every_reader_of_the_kernel_is_among_these() -> None:
    """No other module of the harness opens /proc or /sys by itself."""
    harness = Path(procfs.__file__).parents[1]
    others = {
        path.relative_to(harness).as_posix()
        for path in harness.rglob("*.py")
        if re.search(r'"/?(proc|sys)/[a-z]|procfs import .*\bread\b', path.read_text(encoding="utf-8"))
    }
    assert others == {
        "common/procfs.py",
        "measurement/energy/cpu/codecarbon_tool.py",
        "measurement/energy/cpu/hwmon.py",
        "measurement/energy/cpu/models/modelled_power.py",
        "measurement/energy/cpu/rapl.py",
        "measurement/energy/cpu/rapl_perf.py",
        "measurement/machine/conditions.py",
        "measurement/machine/host.py",
        "measurement/machine/memory.py",
        "measurement/machine/outside.py",
        "measurement/machine/perf_events.py",
        "runs/worker/environment.py",
        "studies/acceptance/machine_files.py",  # through procfs, by a list of names
    }
