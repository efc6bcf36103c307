"""The share of the int8 limit: operations over time and peak, with its interval, or the reason why not."""

from dataclasses import replace

import pytest
from records import ROUNDS_MS, a_record, rounds

from harness.analysis.compute_limit import (
    compute_limit_of,
    missing_instructions,
    operations_per_request,
    share_of_limit,
    skipped_share,
)
from harness.analysis.statistics.estimates import time_per_request
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import ArtifactFacts, ComputeLimit, ComputePeak, PlacementFacts, Record

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
        replace(item, token_squares=None if squares is None else squares * item.requests)
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


BERT = {"per_token": 2_535_936 * 2, "per_pair": 4 * 4 * 208, "weights": 2_535_936, "hidden": 312, "ffn": 600}
"""4 layers of 312 with 8 heads of 26, 600 units: 4 x (4 x 312 x 208 + 2 x 312 x 600) = 2,535,936 weights."""

UNREAD = {"per_token": 2 * (2 * 312 * 208 + 2 * 312 * 600), "per_pair": 4 * 208}
"""The last layer's queries, output and feed-forward maps, which no head reads beyond the first token."""

LESS = {**BERT, "per_token": 4_063_488, "per_pair": 2_496}
"""What an encoder computes that skips them, as a record of an earlier version has it."""


def of_engine(effective: dict[str, object], numbers: dict[str, object] | None = None) -> Record:
    """Return the record of an engine that reports this; `numbers` is the shape in its manifest."""
    record = measured()
    placed = PlacementFacts(cpus=(0,), threads_requested=1, effective=effective)
    artifact = ArtifactFacts(
        key="k", size_bytes=1, cached=False, manifest={"numbers": numbers} if numbers else {}
    )
    return record.model_copy(update={"placement": placed, "artifact": artifact})


@pytest.mark.parametrize(
    "engine",
    [
        of_engine({"work": LESS, "skipped": UNREAD}),
        of_engine({"work": LESS}, {"heads": [8, 8, 8, 8], "head_size": 26}),
        of_engine({"work": LESS}),
    ],
    ids=["as it reports", "of an earlier version", "of an earlier version, without its shape"],
)
def test_all_engines_of_a_model_have_the_same_work(engine: Record) -> None:
    """50 x 5,071,872 + 3,000 x 3,328 = 263.6 million operations; a fifth is skipped, and counts as done."""
    whole = of_engine({"work": BERT})
    assert operations_per_request(engine) == operations_per_request(whole) == 263_577_600
    assert skipped_share(whole) == 0
    assert skipped_share(engine) == pytest.approx((50 * 1_008_384 + 3_000 * 832) / 263_577_600)
    assert share_of_limit(engine) == share_of_limit(whole)


def test_products_without_weights_of_the_model_are_no_skipped_ones() -> None:
    """Relative positions add 1,000 multiply-adds a token: 263,577,600 + 50 x 2,000, and nothing skipped."""
    related = of_engine({"work": {**BERT, "per_token": BERT["per_token"] + 2_000}})
    assert operations_per_request(related) == 263_677_600
    assert skipped_share(related) == 0


def test_a_last_layer_of_an_unknown_width_leaves_no_share() -> None:
    """An earlier version's record of a model whose last layer has fewer units than another: none."""
    narrow = {**LESS, "ffn": 2_000}
    share = share_of_limit(of_engine({"work": narrow}))
    assert isinstance(share, Unavailable)
    assert "earlier version" in share.reason


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
