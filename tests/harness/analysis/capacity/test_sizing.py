"""Machines are as few as keep the promise, and no fewer; more load or a tighter promise never takes fewer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quick_plans import few_requests
from records import a_record

from harness.analysis.capacity.batched_times import BatchedTimes, SizedCalls
from harness.analysis.capacity.day import day_percentiles, whole_day_percentiles
from harness.analysis.capacity.demand import Demand, Segment, daily_demand
from harness.analysis.capacity.queueing.batching import Batching
from harness.analysis.capacity.queueing.dispatch import DISPATCHES, Dispatch
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
    assert "45.8 ms without any queue, above 40 ms" in refusal.reason


@settings(max_examples=6, deadline=None)
@given(st.floats(1, 500), st.floats(0.06, 0.5), st.integers(1, 4), st.sampled_from(DISPATCHES))
def test_more_load_and_tighter_promises_never_take_fewer(
    rate: float, bound: float, instances: int, dispatch: Dispatch
) -> None:
    """Twice the rate; a promise of two thirds, unless no number keeps it. Machines are what is paid for."""
    service = times_of(0.010, instances)

    def needed(rate: float, bound: float) -> float:
        with pytest.MonkeyPatch.context() as patch:
            few_requests(patch)
            sizing = fewest_machines(service, rate, Objective(99, bound), dispatch)
        return sizing.machines if isinstance(sizing, Sizing) else math.inf

    fewer = needed(rate, bound)
    assert needed(2 * rate, bound) >= fewer
    assert needed(rate, bound / 1.5) >= fewer


@settings(max_examples=5, deadline=None)
@given(st.floats(1, 2000), st.floats(0.06, 0.5), st.integers(2, 16), st.floats(0, 0.05))
def test_a_collector_of_batches_never_takes_fewer_for_a_tighter_promise(
    rate: float, bound: float, most: int, wait_s: float
) -> None:
    """For any size of batch and any wait. Twice the rate may take fewer, as batches fill sooner."""
    sized = tuple(SizedCalls(size, (0.010 * size**0.7 * QUANTILES,), "batch") for size in (1, most))
    service = BatchedTimes(a_record(), sized, Batching(most, wait_s), 1, 2_000)

    def needed(bound: float) -> float:
        with pytest.MonkeyPatch.context() as patch:
            few_requests(patch)
            sizing = fewest_machines(service, rate, Objective(99, bound), "round-robin")
        return sizing.machines if isinstance(sizing, Sizing) else math.inf

    assert needed(bound / 1.5) >= needed(bound)


def test_more_machines_than_are_computed_are_refused() -> None:
    """A thousand busy machines in one queue; a hundred million busy machines."""
    for rate, dispatch in ((1e5, "one-queue"), (1e10, "random")):
        refusal = fewest_machines(times_of(0.010), rate, Objective(99, 1.0), dispatch)  # type: ignore[arg-type]
        assert isinstance(refusal, Unavailable)
        assert "it needs more than" in refusal.reason


def test_p99_at_a_rate_is_that_of_theory_and_its_interval_covers_it() -> None:
    """M/M/1 at 60 %; rounds of 200 random times each are as uncertain as a measurement is."""
    exact = latency_at(times_of(1.0), 0.6, Servers()).percentiles[99.0]
    assert exact.value == pytest.approx(math.log(100) / 0.4, rel=0.01)
    drawn = tuple(np.random.default_rng(3).exponential(1.0, (22, 200)))
    latency = latency_at(ServiceTimes(a_record(), drawn, 1, 4_400), 0.6, Servers()).percentiles[99.0]
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
    as_long = Demand(
        tuple(Segment(part.rate, days * seconds) for part in demand.segments), "as many requests"
    )
    for computed in (day_percentiles, whole_day_percentiles):
        by_segment = computed(times, as_long, servers, (50.0, 99.0))
        assert by_segment[50.0] == pytest.approx(whole[0], rel=0.02)
        assert by_segment[99.0] == pytest.approx(whole[1], rel=0.05)
