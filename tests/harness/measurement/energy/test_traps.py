"""Known errors of other meters, each by name: what they reported, and what is reported here."""

from itertools import pairwise
from pathlib import Path

import pytest
from nvml import FakeBoard, FakeNvml

from harness.measurement.energy.cpu.codecarbon import CodecarbonMeter
from harness.measurement.energy.cpu.codecarbon_tool import Tool
from harness.measurement.energy.cpu.models.cpu_time_model import CpuTimeMeter
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.nvml import NvmlMeter
from harness.measurement.energy.selection import METERS, choose_meter
from harness.measurement.machine.gpu_boards import boards_of
from harness.records.reading import Reading, sum_readings
from harness.testing import FakeClock, PowercapTree, powercap_tree

SECOND = 1_000_000_000
RANGE_UJ = 65_532_610_987


def rapl(tree: PowercapTree, clock: FakeClock) -> RaplMeter:
    """Return a meter on a tree, with the tree's own refusals."""
    return RaplMeter(tree.root, clock, read_text=tree.read_text)


def read(tree: PowercapTree, microjoules: int, seconds: int = 1) -> tuple[Reading, ...]:
    """Read a window in which every zone uses the same energy."""
    clock = FakeClock()
    meter = rapl(tree, clock)
    mark = meter.start()
    tree.advance(microjoules)
    clock.advance(seconds * SECOND)
    return meter.read(mark)


def test_trap_dram_is_never_read_or_counts_as_a_part_of_its_package(tmp_path: Path) -> None:
    """In codecarbon 3.3.2 none was read, or a nested zone became the package's. Here: 40 J + 40 J."""
    package, dram = read(powercap_tree(tmp_path, sockets=1), 40_000_000)
    assert (package.scope, dram.scope) == ("package", "dram")
    assert sum_readings((package, dram)).microjoules == 80_000_000  # type: ignore[union-attr]


def test_trap_psys_is_added_to_the_packages_it_contains(tmp_path: Path) -> None:
    """The platform's counter holds the packages: adding it doubles them."""
    readings = read(powercap_tree(tmp_path, sockets=1, dram=False, psys=True), 40_000_000)
    assert sum_readings(readings).microjoules == 40_000_000  # type: ignore[union-attr]


def test_trap_a_socket_is_missed(tmp_path: Path) -> None:
    """Layouts differ; every package is found, wherever its folder is."""
    assert len(read(powercap_tree(tmp_path, sockets=4, dram=False), 1_000_000)) == 4


def test_trap_an_integrated_gpu_raises(tmp_path: Path) -> None:
    """experiment-impact-tracker stopped at its power. It lies inside the package, and is left out."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, core=False)
    tree.add("package-0/uncore", "intel-rapl/intel-rapl:0/intel-rapl:0:0", "uncore")
    assert [reading.microjoules for reading in read(tree, 40_000_000)] == [40_000_000]


def test_trap_one_failed_read_invents_kilojoules(tmp_path: Path) -> None:
    """As 62,143 J in codecarbon 3.2.9, or 0 J in 3.3.2. It is unavailable."""
    tree, clock = powercap_tree(tmp_path, sockets=1, dram=False), FakeClock()
    tree.write("package-0", 62_143_000_000)
    tree.fail("package-0")
    meter = rapl(tree, clock)
    mark = meter.start()
    clock.advance(SECOND)
    (reading,) = meter.read(mark)
    assert (reading.grade, reading.microjoules) == ("unavailable", None)


def test_trap_a_wrap_gives_negative_energy_zero_or_a_crash(tmp_path: Path) -> None:
    """pyRAPL, carbontracker and EnergiBridge. Here it is carried on: 10 J before the range, 30 J after it."""
    tree = powercap_tree(tmp_path, sockets=1, dram=False, core=False, range_uj=RANGE_UJ)
    tree.write("package-0", RANGE_UJ - 10_000_000)
    assert read(tree, 40_000_000)[0].microjoules == 40_000_000


def test_trap_several_wraps_in_one_window_count_as_one(tmp_path: Path) -> None:
    """The range is added once by pyJoules; zeus#91. 800 W for 300 s are 240 kJ, 3.7 ranges."""
    tree, clock = powercap_tree(tmp_path, sockets=1, dram=False, core=False, range_uj=RANGE_UJ), FakeClock()
    meter = rapl(tree, clock)
    mark = meter.start()
    for _ in range(15):
        tree.advance(800 * 20 * 1_000_000)
        clock.advance(20 * SECOND)
        mark.sample()
    tree.advance(1_000_000)
    clock.advance(SECOND)
    assert meter.read(mark)[0].microjoules == 240_001_000_000


def test_trap_a_stale_count_of_wraps_is_a_whole_range_off(tmp_path: Path) -> None:
    """Zeus counts wraps aside, up to a second late: 262 kJ. A wrap belongs to the two reads around it."""
    tree, clock = powercap_tree(tmp_path, sockets=1, dram=False, core=False, range_uj=RANGE_UJ), FakeClock()
    tree.write("package-0", RANGE_UJ - 1_000_000)
    meter = rapl(tree, clock)
    mark = meter.start()
    tree.advance(2_000_000)
    clock.advance(5_000_000)
    assert meter.read(mark)[0].microjoules == 2_000_000


def test_trap_a_denied_counter_becomes_a_silent_guess_or_a_bare_none(tmp_path: Path) -> None:
    """The most frequent request: `modelled`, why RAPL was not used, and the command that allows it."""
    tree = powercap_tree(tmp_path, sockets=1)
    tree.deny("package-0")
    power = ProcessorPower(280.0, 64, "280 W / 64 cores", None)
    absent = tmp_path / "absent"
    choice = choose_meter(
        "cpu", root=tree.root, read_text=tree.read_text, processor=lambda: power, system=absent
    )
    assert choice.meter is not None
    assert choice.meter.grade == "modelled"
    name, reason, remedy = choice.skipped[0]
    assert (name, reason) == ("rapl", "package-0: permission denied on energy_uj")
    assert "sudo chmod a+r" in remedy


def test_trap_no_gpu_switches_energy_off_silently() -> None:
    """As in llenergymeasure. The choice is None, and each meter has a reason."""
    choice = choose_meter("cuda", nvml=FakeNvml(broken="nvmlInit"))
    assert choice.meter is None
    assert {name for name, _, _ in choice.skipped} == {row.name for row in METERS}


def test_trap_modelled_memory_stands_in_the_column_of_measured_joules() -> None:
    """As codecarbon has it, 10 to 40 W by the number of modules. It is added to no measured processor."""
    meter = CodecarbonMeter(FakeClock(), tool=lambda: Tool("3", "A CPU", None, 20.0, lambda seconds: seconds))
    assert (meter.grade, [zone.scope for zone in meter.zones()]) == ("measured", ["package"])


def test_trap_readings_of_different_grades_are_summed() -> None:
    """The sum of a measured and a modelled part is neither."""
    clock = FakeClock()
    modelled = CpuTimeMeter(4.0, "4 W", cpu_time=FakeClock(step_ns=SECOND), clock=clock)
    measured = Reading("package-0", "measured", "package", "RAPL", 5, 1)
    with pytest.raises(ValueError, match="different grades"):
        sum_readings((measured, *modelled.read(modelled.start())))


@pytest.mark.parametrize(
    "board", [FakeBoard(broken={"nvmlDeviceGetTotalEnergyConsumption"}), FakeBoard(millijoules=0)]
)
def test_trap_a_gpu_without_a_counter_uses_zero_joules(board: FakeBoard) -> None:
    """codecarbon#1316. The counter does not count, so the board's power is polled instead."""
    choice = choose_meter("cuda:0", nvml=FakeNvml(board))
    assert choice.meter is not None
    assert choice.meter.name == "nvml-power"
    assert choice.skipped[[row[0] for row in choice.skipped].index("nvml")][1].startswith("gpu-0: ")


def test_trap_a_short_window_reads_zero() -> None:
    """Zeus below 100 ms, and every polled meter: the counter's step is longer than the window."""
    clock = FakeClock()
    meter = NvmlMeter(0, FakeNvml(), clock)
    mark = meter.start()
    clock.advance(60_000_000)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.reason) == (
        None,
        "the window of 60 ms is shorter than two update periods of the counter",
    )


def test_trap_a_uuid_in_cuda_visible_devices_breaks_the_parser() -> None:
    """Zeus expects numbers. CUDA takes UUIDs, and so does this."""
    nvml = FakeNvml(FakeBoard("GPU-a1"), FakeBoard("GPU-b2"))
    meter = NvmlMeter(boards_of(0, "GPU-b2,GPU-a1"), nvml)
    assert [zone.name for zone in meter.zones()] == ["gpu-1"]


def test_trap_the_wrong_board_is_measured() -> None:
    """cuda:0 under CUDA_VISIBLE_DEVICES=1 is the second board, which counts 7 J."""
    nvml, clock = FakeNvml(FakeBoard("GPU-a"), FakeBoard("GPU-b")), FakeClock()
    meter = NvmlMeter(boards_of(0, "1"), nvml, clock)
    mark = meter.start()
    nvml.boards[0].millijoules += 90_000
    nvml.boards[1].millijoules += 7_000
    clock.advance(SECOND)
    assert [reading.microjoules for reading in meter.read(mark)] == [7_000_000]


def test_trap_mig_crashes_or_reads_zero() -> None:
    """An instance has no counter of its own: its board's is read, and the scope states that it is shared."""
    nvml, clock = FakeNvml(FakeBoard("GPU-a", instances=("MIG-1",))), FakeClock()
    meter = NvmlMeter(boards_of(0, "MIG-1"), nvml, clock)
    mark = meter.start()
    nvml.boards[0].millijoules += 7_000
    clock.advance(SECOND)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.scope) == (7_000_000, "shared board")


def test_trap_gpus_alone_are_summed(tmp_path: Path) -> None:
    """Zeus leaves the processor out of a total; here the scope of a sum states what is in it."""
    whole = sum_readings(read(powercap_tree(tmp_path, sockets=2), 1_000_000))
    assert whole is not None
    assert (whole.microjoules, whole.scope) == (4_000_000, "package+dram")


def test_trap_a_container_hides_the_counters(tmp_path: Path) -> None:
    """They are listed and lead nowhere; the remedy is an option of the container runtime."""
    tree = powercap_tree(tmp_path, sockets=1, core=False)
    tree.hide()
    reason, remedy = RaplMeter(tree.root).obstacle() or ("", "")
    assert "a container hides" in reason
    assert "systempaths=unconfined" in remedy


def test_trap_a_virtual_machine_shows_a_dead_counter(tmp_path: Path) -> None:
    """It answers, and never moves: unavailable, not 0 J."""
    tree, clock = powercap_tree(tmp_path, sockets=1, dram=False, core=False), FakeClock()
    meter = rapl(tree, clock)
    mark = meter.start()
    clock.advance(10 * SECOND)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.reason) == (None, "the counter did not move in 10 s")


def test_trap_the_range_of_one_zone_is_added_to_another(tmp_path: Path) -> None:
    """powerjoular#87: only the memory wraps, and the package's range is added: 260 kW.

    The memory counts 5 J up to its range and 35 J beyond, the package 40 J without a wrap: 80 J together.
    """
    tree = powercap_tree(tmp_path, sockets=1, core=False, range_uj=RANGE_UJ)
    tree.write("package-0/dram", RANGE_UJ - 5_000_000)
    readings = read(tree, 40_000_000)
    assert [reading.microjoules for reading in readings] == [40_000_000, 40_000_000]
    assert sum_readings(readings).microjoules == 80_000_000  # type: ignore[union-attr]


STREAM_13_UJ = (129_743_774_848, 134_258_672_512, 582_493_184, 3_892_650_848)
"""Four reads of a laptop's counter, a second apart (s-tui#29): kilojoules where joules are meant, and a wrap
at 2^37 uJ, far below the range that the kernel states."""


def test_trap_a_counter_in_another_unit_than_the_kernel_states(tmp_path: Path) -> None:
    """s-tui#29 showed thousands of watts. No second of it is energy: neither 4.5 kJ nor a wrap's."""
    tree, clock = powercap_tree(tmp_path, sockets=1, dram=False, core=False), FakeClock()
    meter, reasons = rapl(tree, clock), []
    for before, after in pairwise(STREAM_13_UJ):
        tree.write("package-0", before)
        mark = meter.start()
        tree.write("package-0", after)
        clock.advance(SECOND)
        reasons.append(meter.read(mark)[0].reason)
    assert reasons == [
        "the counter increased by 4514.9 J in 1 s, which is more than is possible",
        "the counter decreased by 133676 J in 1 s, which is not a wrap-around",
        "the counter increased by 3310.16 J in 1 s, which is more than is possible",
    ]


def test_trap_power_is_thousands_of_watts_after_a_suspend(tmp_path: Path) -> None:
    """s-tui#42: the clock stood still during the suspend, and the counter began anew at 3 J."""
    tree, clock = powercap_tree(tmp_path, sockets=1, dram=False, core=False), FakeClock()
    tree.write("package-0", 90_000_000_000)
    meter = rapl(tree, clock)
    mark = meter.start()
    tree.write("package-0", 3_000_000)
    clock.advance(SECOND)
    assert meter.read(mark)[0].reason == "the counter decreased by 89997 J in 1 s, which is not a wrap-around"
