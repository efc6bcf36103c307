"""A board's limits: shares of measured products and copies, by hand, and the measuring itself on the CPU."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from records import ROUNDS_MS, a_record, rounds

from baselines.hardware.device_peaks import device_here, measure_device
from harness.cli.measure.device_roofline import _print
from harness.records.estimate import Unavailable
from harness.records.record import PlacementFacts, Record
from harness.studies.device_roofline import DeviceRooflinePosition, device_roofline_position, highest
from harness.testing.clock import FakeClock

PEAKS = {
    "device": "cuda:0",
    "name": "A board",
    "products": [
        {"precision": "fp32", "shape": [8, 8, 8], "per_second": 10e9},
        {"precision": "fp16", "shape": [8, 8, 8], "per_second": 50e9},
        {"precision": "fp16", "shape": [64, 64, 64], "per_second": 200e9},
    ],
    "copy_bytes_per_second": 100e9,
}


def measured(dtype: str = "float16", scenario: str = "single-stream", device: str = "cuda") -> Record:
    """Return a record of 100 requests of 50 tokens in half a second, of 2,500 squares each."""
    with_squares = tuple(replace(item, token_squares=3_000 * item.requests) for item in rounds(ROUNDS_MS))
    work = {"per_token": 2_000_000, "per_pair": 100, "weights": 1_000_000, "hidden": 8, "ffn": 32}
    placed = PlacementFacts(cpus=(0,), threads_requested=1, effective={"work": work, "dtype": dtype})
    record = a_record()
    cell = record.cell.model_copy(update={"device": device, "scenario": scenario})
    return record.model_copy(update={"rounds": with_squares, "placement": placed, "cell": cell})


def test_the_two_limits_of_a_request_by_hand() -> None:
    """100.3 million operations in 5 ms: 20.06 G/s of 200; 0.5015 ms of arithmetic.

    A million weights of two bytes at 100 GB/s are 0.02 ms, so arithmetic is the larger limit: 10.03 %.
    """
    position = device_roofline_position(measured(), PEAKS)
    assert isinstance(position, DeviceRooflinePosition)
    assert (position.precision, position.operations) == ("fp16", 100_300_000)
    assert position.per_second == pytest.approx(20.06e9, rel=1e-3)
    assert position.of_products == pytest.approx(0.1003, rel=1e-3)
    assert position.arithmetic_seconds == pytest.approx(0.5015e-3)
    assert position.memory_seconds == pytest.approx(0.02e-3)
    assert position.of_copies == pytest.approx(0.004, rel=1e-3)
    assert position.share == pytest.approx(0.1003, rel=1e-3)


def test_where_requests_come_together_reading_the_weights_is_shared() -> None:
    """No limit of memory, then."""
    position = device_roofline_position(measured(scenario="offline"), PEAKS)
    assert isinstance(position, DeviceRooflinePosition)
    assert position.memory_seconds is None
    assert position.of_copies is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (measured(device="cpu"), "it ran on cpu"),
        (measured(device="cuda:1"), "it ran on cuda:1, and the peaks are of cuda:0"),
        (measured(dtype="bfloat16"), "no product in bf16"),
    ],
)
def test_what_the_peaks_do_not_cover_has_no_share(record: Record, reason: str) -> None:
    """It is unavailable, with the reason."""
    position = device_roofline_position(record, PEAKS)
    assert isinstance(position, Unavailable)
    assert reason in position.reason


def test_the_highest_product_of_a_precision_counts() -> None:
    """Small products do not fill a board."""
    assert highest(PEAKS["products"]) == {"fp32": 10e9, "fp16": 200e9}  # type: ignore[arg-type]


def test_peaks_and_systems_are_printed_with_their_units(capsys: pytest.CaptureFixture[str]) -> None:
    """Rates in 10^12 a second, times in ms, and the reason where there is no share."""
    rows = [(one, device_roofline_position(one, PEAKS)) for one in (measured(), measured("bfloat16"))]
    _print(PEAKS, rows)
    out = capsys.readouterr().out
    assert out.startswith("cuda:0: A board\n")
    assert "64 x 64 x 64: fp16 0.20\n" in out
    assert "read and written: 100 GB a second" in out
    assert "fp16         0.02    10.0%      0.4%    5.0025    0.5015   10.0%" in out
    assert "no product in bf16 was measured" in out


def test_rates_are_operations_and_bytes_over_the_time_of_one_launch() -> None:
    """A clock that steps a second a look: ten launches between two looks take 0.1 s each.

    2 x 4 x 8 x 16 operations in 0.1 s are 10,240 a second; 100 bytes read and written, 2,000.
    """
    position = device_here("cpu", [[4, 8, 16]], copied=100, seconds=2.0, clock=lambda: FAKE() / 1e9)
    assert [product["precision"] for product in position["products"]] == ["fp32", "bf16", "fp16"]
    assert [product["per_second"] for product in position["products"]] == pytest.approx([10_240.0] * 3)
    assert position["copy_bytes_per_second"] == pytest.approx(2_000.0)


FAKE = FakeClock(step_ns=1_000_000_000)


def test_a_board_is_measured_in_a_process_of_its_own() -> None:
    """Its words are the shapes and the device, and what it prints is what was found."""
    commands: list[Sequence[str]] = []

    def run(arguments: Sequence[str]) -> str:
        commands.append(arguments)
        return json.dumps(PEAKS)

    position: dict[str, Any] = measure_device("cuda:1", [[1, 2, 3]], run=run)
    assert position == PEAKS
    assert commands[0][-2] == "baselines.hardware.device_peaks"
    assert json.loads(commands[0][-1]) == {"shapes": [[1, 2, 3]], "device": "cuda:1"}
