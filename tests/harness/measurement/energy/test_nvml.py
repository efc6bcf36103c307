"""The energy counters of boards, through a stand-in for pynvml."""

import json

import pytest
from nvml import FakeBoard, FakeNvml, NvmlError

from harness.measurement.energy.nvml import NO_COUNTER, NvmlMeter, open_nvml
from harness.measurement.machine.gpu_boards import HIDDEN, INSTALL, MIG, SHOW, UNKNOWN, boards_of
from harness.records.reading import sum_readings
from harness.testing import FakeClock

SECOND = 1_000_000_000


def test_millijoules_become_microjoules_with_the_steps_of_the_counter() -> None:
    """600 J in 2 s are 300 W; 2 x 100 ms x 300 W = 60 J, and two quanta of 1 mJ: 60,002,000 uJ."""
    nvml, clock = FakeNvml(), FakeClock()
    meter = NvmlMeter(0, nvml, clock)
    mark = meter.start()
    nvml.boards[0].millijoules += 600_000
    clock.advance(2 * SECOND)
    (reading,) = meter.read(mark)
    assert (reading.grade, reading.scope, reading.zone) == ("measured", "board", "gpu-0")
    assert (reading.microjoules, reading.resolution_uj) == (600_000_000, 60_002_000)
    assert meter.describe()["boards"][0]["board"] == "A board"


def test_several_boards_are_a_zone_each_and_are_summed() -> None:
    """300 J on one and 100 J on the other are 400 J; named alone, the second is 100 J."""
    nvml, clock = FakeNvml(FakeBoard("GPU-a"), FakeBoard("GPU-b")), FakeClock()
    both, second = NvmlMeter(None, nvml, clock), NvmlMeter(1, nvml, clock)
    marks = both.start(), second.start()
    nvml.boards[0].millijoules += 300_000
    nvml.boards[1].millijoules += 100_000
    clock.advance(SECOND)
    whole, alone = sum_readings(both.read(marks[0])), sum_readings(second.read(marks[1]))
    assert whole is not None
    assert alone is not None
    assert (whole.microjoules, whole.scope) == (400_000_000, "board")
    assert alone.microjoules == 100_000_000
    assert [zone.name for zone in both.zones()] == ["gpu-0", "gpu-1"]


def test_a_window_shorter_than_a_step_is_unavailable() -> None:
    """Within 100 ms the counter stands still, which is not zero joules."""
    clock = FakeClock()
    meter = NvmlMeter(0, FakeNvml(), clock)
    mark = meter.start()
    clock.advance(50_000_000)
    (reading,) = meter.read(mark)
    assert reading.reason == "the window of 50 ms is shorter than two update periods of the counter"


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("Driver/library version mismatch", "reboot"),
        ("Insufficient Permissions", "group that owns /dev/nvidia"),
        ("Driver Not Loaded", "modprobe"),
        ("NVML Shared Library Not Found", "--gpus all"),
        ("Function Not Found", "Update NVIDIA"),
        ("GPU is lost", "Xid"),
        ("Unknown Error", "start it again"),
        ("Not Found", "nvidia-smi -L"),
        ("Not Supported", "nvidia-ml-py"),
    ],
)
def test_each_error_of_nvml_has_the_remedy_of_its_cause(message: str, word: str) -> None:
    """Installing the driver anew does not help where a reboot would."""

    class Refusing(FakeNvml):
        def nvmlInit(self) -> None:  # noqa: N802 -- NVML's name
            raise NvmlError(message)

    reason, remedy = NvmlMeter(0, Refusing()).obstacle() or ("", "")
    assert reason == f"NVML reports: {message}"
    assert word in remedy


def test_a_driver_that_was_reloaded_is_unavailable() -> None:
    """The counter starts again at zero, and it has no range to wrap at."""
    nvml, clock = FakeNvml(), FakeClock()
    meter = NvmlMeter(0, nvml, clock)
    mark = meter.start()
    nvml.boards[0].millijoules = 5
    clock.advance(SECOND)
    (reading,) = meter.read(mark)
    assert reading.grade == "unavailable"
    assert "decreased" in str(reading.reason)


@pytest.mark.parametrize(
    ("broken", "obstacle"),
    [
        ("nvmlInit", ("NVML reports: Not Supported", INSTALL)),
        ("nvmlDeviceGetHandleByIndex", ("NVML reports: Not Supported", INSTALL)),
        ("nvmlDeviceGetTotalEnergyConsumption", ("gpu-0: NVML reports: Not Supported", NO_COUNTER)),
    ],
)
def test_what_is_missing_is_an_obstacle_and_never_zero(broken: str, obstacle: tuple[str, str]) -> None:
    """No library, no board, no counter: each is an obstacle, and the reason of each reading."""
    meter = NvmlMeter(0, FakeNvml(broken=broken), FakeClock())
    assert meter.obstacle() == obstacle
    (reading,) = meter.read(meter.start())
    assert (reading.grade, reading.reason) == ("unavailable", "NVML reports: Not Supported")


def test_a_read_that_fails_in_the_middle_is_unavailable() -> None:
    """A board that falls off the bus has no energy from then on."""
    nvml, clock = FakeNvml(), FakeClock()
    meter = NvmlMeter(0, nvml, clock)
    mark = meter.start()
    nvml.broken = ("nvmlDeviceGetTotalEnergyConsumption",)
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.reason) == (None, "NVML reports: Not Supported")


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        (1, None, (1,)),
        (None, None, None),
        (0, "3,1", (3,)),
        (None, "3,1", (3, 1)),
        (1, "3, GPU-5a", ("GPU-5a",)),
        (0, "MIG-1b", ("MIG-1b",)),
        (0, "", ()),
        (2, "3,1", ()),
        (None, "2,-1,0", (2,)),
        (None, "0,nonsense,1", (0,)),
    ],
)
def test_cudas_numbers_become_nvmls(
    device: int | None, visible: str | None, expected: tuple[int | str, ...] | None
) -> None:
    """NVML counts all boards, whichever CUDA may see; CUDA stops at a name it cannot read."""
    assert boards_of(device, visible) == expected


def test_a_board_that_cuda_cannot_see_is_an_obstacle() -> None:
    """An empty CUDA_VISIBLE_DEVICES hides all boards: none is measured instead of the first."""
    meter = NvmlMeter(boards_of(0, ""), FakeNvml(), FakeClock())
    assert meter.obstacle() == (HIDDEN, SHOW)
    (reading,) = meter.read(meter.start())
    assert (reading.grade, reading.reason) == ("unavailable", HIDDEN)


@pytest.mark.parametrize("name", ["GPU-b1f0", "GPU-b"])
def test_a_board_may_be_named_by_uuid_or_its_beginning(name: str) -> None:
    """CUDA takes any beginning that only one board has; the zone has its index, which names no machine."""
    nvml = FakeNvml(FakeBoard("GPU-a2c4"), FakeBoard("GPU-b1f0"))
    meter = NvmlMeter(name, nvml)
    assert meter.obstacle() is None
    assert [zone.name for zone in meter.zones()] == ["gpu-1"]
    assert meter.spec() == {"meter": "nvml", "boards": [name]}
    assert "GPU-" not in json.dumps(meter.describe())


def test_a_beginning_of_two_uuids_is_an_obstacle() -> None:
    """Which board is meant is not guessed."""
    meter = NvmlMeter("GPU-", FakeNvml(FakeBoard("GPU-a"), FakeBoard("GPU-b")))
    assert meter.obstacle() == ("GPU- is the beginning of 2 UUIDs", SHOW)


def test_a_uuid_that_no_board_has_is_an_obstacle() -> None:
    """The reason has NVML's own message."""
    assert NvmlMeter("GPU-c", FakeNvml(FakeBoard("GPU-a"))).obstacle() == (UNKNOWN, SHOW)


@pytest.mark.parametrize("name", ["MIG-11-22", "MIG-11", "MIG-GPU-b/1/0", 1])
def test_a_mig_instance_is_its_boards_energy_and_says_that_it_is_shared(name: str | int) -> None:
    """By UUID, by its beginning, by the old form, or by the index of a board that is cut."""
    nvml = FakeNvml(FakeBoard("GPU-a"), FakeBoard("GPU-b", instances=("MIG-11-22", "MIG-33-44")))
    meter = NvmlMeter(name, nvml, FakeClock())
    assert meter.obstacle() is None
    assert [(zone.name, zone.scope) for zone in meter.zones()] == [("gpu-1", "shared board")]
    assert meter.describe()["boards"][0]["shared"] == MIG


def test_two_instances_of_one_board_count_it_once() -> None:
    """Their energy is the same counter."""
    nvml = FakeNvml(FakeBoard("GPU-b", instances=("MIG-11", "MIG-33")))
    assert len(NvmlMeter(("MIG-11", "MIG-33"), nvml).zones()) == 1


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ((), "no other process is seen"),
        ((1,), "no other process is seen"),
        ((1, 7, 8), "shared by 2 other processes"),
    ],
)
def test_a_board_that_others_use_says_so(users: tuple[int, ...], expected: str) -> None:
    """Processes of our own are not foreign."""
    meter = NvmlMeter(0, FakeNvml(FakeBoard(users=users)), own=lambda: {1})
    assert meter.describe()["boards"][0]["shared"] == expected


def test_without_a_driver_the_meter_opens_and_says_why() -> None:
    """On a machine without NVIDIA's library the real module answers; on one with it there is no obstacle."""
    meter = open_nvml({"meter": "nvml", "boards": [0]})
    (reading,) = meter.read(meter.start())
    obstacle = meter.obstacle()
    assert obstacle is None or reading.reason == obstacle[0]
