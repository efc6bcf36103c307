"""The energy counter of a board, through a stand-in for pynvml."""

from typing import Any

import pytest

from harness.meters.nvml import INSTALL, NO_COUNTER, NvmlMeter, board_of, open_nvml
from harness.testing import FakeClock


class NvmlError(Exception):
    """What the stand-in raises."""


class Nvml:
    """One board; `millijoules` is its counter, `broken` the call that fails."""

    NVMLError = NvmlError

    def __init__(self, broken: str | None = None) -> None:
        self.millijoules = 1_000_000
        self.broken = broken
        self.asked: list[Any] = []

    def _answer(self, call: str, value: Any) -> Any:
        if call == self.broken:
            raise NvmlError("Not Supported")
        return value

    def nvmlInit(self) -> None:  # noqa: N802 -- NVML's name
        self._answer("init", None)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        self.asked.append(index)
        return str(self._answer("index", "handle"))

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked.append(uuid)
        return "handle"

    def nvmlDeviceGetName(self, _handle: str) -> bytes:  # noqa: N802
        return b"A board"

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: str) -> int:  # noqa: N802
        return int(self._answer("energy", self.millijoules))


def test_millijoules_become_microjoules_with_the_steps_of_the_counter() -> None:
    """600 J in 2 s are 300 W; 2 x 100 ms x 300 W = 60 J, and two quanta of 1 mJ: 60,002,000 uJ."""
    nvml, clock = Nvml(), FakeClock()
    meter = NvmlMeter(0, nvml, clock)
    mark = meter.start()
    nvml.millijoules += 600_000
    clock.advance(2_000_000_000)
    (reading,) = meter.read(mark)
    assert (reading.grade, reading.scope, reading.zone) == ("measured", "board", "gpu-0")
    assert (reading.microjoules, reading.resolution_uj) == (600_000_000, 60_002_000)
    assert meter.describe()["board"] == "A board"


def test_a_window_shorter_than_a_step_is_unavailable() -> None:
    """Within 100 ms the counter stands still, which is not zero joules."""
    clock = FakeClock()
    meter = NvmlMeter(0, Nvml(), clock)
    mark = meter.start()
    clock.advance(50_000_000)
    (reading,) = meter.read(mark)
    assert reading.reason == "the window of 50 ms is shorter than the counter's steps"


def test_a_driver_that_was_reloaded_is_unavailable() -> None:
    """The counter starts again at zero, and it has no range to wrap at."""
    nvml, clock = Nvml(), FakeClock()
    meter = NvmlMeter(0, nvml, clock)
    mark = meter.start()
    nvml.millijoules = 5
    clock.advance(1_000_000_000)
    (reading,) = meter.read(mark)
    assert reading.grade == "unavailable"
    assert "stepped back" in str(reading.reason)


@pytest.mark.parametrize(
    ("broken", "remedy"), [("init", INSTALL), ("index", INSTALL), ("energy", NO_COUNTER)]
)
def test_what_is_missing_is_an_obstacle_and_never_zero(broken: str, remedy: str) -> None:
    """No library, no board, no counter: each says so, and each reading does too."""
    meter = NvmlMeter(0, Nvml(broken), FakeClock())
    assert meter.obstacle() == ("NVML says: Not Supported", remedy)
    (reading,) = meter.read(meter.start())
    assert (reading.grade, reading.reason) == ("unavailable", "NVML says: Not Supported")


def test_a_read_that_fails_in_the_middle_is_unavailable() -> None:
    """A board that falls off the bus has no energy from then on."""
    nvml, clock = Nvml(), FakeClock()
    meter = NvmlMeter(0, nvml, clock)
    mark = meter.start()
    nvml.broken = "energy"
    (reading,) = meter.read(mark)
    assert (reading.microjoules, reading.reason) == (None, "NVML says: Not Supported")


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [(1, None, 1), (0, "3,1", 3), (1, "3, GPU-5a", "GPU-5a"), (0, "", 0), (2, "3,1", 2)],
)
def test_cudas_numbers_become_nvmls(device: int, visible: str | None, expected: int | str) -> None:
    """NVML counts all boards, whatever CUDA was told to see."""
    assert board_of(device, visible) == expected


def test_a_board_may_be_named_by_uuid() -> None:
    """A UUID goes to the call that takes one, and travels in the spec."""
    nvml = Nvml()
    meter = NvmlMeter("GPU-5a", nvml)
    assert nvml.asked == ["GPU-5a"]
    assert meter.spec() == {"meter": "nvml", "board": "GPU-5a"}


def test_without_a_driver_the_meter_opens_and_says_why() -> None:
    """On a machine without NVIDIA's library the real module answers; on one with it there is no obstacle."""
    meter = open_nvml({"meter": "nvml", "board": 0})
    (reading,) = meter.read(meter.start())
    assert (meter.obstacle() is None) or reading.reason == meter.obstacle()[0]  # type: ignore[index]
