from nvml import FakeBoard, FakeNvml

from harness.measurement.machine.gpu import UNKNOWN, facts, gpu_snapshots


def two_boards(*broken: str, clock_events: int = 0) -> FakeNvml:
    """Return two boards; the functions in `broken` fail, as on older boards."""
    first = FakeBoard(
        temperature_c=41,
        clocks_mhz=(345, 345),
        clock_events=clock_events,
        violation_ns=5_000,
        users=(7, 8),
    )
    return FakeNvml(first, FakeBoard("GPU-01"), broken=broken)


def test_each_board_tells_its_facts() -> None:
    """80 GiB are 81,920 MiB; limits and modes are facts, the current clock is none."""
    board, _second = facts(FakeNvml(FakeBoard(), FakeBoard()))
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
    board, _second = facts(two_boards("nvmlDeviceGetEccMode", "nvmlDeviceGetMigMode"))
    assert (board["ecc"], board["mig"], board["name"]) == (UNKNOWN, UNKNOWN, "A board")


def test_what_moves_is_taken_with_its_reasons_in_words() -> None:
    """0x1 | 0x4 | 0x20 | 0x40: idle holds nothing down, the power cap and heat do; process 7 is ours."""
    board, _second = gpu_snapshots(two_boards(clock_events=0x65), ours=(7,))
    assert (board.temperature_c, board.sm_clock_mhz, board.foreign) == (41, 345, 1)
    assert board.throttled_by == ("power_cap", "thermal")
    assert board.held_back_ns == {"power": 5_000, "thermal": 5_000}


def test_a_silent_board_has_no_numbers() -> None:
    """None is not zero degrees."""
    board, _second = gpu_snapshots(
        two_boards("nvmlDeviceGetTemperature", "nvmlDeviceGetComputeRunningProcesses")
    )
    assert (board.temperature_c, board.foreign) == (None, None)


def test_without_library_or_driver_there_are_no_boards() -> None:
    """Both are ordinary machines, and no error."""
    assert facts(None) == []
    assert facts(two_boards("nvmlInit")) == []
    assert gpu_snapshots(two_boards("nvmlDeviceGetHandleByIndex")) == ()
