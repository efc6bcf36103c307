"""Predicted windows behave as measured ones: their spread, their bias near capacity, how many agree."""

import math
from typing import Any

import numpy as np
import pytest
from records import a_record, rounds

from harness.analysis.capacity.queueing.waiting import waits_single
from harness.analysis.capacity.service_times import ServiceTimes
from harness.analysis.capacity.validation import (
    BUDGET_S,
    LOADS,
    WINDOWS,
    rates_of,
    sample_of,
    simulate_windows,
    validate,
    window_ms_of,
)
from harness.common.errors import UsageError
from harness.records.record import OfferedLoad, Record

QUANTILES = -np.log(1 - (np.arange(2_000) + 0.5) / 2_000)


def times_of(mean_s: float) -> ServiceTimes:
    return ServiceTimes(a_record(), (mean_s * QUANTILES,) * 7, 1, 2_000)


def test_loads_are_shares_of_what_one_machine_serves() -> None:
    """10 ms are 100 a second."""
    assert rates_of(times_of(0.010)) == pytest.approx([30, 60, 85], rel=1e-3)


@pytest.mark.parametrize("budget_s", [120.0, BUDGET_S, 2_700.0])
@pytest.mark.parametrize("mean_s", [0.0002, 0.005, 0.010, 0.5])
def test_all_windows_end_within_their_time(mean_s: float, budget_s: float) -> None:
    """Fast systems have many requests a window, slow ones fewer distinct ones, down to one."""
    times = times_of(mean_s)
    requests = sample_of(times, 704, budget_s)
    assert 1 <= requests <= 704
    window_s, rates = window_ms_of(times, requests, budget_s) / 1e3, rates_of(times)
    passes = [max(1, math.ceil(rate * window_s / requests)) for rate in rates]
    seconds = [number * requests / rate for number, rate in zip(passes, rates, strict=True)]
    assert WINDOWS * sum(seconds) <= 1.01 * budget_s


def measured(times: ServiceTimes, rate: float, requests: int) -> tuple[Record, dict[str, Any]]:
    """Return a record of 20 windows of M/M/1, and its samples, from other random numbers."""
    rng = np.random.default_rng(99)
    service = rng.choice(times.all, (WINDOWS, requests))
    gaps = rng.exponential(1 / rate, (WINDOWS, requests))
    latencies = waits_single(gaps, service) + service
    record = a_record().model_copy(
        update={
            "rounds": rounds([1000.0] * WINDOWS, requests=requests),
            "load": OfferedLoad(rate=rate, achieved=rate, overloaded=False, seed=0),
        }
    )
    calls = np.round(1e9 * latencies).astype(int).ravel()
    return record, {"call_ns": calls, "call_round": np.repeat(np.arange(WINDOWS), requests)}


@pytest.mark.parametrize("load", LOADS)
def test_windows_of_a_known_queue_are_covered(load: float) -> None:
    """M/M/1: 80 to 100 % of the windows lie in the interval; at 30 and 60 % 16 of 20 are within 15 %."""
    times, rate = times_of(0.010), load / 0.010
    result = validate(times, *measured(times, rate, 4_000), 99.0)
    assert result is not None
    assert 16 <= result.covered <= 20
    assert result.windows == 20
    assert result.predicted.value == pytest.approx(0.010 * math.log(100) / (1 - load), rel=0.1 * load)
    assert load > 0.6 or result.agreeing >= 16


def test_a_short_window_near_capacity_shows_less_than_the_steady_state() -> None:
    """It begins empty."""
    times = times_of(0.010)
    window = simulate_windows(times, 85.0, 300, 99.0).estimate
    assert window.value < 0.8 * 0.010 * math.log(100) / 0.15
    assert window.low < window.value < window.high


def test_a_time_too_short_for_one_request_a_window_names_the_time_to_give() -> None:
    """20 windows at 0.6, 1.2 and 1.7 requests a second."""
    with pytest.raises(UsageError, match="take 62 s") as refused:
        sample_of(times_of(0.5), 704, 60.0)
    assert "--validate-for 2m" in (refused.value.remedy or "")


def test_more_time_makes_longer_windows() -> None:
    """Four times the time: four times the requests."""
    times = times_of(0.001)
    assert window_ms_of(times, 10, 4 * BUDGET_S) == pytest.approx(4 * window_ms_of(times, 10), rel=0.01)


def test_longer_windows_are_expected_to_agree_more_often() -> None:
    """The percentile of a short window varies by chance, though the prediction is right."""
    times = times_of(0.010)
    short, long = (simulate_windows(times, 60.0, requests, 99.0) for requests in (500, 10_000))
    assert short.within_tolerance < 0.6
    assert long.within_tolerance > 0.8


@pytest.mark.parametrize("load", LOADS)
def test_as_many_windows_agree_as_are_expected(load: float) -> None:
    """M/M/1: the share of 20 measured windows is within three standard errors of the simulated share."""
    times, rate = times_of(0.010), load / 0.010
    result = validate(times, *measured(times, rate, 2_000), 99.0)
    assert result is not None
    error = math.sqrt(WINDOWS * result.expected * (1 - result.expected))
    assert abs(result.agreeing - WINDOWS * result.expected) <= 3 * error + 1
