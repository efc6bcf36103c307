"""The watts of a CPU: codecarbon's figures, divided honestly."""

from pathlib import Path

import pytest

from harness.measurement.energy.cpu.models.processor_power import (
    ProcessorPower,
    match,
    power_table,
    processor_power,
)
from harness.records.estimate import Unavailable

TABLE = {
    "AMD EPYC 7763": 280.0,
    "Intel Xeon E5-2690": 135.0,
    "Intel Xeon E5-2690 v3": 135.0,
    "Intel Xeon 2.2": 55.0,
    "Intel Xeon Platinum 8259CL": 210.0,
}


def machine(root: Path, model: str, *, flags: str = "avx2", cores: int = 0) -> Path:
    """Write the part of /proc and /sys that the look-up reads: `cores` cores of two threads each."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nmodel name\t: {model}\nflags\t\t: {flags}\n\n")
    for cpu in range(2 * cores):
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cpu % cores},{cpu % cores + cores}\n")
        (topology / "package_cpus_list").write_text(f"0-{2 * cores - 1}\n")
    return root


def test_a_known_processor_shares_its_power_among_its_cores(tmp_path: Path) -> None:
    """135 W over 12 cores (24 threads) are 11.25 W for each core's CPU time."""
    power = processor_power(machine(tmp_path, "Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz", cores=12), TABLE)
    assert isinstance(power, ProcessorPower)
    assert (power.watts, power.cpus, power.watts_per_cpu) == (135.0, 12, 11.25)
    assert power.source == "135 W / 12 cores (Intel Xeon E5-2690 v3, codecarbon's table)"


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "Intel Xeon Platinum 8259CL"),
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"),
    ],
)
def test_a_virtual_machine_hides_how_many_cores_share_a_packages_power(
    tmp_path: Path, model: str, row: str
) -> None:
    """210 W for the one visible core would be wrong, and a virtual CPU is half a core of 64."""
    power = processor_power(machine(tmp_path, model, flags="hypervisor", cores=1), TABLE)
    assert power == Unavailable(f"{row} is known, but a virtual machine hides how many cores share its power")


@pytest.mark.parametrize("model", ["AMD EPYC", "Intel(R) Xeon(R) CPU @ 2.20GHz"])
def test_a_name_that_fits_no_row_is_not_known(tmp_path: Path, model: str) -> None:
    """A clock rate in the name is not the part "Intel Xeon 2.2"."""
    power = processor_power(machine(tmp_path, model, cores=2), TABLE)
    assert power == Unavailable(f"codecarbon's table has no row for {model!r}")


def test_a_processor_without_a_name_is_not_known(tmp_path: Path) -> None:
    """Arm's cpuinfo names no model."""
    assert processor_power(tmp_path, TABLE) == Unavailable("the kernel does not name the processor")


def test_a_missing_table_is_the_reason(tmp_path: Path) -> None:
    """Without codecarbon's file the reason is not that the row is missing."""
    power = processor_power(machine(tmp_path, "AMD EPYC 7763 64-Core Processor"), {})
    assert power == Unavailable("codecarbon's table is not installed")


def test_rows_that_disagree_are_no_match() -> None:
    """Two rows fit and give different watts: neither is taken; where they agree, either will do."""
    assert match("AMD X 100 Pro", {"AMD X": 10.0, "AMD 100": 20.0}) is None
    assert match("AMD X 100 Pro", {"AMD X": 10.0, "AMD 100": 10.0}) == "AMD X"


def test_the_table_is_codecarbons_and_agrees_with_its_matching() -> None:
    """Every 100th row, found by its own name, has the watts that codecarbon's own matching returns."""
    cpu = pytest.importorskip("codecarbon.core.cpu")
    table = power_table()
    names = {"Name": list(table)}
    sample = list(table)[::100]
    theirs = [table[cpu.TDP._get_matching_cpu(None, name, names)] for name in sample]
    assert len(sample) > 40
    assert [table[match(name, table) or ""] for name in sample] == theirs


@pytest.mark.parametrize(
    "model",
    [
        "AMD EPYC",
        "AMD EPYC 7763 64-Core Processor",
        "AMD EPYC 9R14 96-Core Processor",
        "AMD Ryzen 7 PRO 4750U with Radeon Graphics",
        "12th Gen Intel(R) Core(TM) i7-12700K",
        "Intel(R) Core(TM)2 Duo CPU E8400  @ 3.00GHz",
        "Intel(R) Xeon(R) CPU E5-2690 v3 @ 2.60GHz",
        "Intel(R) Xeon(R) CPU @ 2.20GHz",
        "Intel(R) Xeon(R) Platinum 8480+",
        "Intel Xeon Processor (Icelake)",
        "QEMU Virtual CPU version 2.5+",
    ],
)
def test_names_as_kernels_write_them_match_as_in_codecarbon(model: str) -> None:
    """Real model names, matched or not, come out as codecarbon has them."""
    cpu = pytest.importorskip("codecarbon.core.cpu")
    table = power_table()
    assert match(model, table) == cpu.TDP._get_matching_cpu(None, model, {"Name": list(table)})
