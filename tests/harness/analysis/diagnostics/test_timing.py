"""Warnings about warm-up, offered load and answers that do not stay."""

from typing import Any

import pytest
from records import a_percentile, a_quality, a_record, rounds

from harness.analysis.diagnostics import warnings_of
from harness.records.record import OfferedLoad, RateTrial, Record, Startup


def codes(record: Record, others: tuple[Record, ...] = ()) -> dict[str, str]:
    found = warnings_of(record, (record,), others)
    return {warning.code: f"{warning.sentence} -> {warning.next_step}" for warning in found}


def a_start(**changes: Any) -> Startup:
    return Startup(**{"load_ns": 1, "first_request_ns": 1, "warmup_requests": 129, "steady": True, **changes})


def a_load(**changes: Any) -> OfferedLoad:
    return OfferedLoad(**{"rate": 50.0, "achieved": 49.9, "overloaded": False, "seed": 0, **changes})


def a_trial(**changes: Any) -> RateTrial:
    facts = {
        "rate": 40.0,
        "achieved": 40.0,
        "requests": 700,
        "value_ns": 15_000_000,
        "needed": 662,
        "have": 700,
        "overloaded": False,
        "kept": True,
    }
    return RateTrial(**facts | changes)


def test_times_that_had_not_settled_are_warned_of() -> None:
    """Those that had, or of which an old record says nothing, are not."""
    said = codes(a_record("onnx-int8", start=a_start(steady=False)))["unsteady"]
    assert said.startswith("onnx-int8: after 129 requests of warm-up its times had still not settled.")
    assert "--profile default" not in said
    quick = codes(a_record(start=a_start(steady=False), profile="quick"))["unsteady"]
    assert "--profile default warms up for longer" in quick
    assert "unsteady" not in codes(a_record(start=a_start()))
    assert "unsteady" not in codes(a_record(start=a_start(steady=None)))


def test_an_overloaded_system_is_warninged_with_a_rate_it_can_bear() -> None:
    """The one that the search found, where there was one."""
    said = codes(a_record("onnx-int8", load=a_load(achieved=20.0, overloaded=True)))["overloaded"]
    assert said.startswith("onnx-int8: of 50 requests per second it answered 20")
    assert "Lower --rate below 20" in said
    searched = a_load(overloaded=True, promise="p99=20ms", highest_rate=12.0, trials=(a_trial(),))
    assert "Offer it 12 a second or less" in codes(a_record(load=searched))["overloaded"]
    assert "overloaded" not in codes(a_record(load=a_load()))


def test_a_promise_that_was_judged_over_too_few_requests_is_an_indication() -> None:
    """p99 needs 662 distinct ones."""
    few = a_load(promise="p99=20ms", highest_rate=40.0, trials=(a_trial(have=96),))
    assert "--limit 662" in codes(a_record(load=few))["promise-few-requests"]
    enough = a_load(promise="p99=20ms", highest_rate=40.0, trials=(a_trial(),))
    assert not {code for code in codes(a_record(load=enough)) if code.startswith("promise")}


def test_a_promise_that_no_rate_keeps_is_said() -> None:
    """With the lowest rate that was tried."""
    broken = a_load(promise="p99=20ms", trials=(a_trial(kept=False), a_trial(kept=False, rate=5.0)))
    said = codes(a_record("onnx-int8", load=broken))["promise-broken"]
    assert "onnx-int8: it does not keep p99=20ms even at 5 requests a second" in said


@pytest.mark.parametrize(("late_ns", "is_reported"), [(100_000, False), (600_000, True), (None, False)])
def test_a_harness_that_wakes_up_late_is_warned_of(late_ns: int | None, *, is_reported: bool) -> None:
    """5 % of a median latency of 10 ms are 0.5 ms."""
    turns = tuple(turn.model_copy(update={"late_ns": late_ns}) for turn in rounds([500.0] * 7))
    record = a_record(rounds=turns, latency={"p50": a_percentile(10.0)}, load=a_load())
    assert ("late-wake-up" in codes(record)) is is_reported


def test_answers_that_change_between_rounds_are_warned_of() -> None:
    """By how many examples; None and 0 are no reason."""
    said = codes(a_record("onnx-int8", quality=a_quality(unstable=3)))["unstable-answers"]
    assert said.startswith("onnx-int8: 3 of 700 examples were answered differently")
    assert "unstable-answers" not in codes(a_record(quality=a_quality(unstable=0)))
    assert "unstable-answers" not in codes(a_record(quality=a_quality()))


def test_answers_that_change_with_the_scenario_or_the_batch_are_warned_of() -> None:
    """The later record is compared with the first of the same variant, over the same examples."""
    one = a_record("onnx-int8", quality=a_quality(timed_sha256="a"))
    cell = {"id": "b", "group": "b", "scenario": "batch", "batch": 8}
    other = a_record("onnx-int8", cell=cell, quality=a_quality(timed_sha256="b"))
    everyone = (one, other)
    assert "scenario-answers" not in codes(one, everyone)
    said = codes(other, everyone)["scenario-answers"]
    assert (
        "onnx-int8: its answers to the same examples in batch of 8 are not all those in single-stream."
        in said
    )


@pytest.mark.parametrize(
    "other",
    [
        a_record("onnx-int8", quality=a_quality(timed_sha256="b")),
        a_record("pytorch-fixed", quality=a_quality(timed_sha256="a", timed=600)),
        a_record("pytorch-fixed", quality=a_quality(timed_sha256="a"), run="r2"),
        a_record("pytorch-fixed", quality=a_quality()),
        a_record("pytorch-fixed", quality=None),
    ],
)
def test_other_systems_examples_and_runs_are_no_reason(other: Record) -> None:
    """Nor are equal answers, or records that do not say."""
    record = a_record("pytorch-fixed", quality=a_quality(timed_sha256="a", timed=700))
    assert "scenario-answers" not in codes(record, (other, record))
