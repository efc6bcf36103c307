"""Warnings about warm-up, offered load and answers that change."""

from dataclasses import replace
from typing import Any

import pytest
from records import a_percentile, a_quality, a_record, rounds

from harness.analysis.diagnostics import warnings_of
from harness.records.record import OfferedLoad, RateTrial, Record, Startup, SteadyState, Traffic


def codes(record: Record, others: tuple[Record, ...] = ()) -> dict[str, str]:
    warnings = warnings_of(record, (record,), others)
    return {warning.code: f"{warning.sentence} -> {warning.next_step}" for warning in warnings}


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


def test_times_that_had_not_settled_are_a_warning() -> None:
    """Not if they had settled, or if an old record does not hold it."""
    warning = codes(a_record("onnx-int8", start=a_start(steady=False)))["unsteady"]
    assert warning.startswith("onnx-int8: its times had not settled after 129 requests of warm-up.")
    assert "--profile default" not in warning
    quick = codes(a_record(start=a_start(steady=False), profile="quick"))["unsteady"]
    assert "--profile default warms up for longer" in quick
    assert "unsteady" not in codes(a_record(start=a_start()))
    assert "unsteady" not in codes(a_record(start=a_start(steady=None)))


def test_the_warning_about_overload_suggests_a_rate() -> None:
    """The highest rate of the search, if there was one."""
    warning = codes(a_record("onnx-int8", load=a_load(achieved=20.0, overloaded=True)))["overloaded"]
    assert warning.startswith("onnx-int8: it answered 20 of 50 requests per second")
    assert "Lower --rate below 20" in warning
    searched = a_load(overloaded=True, promise="p99=20ms", highest_rate=12.0, trials=(a_trial(),))
    assert "Offer it at most 12 requests per second" in codes(a_record(load=searched))["overloaded"]
    assert "overloaded" not in codes(a_record(load=a_load()))


def a_steady_state(**changes: Any) -> SteadyState:
    facts = {"percentile": 99.0, "measured_ns": 251_000_000, "value_ns": 584_000_000, "utilisation": 0.91}
    return SteadyState(**facts | changes)


def test_a_window_that_hides_the_steady_state_is_a_warning() -> None:
    """251 ms measured where the same service times give 584; within 25 % there is none, however few."""
    warning = codes(a_record("onnx-int8", load=a_load(steady=a_steady_state())))["steady-state"]
    assert warning.startswith(
        "onnx-int8: its windows show p99 = 251 ms, and the same service times give 584 ms"
    )
    assert "at 91 % load" in warning
    for value_ns, is_reported in ((310_000_000, False), (320_000_000, True), (180_000_000, True)):
        record = a_record(load=a_load(steady=a_steady_state(value_ns=value_ns)))
        assert ("steady-state" in codes(record)) is is_reported


def test_a_load_without_a_steady_state_is_a_warning() -> None:
    """Unless it is overloaded, which says it already, or its service times are unknown."""
    endless = a_steady_state(value_ns=None, utilisation=0.99, unavailable="its instances are busy for 99 %")
    assert "busy for 99 %" in codes(a_record(load=a_load(steady=endless)))["steady-state"]
    assert "steady-state" not in codes(a_record(load=a_load(steady=endless, overloaded=True)))
    unknown = a_steady_state(value_ns=None, utilisation=None, unavailable="not served in order")
    assert "steady-state" not in codes(a_record(load=a_load(steady=unknown)))
    assert "steady-state" not in codes(a_record(load=a_load()))


def test_an_slo_that_was_judged_over_too_few_requests_is_an_indication() -> None:
    """p99 needs 662 distinct requests, which `--limit` takes from a split that has as many."""
    few = a_load(promise="p99=20ms", highest_rate=40.0, trials=(a_trial(have=96),))
    assert "--limit 662" in codes(a_record(load=few))["promise-few-requests"]
    record = a_record(load=few)
    small = record.model_copy(update={"data": record.data.model_copy(update={"examples": 300})})
    assert "the split has 300" in codes(small)["promise-few-requests"]
    enough = a_load(promise="p99=20ms", highest_rate=40.0, trials=(a_trial(),))
    assert not {code for code in codes(a_record(load=enough)) if code.startswith("promise")}


def test_an_slo_that_no_rate_keeps_is_a_warning() -> None:
    """With the lowest rate that was tried."""
    broken = a_load(promise="p99=20ms", trials=(a_trial(kept=False), a_trial(kept=False, rate=5.0)))
    warning = codes(a_record("onnx-int8", load=broken))["promise-broken"]
    assert "onnx-int8: it does not keep p99=20ms even at 5 requests per second" in warning


@pytest.mark.parametrize(("late_ns", "is_reported"), [(100_000, False), (600_000, True), (None, False)])
def test_late_wake_ups_of_the_harness_are_a_warning(late_ns: int | None, *, is_reported: bool) -> None:
    """5 % of a median latency of 10 ms are 0.5 ms."""
    late = tuple(replace(item, late_ns=late_ns) for item in rounds([500.0] * 7))
    record = a_record(rounds=late, latency={"p50": a_percentile(10.0)}, load=a_load())
    assert ("late-wake-up" in codes(record)) is is_reported


@pytest.mark.parametrize(("client_ms", "is_reported"), [(300, False), (450, True), (None, False)])
def test_a_client_that_is_always_busy_is_a_warning(client_ms: int | None, *, is_reported: bool) -> None:
    """80 % of windows of 500 ms are 400 ms; the null server is there to show the client."""
    traffic = client_ms and Traffic(sent_bytes=1, received_bytes=1, client_cpu_ns=client_ms * 1_000_000)
    busy = tuple(replace(item, traffic=traffic or None) for item in rounds([500.0] * 7))
    assert ("client-limit" in codes(a_record("mine", rounds=busy))) is is_reported
    assert "client-limit" not in codes(a_record("null", rounds=busy))


def test_answers_that_change_between_rounds_are_a_warning() -> None:
    """With the number of examples; None and 0 cause no warning."""
    warning = codes(a_record("onnx-int8", quality=a_quality(unstable=3)))["unstable-answers"]
    assert warning.startswith("onnx-int8: 3 of 700 examples were answered differently")
    assert "unstable-answers" not in codes(a_record(quality=a_quality(unstable=0)))
    assert "unstable-answers" not in codes(a_record(quality=a_quality()))


def test_answers_that_change_with_the_scenario_or_the_batch_are_a_warning() -> None:
    """The later record is compared with the first of the same variant, over the same examples."""
    first = a_record("onnx-int8", quality=a_quality(timed_sha256="a"))
    cell = {"id": "b", "group": "b", "scenario": "batch", "batch": 8}
    second = a_record("onnx-int8", cell=cell, quality=a_quality(timed_sha256="b"))
    records = (first, second)
    assert "scenario-answers" not in codes(first, records)
    assert (
        "onnx-int8: its answers to the same examples differ between batch of 8 and single-stream."
        in codes(second, records)["scenario-answers"]
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
def test_other_systems_examples_and_runs_are_not_compared(other: Record) -> None:
    """Equal answers, and records without them, cause no warning either."""
    record = a_record("pytorch-fixed", quality=a_quality(timed_sha256="a", timed=700))
    assert "scenario-answers" not in codes(record, (other, record))
