"""Which model a machine gets: its own processor's power, or a curve."""

from pathlib import Path

import pytest

from harness.measurement.energy.cpu.models.modelled_power import (
    displayed_machine,
    modelled_power,
    named_power,
    usable_cpus,
)
from harness.measurement.energy.cpu.models.power_curves import MachinePower
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower

TABLE = {"Intel Xeon Platinum 8259CL": 210.0}


def a_machine(
    root: Path, name: str, *, numbers: tuple[int, int, int] = (6, 85, 7), flags: str = "avx2"
) -> Path:
    """Write what the kernel shows of four CPUs on four cores; `numbers` are family, model and stepping."""
    family, model, stepping = numbers
    vendor = "AuthenticAMD" if "AMD" in name else "GenuineIntel"
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
        f"model name\t: {name}\nstepping\t: {stepping}\nflags\t\t: {flags}\n\n"
    )
    for cpu in range(4):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu}\n")
        (topology / "package_cpus_list").write_text("0-3\n")
    (root / "sys/devices/system/cpu/online").write_text("0-3\n")
    return root


def test_a_processor_of_its_own_has_its_thermal_design_power(tmp_path: Path) -> None:
    """210 W over four cores."""
    power = modelled_power(a_machine(tmp_path, "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"), TABLE)
    assert isinstance(power, ProcessorPower)
    assert power.watts_per_cpu == 52.5


@pytest.mark.parametrize(
    ("name", "numbers", "generation"),
    [
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", (6, 85, 7), "Cascade Lake"),
        ("Intel(R) Xeon(R) CPU @ 2.00GHz", (6, 85, 3), "Skylake"),
        ("Intel Xeon Processor (Icelake)", (6, 106, 0), "Ice Lake"),
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", (6, 79, 1), "Broadwell"),
        ("AMD EPYC", (25, 1, 1), "AMD EPYC 3rd Gen"),
        ("AMD EPYC 7B12", (23, 49, 0), "AMD EPYC 2nd Gen"),
    ],
)
def test_a_virtual_machine_has_the_curve_of_its_generation(
    tmp_path: Path, name: str, numbers: tuple[int, int, int], generation: str
) -> None:
    """The kernel's numbers tell it, where the name says nothing; the four CPUs are its own."""
    root = a_machine(tmp_path, name, numbers=numbers, flags="avx2 hypervisor")
    power = modelled_power(root, TABLE)
    assert isinstance(power, MachinePower)
    assert (power.name, power.vcpus) == (generation, 4)
    assert power.reason


@pytest.mark.parametrize(
    ("name", "numbers", "displayed"),
    [
        ("Intel(R) Xeon(R) Platinum 8488C", (6, 143, 8), "Sapphire Rapids, without a curve of its own"),
        ("AMD EPYC 9R14", (25, 17, 1), "AMD EPYC 4th Gen, without a curve of its own"),
        ("AMD Ryzen 7 1700", (23, 1, 1), "an unknown processor"),
        ("QEMU Virtual CPU version 2.5+", (15, 107, 1), "an unknown processor"),
    ],
)
def test_a_processor_without_a_curve_has_the_mean_of_all_and_their_range(
    tmp_path: Path, name: str, numbers: tuple[int, int, int], displayed: str
) -> None:
    """No 4 W out of nowhere: from the lowest to the highest published."""
    power = modelled_power(a_machine(tmp_path, name, numbers=numbers, flags="hypervisor"), TABLE)
    assert isinstance(power, MachinePower)
    assert power.name == displayed
    assert power.curve.low[-1][1] < power.curve.points[-1][1] < power.curve.high[-1][1]


def test_a_machine_that_shows_nothing_has_the_mean_of_all(tmp_path: Path) -> None:
    """Arm's cpuinfo has other fields."""
    power = modelled_power(tmp_path, TABLE)
    assert isinstance(power, MachinePower)
    assert power.reason == "the kernel does not name the processor"


def test_a_container_is_charged_for_its_part_of_the_machine(tmp_path: Path) -> None:
    """A quota of 1.5 CPUs of four, or a cpuset of two."""
    root = a_machine(tmp_path, "Intel(R) Xeon(R) CPU @ 2.00GHz", flags="hypervisor")
    assert usable_cpus(root) == 4
    (root / "proc/self").mkdir()
    (root / "proc/self/cgroup").write_text("0::/\n")
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "cgroup.controllers").write_text("cpu cpuset\n")
    (group / "cpuset.cpus.effective").write_text("0-1\n")
    assert usable_cpus(root) == 2
    (group / "cpu.max").write_text("150000 100000\n")
    assert usable_cpus(root) == 1.5


def test_a_user_names_the_machine_and_may_bring_the_curves(tmp_path: Path) -> None:
    """`NAME`, or `NAME@FILE`; the record keeps no folder."""
    root = a_machine(tmp_path, "AMD EPYC", flags="hypervisor")
    assert named_power("m5.xlarge", root).vcpus == 4
    file = tmp_path / "mine.yaml"
    file.write_text(
        "source: me\nlicence: mine\ndate: 2026-02-01\nprocessors:\n  X: {watts: {0: 1, 100: 2}}\n"
    )
    assert named_power(f"X@{file}", root).watts(1.0) == 8
    assert displayed_machine(f"X@{file}") == "X@mine.yaml"
