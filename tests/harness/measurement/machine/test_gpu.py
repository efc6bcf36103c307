from types import SimpleNamespace
from typing import Any

from harness.measurement.machine.gpu import UNKNOWN, facts, gpu_snapshots


class NvmlError(Exception):
    """What the stand-in raises."""


class Nvml:
    """Two boards; calls in `silent` are refused, as older boards do."""

    NVMLError = NvmlError

    def __init__(self, *silent: str, bits: int = 0) -> None:
        self.silent, self.bits = silent, bits

    def __getattr__(self, call: str) -> Any:
        answers: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetName": b"A board",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * 2**30),
            "nvmlSystemGetDriverVersion": "550.54",
            "nvmlDeviceGetVbiosVersion": "96.00",
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetEccMode": [1, 1],
            "nvmlDeviceGetMigMode": [0, 0],
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetTemperature": 41,
            "nvmlDeviceGetClockInfo": 345,
            "nvmlDeviceGetCurrentClocksEventReasons": self.bits,
            "nvmlDeviceGetViolationStatus": SimpleNamespace(violationTime=5_000),
            "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=7), SimpleNamespace(pid=8)],
        }
        if call not in answers:
            raise AttributeError(call)

        def answer(*_arguments: Any) -> Any:
            if call in self.silent:
                raise NvmlError("Not Supported")
            return answers[call]

        return answer


def test_each_board_tells_its_facts() -> None:
    """80 GiB are 81,920 MiB; limits and modes are facts, the current clock is none."""
    board, _second = facts(Nvml())
    assert board == {
        "name": "A board",
        "memory_mib": 81_920,
        "driver": "550.54",
        "vbios": "96.00",
        "max_sm_clock_mhz": 1980,
        "power_limit_mw": 700_000,
        "ecc": "on",
        "mig": "off",
        "persistence": "on",
    }


def test_what_a_board_does_not_tell_is_said_so() -> None:
    """A board without ECC is not one with ECC off."""
    board, _second = facts(Nvml("nvmlDeviceGetEccMode", "nvmlDeviceGetMigMode"))
    assert (board["ecc"], board["mig"], board["name"]) == (UNKNOWN, UNKNOWN, "A board")


def test_what_moves_is_taken_with_its_reasons_in_words() -> None:
    """0x1 | 0x4 | 0x20 | 0x40: idle holds nothing down, the power cap and heat do; process 7 is ours."""
    board, _second = gpu_snapshots(Nvml(bits=0x65), ours=(7,))
    assert (board.temperature_c, board.sm_clock_mhz, board.foreign) == (41, 345, 1)
    assert board.throttled_by == ("power_cap", "thermal")
    assert board.held_back_ns == {"power": 5_000, "thermal": 5_000}


def test_a_silent_board_has_no_numbers() -> None:
    """None is not zero degrees."""
    board, _second = gpu_snapshots(Nvml("nvmlDeviceGetTemperature", "nvmlDeviceGetComputeRunningProcesses"))
    assert (board.temperature_c, board.foreign) == (None, None)


def test_without_library_or_driver_there_are_no_boards() -> None:
    """Both are ordinary machines, and no error."""
    assert facts(None) == []
    assert facts(Nvml("nvmlInit")) == []
    assert gpu_snapshots(Nvml("nvmlDeviceGetHandleByIndex")) == ()
