"""The fingerprint on fake machines: a bare-metal Intel, an AMD guest in a container, an Arm board."""

import json
import subprocess
import sys
from pathlib import Path

from harness.measurement.machine.host import fingerprint, host_changes, settings, software

CPU = "sys/devices/system/cpu"
XEON_INFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8480+
stepping\t: 8
microcode\t: 0x2b000590
flags\t\t: fpu sse2 avx2 fma f16c avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8

processor\t: 1
model name\t: another
"""
EPYC_INFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: AMD EPYC
stepping\t: 1
microcode\t: 0x1000065
flags\t\t: avx2 fma hypervisor
"""
ARM_INFO = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a small tree and return its root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def xeon(root: Path, **other: str) -> Path:
    """Write a bare-metal machine: two cores of two threads, two NUMA nodes, performance governor."""
    files = {
        "proc/cpuinfo": XEON_INFO,
        "proc/meminfo": "MemTotal: 263921664 kB",
        "proc/sys/kernel/osrelease": "6.8.0-60-generic",
        "proc/1/cgroup": "0::/init.scope",
        f"{CPU}/online": "0-3",
        f"{CPU}/smt/active": "1",
        f"{CPU}/intel_pstate/no_turbo": "1",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
        "proc/sys/vm/swappiness": "60",
        "proc/sys/kernel/numa_balancing": "1",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
        "sys/devices/system/node/node0/cpulist": "0,2",
        "sys/devices/system/node/node1/cpulist": "1,3",
    }
    for cpu in range(4):
        files[f"{CPU}/cpu{cpu}/topology/thread_siblings_list"] = f"{cpu % 2},{cpu % 2 + 2}"
        files[f"{CPU}/cpu{cpu}/cpufreq/scaling_governor"] = other.get("governor", "performance")
        files[f"{CPU}/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = "3800000"
        files[f"{CPU}/cpu{cpu}/cpufreq/scaling_min_freq"] = "800000"
        files[f"{CPU}/cpu{cpu}/cpufreq/scaling_max_freq"] = "3500000"
        files[f"{CPU}/cpu{cpu}/cpufreq/energy_performance_preference"] = "balance_performance"
    return plant(root, files)


def test_a_bare_metal_xeon_tells_everything(tmp_path: Path) -> None:
    """Every fact is there; 263,921,664 kB are 251.7 GiB, and only three of four CPUs may be used."""
    host = fingerprint(
        xeon(tmp_path),
        affinity=[0, 1, 2],
        machine="x86_64",
        name="node",
        environ={"KMP_BLOCKTIME": "0", "HOME": "/home/me"},
        gpus=lambda: [{"name": "A board", "ecc": "on"}],
    )
    assert host.facts == {
        "cpu_model": "Intel(R) Xeon(R) Platinum 8480+",
        "architecture": "x86_64",
        "family": "6",
        "model": "143",
        "stepping": "8",
        "microcode": "0x2b000590",
        "flags": [
            *("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16"),
            *("amx_tile", "amx_int8", "amx_bf16"),
        ],
        "logical_cpus": 4,
        "usable_logical_cpus": 3,
        "usable_physical_cpus": 2,
        "smt": "on",
        "numa_nodes": 2,
        "governor": "performance",
        "boost": "off",
        "max_frequency_khz": "3800000",
        "frequency_limits_khz": "800000 to 3500000",
        "energy_performance_preference": "balance_performance",
        "transparent_huge_pages": "madvise",
        "swappiness": "60",
        "numa_balancing": "1",
        "clocksource": "tsc",
        "settings": {"KMP_BLOCKTIME": "0"},
        "gpus": [{"name": "A board", "ecc": "on"}],
        "ram_gib": 251.7,
        "cgroup_memory_limit_bytes": "none",
        "cgroup_cpu_quota": "none",
        "kernel": "6.8.0-60-generic",
        "virtualisation": "none",
        "container": "none seen",
    }


def test_an_amd_guest_in_a_container_tells_its_limits(tmp_path: Path) -> None:
    """Hypervisor, container, quota and memory limit are facts; what the guest cannot see is `unavailable`."""
    root = plant(
        tmp_path,
        {
            "proc/cpuinfo": EPYC_INFO,
            "proc/meminfo": "MemTotal: 24684092 kB",
            "proc/self/cgroup": "0::/",
            ".dockerenv": "",
            "sys/class/dmi/id/sys_vendor": "Google",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory",
            "sys/fs/cgroup/cpu.max": "150000 100000",
            "sys/fs/cgroup/memory.max": "4294967296",
            f"{CPU}/cpufreq/boost": "1",
        },
    )
    facts = fingerprint(root, affinity=[0], machine="x86_64").facts
    assert facts["virtualisation"] == "virtual machine (Google)"
    assert facts["container"] == "docker"
    assert (facts["cgroup_cpu_quota"], facts["cgroup_memory_limit_bytes"]) == (1.5, 4294967296)
    assert facts["boost"] == "on"
    assert facts["governor"] == "unavailable, because the kernel shows no frequency control"
    assert facts["numa_nodes"] == "unavailable, because the kernel does not tell"


def test_an_arm_board_is_named_by_its_numbers(tmp_path: Path) -> None:
    """Arm's cpuinfo has parts and features; it does not show whether it is a guest."""
    facts = fingerprint(plant(tmp_path, {"proc/cpuinfo": ARM_INFO}), affinity=[0], machine="aarch64").facts
    assert facts["cpu_model"] == "Arm implementer 0x41, part 0xd40"
    assert (facts["family"], facts["model"], facts["stepping"]) == ("8", "0xd40", "1")
    assert facts["flags"] == ["asimd", "asimddp", "sve", "i8mm", "bf16"]
    assert facts["virtualisation"] == "unavailable, because this architecture has no flag for it"


def test_a_pod_is_recognised_by_its_cgroup(tmp_path: Path) -> None:
    """Kubernetes leaves no file, but its name."""
    root = plant(tmp_path, {"proc/1/cgroup": "0::/kubepods/burstable/pod12"})
    assert fingerprint(root, affinity=[0]).facts["container"] == "kubepods"


def test_governors_that_differ_are_all_named(tmp_path: Path) -> None:
    """A machine with half of its CPUs in powersave is not one in performance."""
    root = xeon(tmp_path)
    plant(root, {f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave"})
    assert fingerprint(root, affinity=[0, 1]).facts["governor"] == "performance/powersave"


def test_the_fingerprint_is_of_the_facts_and_the_name_is_hidden(tmp_path: Path) -> None:
    """The same facts on another host give the same fingerprint; the host's name is nowhere to be read."""
    root = xeon(tmp_path)
    first, second = (
        fingerprint(root, affinity=[0], machine="x86_64", name=name) for name in ("secret", "other")
    )
    assert first.fingerprint == second.fingerprint
    assert first.name_sha256 != second.name_sha256
    assert "secret" not in first.model_dump_json()


def test_what_moves_by_itself_is_not_in_the_fingerprint(tmp_path: Path) -> None:
    """Steal time, free memory and the current frequency change within a run."""
    root = xeon(tmp_path)
    before = fingerprint(root, affinity=[0])
    plant(
        root,
        {
            "proc/stat": "cpu 9 9 9 9 9 9 9 99 9 9",
            "proc/meminfo": "MemTotal: 263921660 kB\nMemFree: 12 kB",
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1200000",
        },
    )
    assert fingerprint(root, affinity=[0]) == before


def test_changes_are_told_in_words(tmp_path: Path) -> None:
    """Governor and turbo changed during the run: two sentences, nothing else."""
    before = fingerprint(xeon(tmp_path), affinity=[0, 1])
    root = plant(xeon(tmp_path, governor="powersave"), {f"{CPU}/intel_pstate/no_turbo": "0"})
    after = fingerprint(root, affinity=[0, 1])
    assert host_changes(before, after) == ("governor: performance, then powersave", "boost: off, then on")
    assert host_changes(before, before) == ()


def test_lists_and_missing_facts_are_told_in_words(tmp_path: Path) -> None:
    """A flag that went away, and a fact that a later format added."""
    host = fingerprint(xeon(tmp_path), affinity=[0])
    before = host.model_copy(update={"facts": {"flags": ["avx2", "fma"]}})
    after = host.model_copy(update={"facts": {"flags": [], "smt": "on"}})
    assert host_changes(before, after) == (
        "flags: avx2 fma, then none",
        "smt: unavailable, because the kernel does not tell, then on",
    )


def test_settings_are_what_reaches_the_engines_without_folders() -> None:
    """A library's own settings and preloaded allocators count; what the harness sets itself does not."""
    environ = {
        "OMP_NUM_THREADS": "64",
        "OMP_WAIT_POLICY": "ACTIVE",
        "MALLOC_ARENA_MAX": "1",
        "LD_PRELOAD": "/usr/lib/libjemalloc.so.2:/home/me/libtcmalloc.so /opt/x.so",
        "PATH": "/usr/bin",
    }
    assert settings(environ) == {
        "LD_PRELOAD": "libjemalloc.so.2:libtcmalloc.so:x.so",
        "MALLOC_ARENA_MAX": "1",
        "OMP_WAIT_POLICY": "ACTIVE",
    }


def test_a_changed_setting_is_told_by_name(tmp_path: Path) -> None:
    """Settings are one fact of several names."""
    before = fingerprint(xeon(tmp_path), affinity=[0], environ={})
    after = fingerprint(xeon(tmp_path), affinity=[0], environ={"OMP_WAIT_POLICY": "ACTIVE"})
    assert host_changes(before, after) == ("settings: none, then OMP_WAIT_POLICY=ACTIVE",)


def test_this_machine_has_a_fingerprint_that_stays() -> None:
    """Two fingerprints of the real machine agree, and the facts are JSON."""
    first, second = fingerprint(), fingerprint()
    assert first == second
    assert json.loads(first.model_dump_json())["facts"] == first.facts


def test_software_lists_what_is_installed_and_only_that() -> None:
    """Versions come from the installed metadata; an absent distribution is not listed."""
    versions = software(["numpy", "no-such-distribution"])
    assert list(versions) == ["python", "numpy"]
    assert versions["numpy"][0].isdigit()


def test_software_imports_nothing() -> None:
    """Asking for versions must not load engines: their import is part of what is measured."""
    program = (
        "import sys; from harness.measurement.machine.host import software; software();"
        "print(sorted({'torch', 'transformers', 'onnxruntime', 'codecarbon'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
