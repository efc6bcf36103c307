import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import a_host, a_percentile, a_quality, a_record, an_accuracy, three_variants

from harness.analysis.comparison import (
    QUANTITIES,
    MissingChange,
    QuantityChange,
    SampleAccess,
    change_verdict,
    differences,
    key_of,
    match_cells,
    quantities,
    quantity_change,
    quantity_changes,
    refused,
    unlike_machines,
)
from harness.analysis.statistics.pairing import NotComparable
from harness.records.estimate import Estimate
from harness.records.record import ArtifactFacts, Memory


def change_of(name: str, before: Any, after: Any, **options: Any) -> QuantityChange:
    change = quantity_change(name, before, after, **options)
    assert isinstance(change, QuantityChange)
    return change


def test_side_by_side_the_change_is_that_of_paired_rounds() -> None:
    """Rounds of 500 ms become 400 ms: 100 requests at 200 /s become 250 /s, which is 25 % more."""
    before, after = a_record("base", (500.0,) * 7), a_record("head", (400.0,) * 7)
    change = change_of("throughput", before, after)
    assert (change.before.value, change.after.value) == pytest.approx((200.0, 250.0))
    assert change.change.value == pytest.approx(25.0)
    assert (change.change.low, change.change.high) == pytest.approx((25.0, 25.0))
    assert change.paired
    assert change_verdict(change) == "better"


def test_what_slows_a_round_down_for_both_is_no_change_between_them() -> None:
    """Rounds that double for both still have a ratio of 1; in another run other rounds double."""
    slow = (500.0, 1000.0, 500.0, 1000.0, 500.0, 1000.0, 500.0)
    before, after = a_record("base", slow), a_record("head", slow)
    assert change_verdict(change_of("throughput", before, after)) == "no change"
    elsewhere = a_record("head", (*slow[3:], *slow[:3]), run="r2")
    assert change_verdict(change_of("throughput", before, elsewhere)) == "too noisy"


def test_the_change_between_two_runs_is_paired_by_slice_and_says_what_it_leaves_out() -> None:
    """What two runs differ by is known of no host of these tests, and the tolerance is larger."""
    before, after = a_record("base"), a_record("head")
    paired = change_of("throughput", before, after)
    unpaired = change_of("throughput", before, a_record("head", run="r2"))
    assert not unpaired.paired
    assert unpaired.note == f"{quantities.SAME_REQUESTS}; {quantities.RUNS_UNKNOWN}"
    assert unpaired.change.low <= paired.change.low <= paired.change.high <= unpaired.change.high
    assert unpaired.tolerance > paired.tolerance


def test_an_unpaired_change_joins_both_intervals_on_the_logarithms() -> None:
    """10 ms [9.8, 10.2] becomes 20 ms [19.6, 20.4]: both ends are 2 % off, so 2 x exp(-+ sqrt(2) ln 1.02).

    All rounds take the same time, so that they add nothing to the intervals of requests.
    """
    before = a_record(wall_ms=(500.0,) * 7, latency={"p50": a_percentile(10.0, needed=11)})
    after = a_record(wall_ms=(500.0,) * 7, latency={"p50": a_percentile(20.0, needed=11)}, run="r2")
    change = change_of("latency_p50", before, after).change
    below = math.hypot(math.log(1 / 0.98), math.log(1.02))
    assert change.value == pytest.approx(100.0)
    assert change.low == pytest.approx(100 * (2 * math.exp(-below) - 1))


def samples(times_ms: list[float], rounds: int = 4) -> dict[str, Any]:
    """Return the same calls in each round."""
    return {
        "call_ns": np.array(times_ms * rounds) * 1e6,
        "call_round": np.repeat(np.arange(rounds), len(times_ms)),
    }


def test_a_percentile_side_by_side_is_of_the_same_requests() -> None:
    """Every request takes 10 % longer, and so does the median, with an interval of no width."""
    before, after = a_record("base"), a_record("head")
    calls = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    slower = [1.1 * call for call in calls]
    raw = SampleAccess(lambda record: samples(calls if record.cell.variant == "base" else slower))
    change = change_of("latency_p50", before, after, raw=raw).change
    assert (change.value, change.low, change.high) == pytest.approx((10.0, 10.0, 10.0))
    assert change_of("latency_p50", before, after).change.high > 2


def test_a_percentile_of_few_calls_a_round_is_that_of_all_rounds() -> None:
    """Rounds of four calls: 10 % more for each call is 10 % more for the percentile of all."""
    before, after = a_record("base"), a_record("head")
    draw = np.random.default_rng(0).uniform(1, 9, 28)
    rounds = {"call_round": np.repeat(np.arange(7), 4)}
    raw = SampleAccess(
        lambda record: {**rounds, "call_ns": draw * (1e6 if record.cell.variant == "base" else 1.1e6)}
    )
    change = change_of("latency_p50", before, after, raw=raw).change
    assert (change.value, change.low, change.high) == pytest.approx((10.0, 10.0, 10.0))


def test_unlike_machines_are_named_and_not_judged() -> None:
    """Twice the throughput on another processor is no improvement of the code; a quality has a verdict."""
    facts = {**a_host().facts, "cpu_model": "Another Processor"}
    other = a_host().model_copy(update={"fingerprint": "9" * 64, "facts": facts})
    before, after = a_record(), a_record(wall_ms=(250.0,) * 7, host=other, run="r2")
    assert unlike_machines(before, after).startswith("cpu_model: ")
    change = change_of("throughput", before, after)
    assert change.change.value > 90
    assert change_verdict(change) == "not judged"
    assert change_verdict(change_of("quality", before, after)) == "too noisy"
    assert unlike_machines(before, a_record(run="r2")) == ""


def test_less_energy_is_better_and_less_quality_is_worse() -> None:
    """Each quantity has its own direction."""
    before, after = a_record("base", joules=(10.0,) * 7), a_record("head", joules=(5.0,) * 7)
    change = change_of("energy", before, after)
    assert change.change.value == pytest.approx(-50.0)
    assert change.grade == "measured"
    assert change_verdict(change) == "better"
    lower = a_record("head", quality=a_quality(metrics={"accuracy": an_accuracy(0.6, 0.58, 0.62)}))
    fallen = change_of("quality", before, lower)
    assert fallen.change.value == pytest.approx(-28.0)
    assert change_verdict(fallen) == "worse"


def test_joules_of_two_grades_are_not_compared() -> None:
    """A modelled joule is CPU time in other units."""
    before, after = a_record("base"), a_record("head", reading={"grade": "modelled"}, run="r2")
    missing = quantity_change("energy", before, after)
    assert isinstance(missing, MissingChange)
    assert missing.reason == "the grade of the energy differs: measured and modelled"


def test_memory_and_size_are_one_reading_each() -> None:
    """600 MiB become 660 MiB, 10 % more, without an interval."""
    before = a_record("base", artifact=an_artifact(1000))
    after = a_record(
        "head", memory=Memory(peak_bytes=660 * 2**20, counted_as="PSS"), artifact=an_artifact(1005)
    )
    memory, size = change_of("memory", before, after), change_of("size", before, after)
    assert memory.change.value == pytest.approx(10.0)
    assert memory.note == "one reading each: no interval"
    assert change_verdict(memory) == "worse"
    assert change_verdict(size) == "no change"


def an_artifact(size_bytes: int) -> ArtifactFacts:
    return ArtifactFacts(key="k", size_bytes=size_bytes, cached=False, manifest={})


def test_what_was_not_measured_is_missing_with_its_reason() -> None:
    """Every quantity appears once, as a change or as the reason why there is none."""
    before = a_record("base", (), joules=(), latency={}, memory=None, quality=None)
    changes = quantity_changes(before, a_record("head"))
    assert not isinstance(changes, NotComparable)
    assert [change.quantity.name for change in changes] == list(QUANTITIES)
    assert all(isinstance(change, MissingChange) and change.reason for change in changes)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"data": {"fingerprint": "0" * 64}}, "data fingerprint"),
        ({"cell": {"boundary": "text"}}, "boundary"),
        ({"cell": {"scenario": "offline"}}, "scenario"),
        ({"schema_version": 2}, "schema version"),
        ({"cell": {"device": "cuda:0"}}, "device"),
        ({"status": "failed"}, "status"),
    ],
)
def test_unlike_records_are_refused_by_name(changed: dict[str, Any], name: str) -> None:
    """Another split, boundary or scenario is another measurement."""
    refusal = quantity_changes(a_record(), a_record(run="r2", **changed))
    assert isinstance(refusal, NotComparable)
    assert refusal.field == name


def test_a_changed_environment_and_other_software_are_named() -> None:
    """Each fact that differs, with both values; nothing for equal records."""
    before = a_record()
    other = a_host().model_copy(
        update={"fingerprint": "9" * 64, "facts": {**a_host().facts, "kernel": "7.0"}}
    )
    after = a_record(host=other, software={"python": "3.12.1"}, run="r2")
    named = [str(difference) for difference in differences(before, after)]
    assert named == ["kernel: 6.1.0, then 7.0", "python: 3.11.7, then 3.12.1"]
    assert differences(before, before) == ()
    assert refused(before, after) is None


def test_runs_are_matched_by_what_was_measured() -> None:
    """Ids and fingerprints may differ; a cell that only one run has is named."""
    before = three_variants()
    after = [a_record(record.cell.variant, run="r2", cell={"id": "x"}) for record in before[1:]]
    matched = match_cells(before, after)
    assert [(key_of(old).variant, key_of(new).variant) for old, new in matched.pairs] == [
        ("pytorch-dynamic", "pytorch-dynamic"),
        ("onnx-int8", "onnx-int8"),
    ]
    assert [record.cell.variant for record in matched.only_before] == ["pytorch-fixed"]


def test_a_change_is_significant_if_its_interval_excludes_0_and_its_p_value_is_small() -> None:
    """At the level of a family, 1 %; without a p-value the interval alone decides."""
    value = Estimate(1.0, 1.0, 1.0, 0.95, "", 1)
    above, around = Estimate(5.0, 4.0, 6.0, 0.95, "", 7), Estimate(5.0, -1.0, 11.0, 0.95, "", 7)
    cases = ((above, 0.01, True), (above, 0.011, False), (above, None, True), (around, 0.001, False))
    for interval, p, expected in cases:
        change = QuantityChange(QUANTITIES["energy"], value, value, interval, paired=True, p=p)
        assert change.significant is expected


ends = st.floats(allow_nan=True, allow_infinity=True)


@given(value=ends, low=ends, high=ends, tolerance=st.floats(0, 100))
def test_a_verdict_agrees_with_its_tolerance(value: float, low: float, high: float, tolerance: float) -> None:
    """For any numbers: NaN is too noisy, worse is beyond the tolerance, and no change is within it."""
    unused = Estimate(1.0, 1.0, 1.0, 0.95, "", 1)
    change = QuantityChange(
        QUANTITIES["energy"], unused, unused, Estimate(value, low, high, 0.95, "", 7), paired=True
    )
    verdict = change_verdict(change, tolerance)
    if math.isnan(value):
        assert verdict == "too noisy"
    if verdict == "worse":
        assert value > tolerance
    if verdict == "no change":
        assert abs(value) <= tolerance
