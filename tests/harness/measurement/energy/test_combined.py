"""A board and the processor beside it: zones by themselves, and a named sum where both were measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from nvml import FakeBoard, FakeNvml

from harness.measurement.energy.check import MeterCheck
from harness.measurement.energy.combined import CombinedMeter
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower
from harness.measurement.energy.cpu.rapl import RaplMeter
from harness.measurement.energy.meter import meter_spec
from harness.measurement.energy.nvml import NvmlMeter
from harness.measurement.energy.selection import choose_meter, open_meter
from harness.records.reading import Grade, Reading, Scope, sum_readings, sum_with_processor
from harness.runs.planning.meter_selection import NOT_ADDED, select_meter
from harness.runs.services import LocalMachine, Machine
from harness.testing import FakeClock, powercap_tree
from harness.testing.world import altered


def a_reading(scope: Scope, joules: float | None, grade: Grade = "measured") -> Reading:
    microjoules = None if joules is None else round(joules * 1e6)
    kind: Grade = "unavailable" if joules is None else grade
    reason = None if microjoules is not None else "it has disappeared"
    return Reading(scope, kind, scope, f"a counter of the {scope}", microjoules, 1_000_000_000, 10, 2, reason)


BOARD, PACKAGE, DRAM = a_reading("board", 30), a_reading("package", 5), a_reading("dram", 1)


def test_the_board_s_energy_is_the_same_quantity_whether_or_not_the_processor_tells_its_own() -> None:
    """30 J either way; beside it 30 + 5 + 1 J, with a scope that lists its parts."""
    assert sum_readings([BOARD, PACKAGE, DRAM]) == sum_readings([BOARD]) is not None
    together = sum_with_processor([BOARD, PACKAGE, DRAM])
    assert together is not None
    assert (together.microjoules, together.scope) == (36_000_000, "board+package+dram")
    assert together.source == "a counter of the board + a counter of the package + a counter of the dram"
    assert together.resolution_uj == 30
    without = sum_with_processor([BOARD, PACKAGE])
    assert without is not None
    assert without.scope == "board+package"


@pytest.mark.parametrize("alone", [[BOARD], [PACKAGE, DRAM], []])
def test_one_kind_alone_has_no_sum_with_a_name(alone: list[Reading]) -> None:
    """Two boards are boards, and a processor is a processor."""
    assert sum_with_processor(alone) is None


def test_a_board_that_others_share_makes_the_sum_one_that_others_share() -> None:
    """The energy of a MIG instance's board includes other users."""
    together = sum_with_processor([a_reading("shared board", 30), PACKAGE, DRAM])
    assert together is not None
    assert together.scope == "shared board+package+dram"


def test_the_sum_exists_only_where_both_were_measured() -> None:
    """A modelled processor, or one that could not be read, leaves the board's joules and no sum."""
    modelled = sum_with_processor([BOARD, replace(PACKAGE, grade="modelled")])
    gone = sum_with_processor([BOARD, a_reading("package", None)])
    assert modelled is not None
    assert gone is not None
    assert (modelled.grade, modelled.microjoules) == ("unavailable", None)
    assert "measured and modelled" in str(modelled.reason)
    assert gone.reason == "package: it has disappeared"
    kept = sum_readings([BOARD, a_reading("package", None)])
    assert kept is not None
    assert kept.microjoules == 30_000_000


def test_known_joules_come_back_from_both_counters(tmp_path: Path) -> None:
    """The board moves by 30 J and each of package and memory by 5 J in one second: zones, board, and sum."""
    clock, tree, board = FakeClock(step_ns=10), powercap_tree(tmp_path, sockets=1), FakeBoard()
    meter = CombinedMeter(
        [NvmlMeter(0, FakeNvml(board), clock, own=set), RaplMeter(tree.root, clock, read_text=tree.read_text)]
    )
    mark = meter.start()
    clock.advance(1_000_000_000)
    board.millijoules += 30_000
    tree.advance(5_000_000, ["package-0", "package-0/dram"])
    readings = meter.read(mark)
    assert {reading.zone: reading.microjoules for reading in readings} == {
        "gpu-0": 30_000_000,
        "package-0": 5_000_000,
        "package-0/dram": 5_000_000,
    }
    board_alone, together = sum_readings(readings), sum_with_processor(readings)
    assert board_alone is not None
    assert together is not None
    assert (board_alone.microjoules, together.microjoules) == (30_000_000, 40_000_000)
    assert meter.name == "nvml+rapl"
    assert set(meter.describe()["meters"]) == {"nvml", "rapl"}


def test_it_opens_again_from_its_spec(tmp_path: Path) -> None:
    """Through JSON, as in a worker: each meter from its own spec."""
    tree = powercap_tree(tmp_path)
    spec = json.loads(json.dumps(meter_spec(CombinedMeter([RaplMeter(tree.root), RaplMeter(tree.root)]))))
    assert open_meter(spec).name == "rapl+rapl"


def machine_of(tmp_path: Path, nvml: FakeNvml, *, denied: bool = False, tree: bool = True) -> Machine:
    """Return a machine with these counters; as none of them moves, meters are not checked."""
    powercap = powercap_tree(tmp_path)
    if denied:
        powercap.deny("package-0")

    def choice(device: str, wanted: str | None = None) -> object:
        return choose_meter(
            device,
            wanted,
            root=powercap.root if tree else tmp_path / "absent",
            read_text=powercap.read_text,
            nvml=nvml,
            system=tmp_path / "absent",
            processor=lambda: ProcessorPower(100.0, 10, "100 W / 10 cores", "A"),
        )

    moved = {"nvml": 20_000, "rapl": 200, "modelled": 0}
    return altered(
        LocalMachine(),
        choose_meter=choice,
        try_meter=lambda meter: MeterCheck(
            meter.name, True, least_window_ms=moved[meter.name], agreement=1.01
        ),
    )


def test_a_run_on_a_board_reads_the_processor_too_where_it_can(tmp_path: Path) -> None:
    """Windows are as long as the slower counter needs; agreement with the power sensor is the board's."""
    selected = select_meter(machine_of(tmp_path, FakeNvml()), "cuda:0")
    assert selected.choice.meter is not None
    assert selected.choice.meter.name == "nvml+rapl"
    assert selected.check is not None
    assert (selected.check.least_window_ms, selected.check.agreement) == (20_000, 1.01)
    assert "rapl" not in {row[0] for row in selected.choice.skipped}


@pytest.mark.parametrize(
    ("denied", "tree", "row", "reason"),
    [(True, True, "rapl", "permission denied"), (False, False, "modelled", NOT_ADDED)],
)
def test_a_processor_that_cannot_be_read_has_a_reason(
    tmp_path: Path, denied: bool, tree: bool, row: str, reason: str
) -> None:
    """The board's joules stand alone, and the record has the remedy for the processor's."""
    selected = select_meter(machine_of(tmp_path, FakeNvml(), denied=denied, tree=tree), "cuda:0")
    assert selected.choice.meter is not None
    assert selected.choice.meter.name == "nvml"
    assert reason in {skipped[0]: skipped[1] for skipped in selected.choice.skipped}[row]


def test_a_meter_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    """`--meter nvml` reads the board alone."""
    selected = select_meter(machine_of(tmp_path, FakeNvml()), "cuda:0", "nvml")
    assert selected.choice.meter is not None
    assert selected.choice.meter.name == "nvml"


def test_a_processor_measured_on_a_cpu_run_stays_alone(tmp_path: Path) -> None:
    """Boards that idle beside it are not in its joules."""
    selected = select_meter(machine_of(tmp_path, FakeNvml()), "cpu")
    assert selected.choice.meter is not None
    assert selected.choice.meter.name == "rapl"
