"""Demand is what the user gave: a rate, a day with a busiest hour, a trace."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.capacity.demand import constant_demand, daily_demand, traced_demand
from harness.common.errors import DataError, UsageError


def test_a_rate_holds_all_day() -> None:
    """86,400 seconds of 10 requests."""
    demand = constant_demand(10.0)
    assert (demand.peak, demand.requests, demand.per_day) == (10.0, 864_000, 864_000)


@given(st.floats(1, 1e9), st.floats(1, 24))
def test_a_day_has_its_requests_and_its_peak(requests: float, factor: float) -> None:
    """The busiest hour is the factor times the mean, whatever the factor."""
    demand = daily_demand(requests, factor)
    assert len(demand.segments) == 24
    assert demand.requests == pytest.approx(requests)
    assert demand.peak == pytest.approx(factor * requests / 86_400, rel=1e-3)


def test_a_trace_of_counts_is_its_intervals() -> None:
    """60, 120 and 0 requests in minutes; the last interval is as long as the one before."""
    demand = traced_demand([0, 60, 120], [60, 120, 0], "trace.csv")
    assert [(part.rate, part.seconds) for part in demand.segments] == [(1, 60), (2, 60), (0, 60)]
    assert demand.per_day == pytest.approx(180 / 180 * 86_400)


def test_a_trace_of_arrivals_is_counted_in_five_minutes() -> None:
    """One request a second for ten minutes."""
    demand = traced_demand([float(second) for second in range(601)], None, "trace.csv")
    assert [part.seconds for part in demand.segments] == [300, 300]
    assert demand.requests == pytest.approx(601)
    assert demand.peak == pytest.approx(301 / 300)


@pytest.mark.parametrize(
    ("times", "counts", "message"),
    [
        ([0, 60, 30], None, "must not fall"),
        ([0, math.inf], None, "must be finite"),
        ([0], None, "two arrivals"),
        ([5, 5], None, "two arrivals"),
        ([0, 60], [0, 0], "no request arrives"),
        ([0, 60], [1, -1], "not negative"),
        ([0, 60], [1, math.nan], "finite"),
        ([0, 0], [1, 1], "at different times"),
        ([], None, "two arrivals"),
        ([0, 1e308], None, "at most 366 days"),
        ([-1.7e308, 1.7e308], None, "at most 366 days"),
        ([0, 4e7], [1, 1], "at most 366 days"),
        ([0, 1e-310], None, "more than 1e\\+09 requests"),
        ([0, 1], [1e308, 1], "more than 1e\\+09 requests"),
        ([0, 5e-324], [1, 1], "more than 1e\\+09 requests"),
    ],
)
def test_a_bad_trace_is_refused_with_its_name(
    times: list[float], counts: list[float] | None, message: str
) -> None:
    """One sentence each."""
    with pytest.raises(DataError, match=message) as error:
        traced_demand(times, counts, "trace.csv")
    assert error.value.where == "trace.csv"


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_a_rate_and_requests_are_above_zero(rate: float) -> None:
    """Nothing, less than nothing, and no number."""
    with pytest.raises(UsageError, match="--rate"):
        constant_demand(rate)
    with pytest.raises(UsageError, match="--requests-per-day"):
        daily_demand(rate)


@pytest.mark.parametrize("factor", [0.5, 25.0, math.nan])
def test_a_peak_factor_is_possible(factor: float) -> None:
    """The busiest hour has at least the mean, and at most all requests."""
    with pytest.raises(UsageError, match="--peak-factor"):
        daily_demand(100.0, factor)
