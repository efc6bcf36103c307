"""Machines are as few as keep the promise, and no fewer; more load or a tighter promise never takes fewer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import a_record

from harness.analysis.capacity.day import day_percentiles
from harness.analysis.capacity.demand import Demand, Segment, daily_demand
from harness.analysis.capacity.queueing.steady_state import Servers
from harness.analysis.capacity.queueing.waiting import waits_several
from harness.analysis.capacity.service_times import ServiceTimes
from harness.analysis.capacity.sizing import Objective, Sizing, fewest_machines, latency_at
from harness.records.estimate import Unavailable

QUANTILES = -np.log(1 - (np.arange(2_000) + 0.5) / 2_000)
"""Of the exponential distribution of mean 1."""


def times_of(mean_s: float, instances: int = 1, rounds: int = 7) -> ServiceTimes:
    """Exponential service times, the same in each round."""
    return ServiceTimes(a_record(), (mean_s * QUANTILES,) * rounds, instances, 2_000)


def machines(mean_s: float, rate: float, objective: Objective, instances: int = 1) -> int:
    sizing = fewest_machines(times_of(mean_s, instances), rate, objective, "random")
    assert isinstance(sizing, Sizing)
    return sizing.machines


def test_the_fewest_machines_of_exponential_times_by_hand() -> None:
    """M/M/1 on each of m: p99 = ln(100) / (1 / S - rate / m), at most the bound from this m on."""
    exact = 95 / (1 / 0.010 - math.log(100) / 0.100)
    assert exact == pytest.approx(1.76, abs=0.01)
    assert machines(0.010, 95, Objective(99, 0.100, 0.98)) == 2
    sizing = fewest_machines(times_of(0.010), 95, Objective(99, 0.100, 0.98), "random")
    assert isinstance(sizing, Sizing)
    assert "p99 would be" in sizing.one_fewer


def test_headroom_bounds_the_utilisation() -> None:
    """100 requests a second of 10 ms are one busy machine; at most 50 % busy makes two."""
    assert machines(0.010, 100, Objective(99, 10.0, 0.5)) == 2
    sizing = fewest_machines(times_of(0.010), 100, Objective(99, 10.0, 0.5), "random")
    assert isinstance(sizing, Sizing)
    assert sizing.one_fewer == "100 % busy at the peak, above the headroom of 50 %"


def test_a_promise_below_the_service_time_is_kept_by_no_number() -> None:
    """p99 of an exponential of 10 ms is 46 ms; of these quantiles of it, 45.8."""
    refusal = fewest_machines(times_of(0.010), 1, Objective(99, 0.040), "random")
    assert isinstance(refusal, Unavailable)
    assert "45.8 ms without any waiting, above 40 ms" in refusal.reason


@settings(max_examples=6, deadline=None)
@given(st.floats(1, 2000), st.floats(0.06, 0.5), st.integers(1, 4))
def test_more_load_and_tighter_promises_never_take_fewer(rate: float, bound: float, instances: int) -> None:
    """Twice the rate; a promise of two thirds, unless no number keeps it."""
    fewer = machines(0.010, rate, Objective(99, bound), instances)
    assert machines(0.010, 2 * rate, Objective(99, bound), instances) >= fewer
    tighter = fewest_machines(times_of(0.010, instances), rate, Objective(99, bound / 1.5), "random")
    assert isinstance(tighter, Unavailable) or tighter.machines >= fewer


def test_p99_at_a_rate_is_that_of_theory_and_its_interval_covers_it() -> None:
    """M/M/1 at 60 %."""
    latency = latency_at(times_of(1.0), 0.6, Servers()).percentiles[99.0]
    assert latency.value == pytest.approx(math.log(100) / 0.4, rel=0.02)
    assert latency.low < math.log(100) / 0.4 < latency.high


def test_rounds_that_differ_widen_the_interval() -> None:
    """Seven rounds of which some are 20 % slower."""
    slower = ServiceTimes(
        a_record(), tuple(QUANTILES * factor for factor in (1, 1.2, 1, 1.2, 1, 1.2, 1)), 1, 2_000
    )
    same = latency_at(times_of(1.09), 0.5, Servers()).percentiles[99.0]
    varied = latency_at(slower, 0.5, Servers()).percentiles[99.0]
    assert varied.high - varied.low > 1.5 * (same.high - same.low)


@pytest.mark.parametrize(("instances", "seconds", "days"), [(1, 62_000.0, 1), (2, 4_000.0, 12)])
def test_a_day_is_that_of_every_request_one_by_one(instances: int, seconds: float, days: int) -> None:
    """24 segments, a million requests in one long day or twelve short ones: p99 within 5 %."""
    times, servers = times_of(1.0, instances), Servers(instances)
    shape = daily_demand(1e6, 1.6)
    busiest = 0.7 * instances / shape.peak
    demand = Demand(tuple(Segment(busiest * part.rate, seconds) for part in shape.segments), "a day")
    rng = np.random.default_rng(1)
    gaps = np.concatenate(
        [rng.exponential(1 / part.rate, (days, round(part.rate * seconds))) for part in demand.segments],
        axis=1,
    )
    assert 0.6e6 < gaps.size < 1.3e6
    service = rng.choice(times.all, gaps.shape)
    whole = np.percentile(waits_several(gaps, service, instances) + service, [50, 99])
    by_segment = day_percentiles(times, demand, servers, (50.0, 99.0))
    assert by_segment[50.0] == pytest.approx(whole[0], rel=0.02)
    assert by_segment[99.0] == pytest.approx(whole[1], rel=0.05)
