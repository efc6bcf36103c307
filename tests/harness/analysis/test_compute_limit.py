"""The share of the int8 limit: operations over time and peak, with its interval, or the reason why not."""

import pytest
from records import ROUNDS_MS, a_record, rounds

from harness.analysis.compute_limit import compute_limit_of, missing_instructions, share_of_limit
from harness.analysis.statistics.estimates import time_per_request
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import ComputeLimit, ComputePeak, PlacementFacts, Record

FOURS = "4 vpmaddubsw + 3 vpaddw + vpmaddwd + vpaddd, 256 bits"
WORK = {"per_token": 2_000_000, "per_pair": 100, "hidden": 8, "ffn": 32}
LIMIT = ComputeLimit(
    threads=1,
    peaks={
        "int8": ComputePeak(instruction=FOURS, before=300e9, after=400e9),
        "fp32": ComputePeak(instruction="vfmadd, 256 bits", before=100e9),
    },
)


def measured(limit: ComputeLimit | None = LIMIT, squares: int | None = 3_000) -> Record:
    """Return a record of 100 requests of 50 tokens in about half a second a round."""
    with_squares = tuple(
        item.model_copy(update={"token_squares": None if squares is None else squares * item.requests})
        for item in rounds(ROUNDS_MS)
    )
    placed = PlacementFacts(cpus=(0,), threads_requested=1, effective={"work": WORK})
    return a_record().model_copy(update={"rounds": with_squares, "placement": placed, "limit": limit})


def test_a_share_is_operations_over_time_and_the_higher_peak() -> None:
    """50 x 2,000,000 + 3,000 x 100 = 100.3 million a request, 5 ms: 20.06 of 400 G/s are 5.0 %."""
    share, time = share_of_limit(measured()), time_per_request(measured().rounds)
    assert isinstance(share, Estimate)
    assert isinstance(time, Estimate)
    assert share.value == pytest.approx(0.05015, rel=1e-3)  # rounds differ, and their mean is not quite 5 ms
    assert share.low == pytest.approx(share.value * time.value / time.high), (
        "the slowest time is the least share"
    )
    assert share.high == pytest.approx(share.value * time.value / time.low)


def test_a_second_measurement_that_failed_leaves_the_first() -> None:
    """300 G/s, which makes it 6.7 %."""
    once = LIMIT.model_copy(update={"peaks": {"int8": ComputePeak(instruction=FOURS, before=300e9)}})
    assert compute_limit_of(measured(once)) == 300e9
    share = share_of_limit(measured(once))
    assert isinstance(share, Estimate)
    assert share.value == pytest.approx(0.05015 * 4 / 3, rel=1e-3)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (measured(None), "--roofline"),
        (measured(ComputeLimit(threads=1, unavailable="no C compiler is on PATH")), "no C compiler"),
        (measured(ComputeLimit(threads=1)), "no kernel for int8"),
        (measured(squares=None), "lengths"),
    ],
    ids=["not requested", "no compiler", "no kernel", "no lengths"],
)
def test_without_a_peak_or_lengths_there_is_no_share(record: Record, reason: str) -> None:
    """It is unavailable, with the reason."""
    share = share_of_limit(record)
    assert isinstance(share, Unavailable)
    assert reason in share.reason


def test_missing_instructions_follow_from_the_measured_ones() -> None:
    """AVX2 alone lacks three things, the full set none."""
    narrow = {"int8": {"instruction": FOURS}, "fp32": {"instruction": "vfmadd, 256 bits"}}
    assert [line.partition(":")[0] for line in missing_instructions(narrow)] == [
        "int8 without VNNI",
        "bf16",
        "AVX-512",
    ]
    wide = {"int8": "vpdpbusd, 512 bits", "bf16": "vdpbf16ps, 512 bits", "fp32": "vfmadd, 512 bits"}
    assert missing_instructions({name: {"instruction": words} for name, words in wide.items()}) == []
