"""What a queue showed: when requests began, how long they were served, and its steady state."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.capacity.queueing.observed import (
    ObservedSteadyState,
    begun_at,
    observed_steady_state,
    served_times,
)
from harness.records.estimate import Unavailable

moments = st.floats(0, 100).map(lambda value: round(value, 3))


def serve(arrivals: list[float], service: list[float], servers: int) -> tuple[list[float], list[float]]:
    """Return when each request began and ended, by following the servers."""
    free, begun, ends = [0.0] * servers, [], []
    for arrival, time in zip(arrivals, service, strict=True):
        start = max(arrival, heapq.heappop(free))
        heapq.heappush(free, start + time)
        begun.append(start)
        ends.append(start + time)
    return begun, ends


def test_a_queue_by_hand() -> None:
    """Two servers; the third request begins when the second ends, since the first takes longer."""
    assert begun_at([0, 0, 1], [10, 3, 5], 2).tolist() == [0, 0, 3]


@given(st.lists(st.tuples(moments, moments), min_size=1, max_size=40), st.integers(1, 5))
def test_arrivals_and_ends_show_when_requests_began(
    requests: list[tuple[float, float]], servers: int
) -> None:
    """For any arrivals and service times."""
    arrivals = np.cumsum([gap for gap, _ in requests]).tolist()
    begun, ends = serve(arrivals, [time for _, time in requests], servers)
    assert begun_at(arrivals, ends, servers) == pytest.approx(begun)


def window(rate: float, service_s: list[float], servers: int = 1) -> tuple[list[int], list[int]]:
    """Return latencies and gaps in nanoseconds of requests with these times, as a worker reports them."""
    arrivals = np.cumsum(np.random.default_rng(3).exponential(1 / rate, len(service_s)))
    _, ends = serve(arrivals.tolist(), service_s, servers)
    latencies = np.round(1e9 * (np.array(ends) - arrivals)).astype(int)
    gaps = np.diff(np.round(1e9 * np.array(ends)).astype(int), prepend=0) - latencies
    return latencies.tolist(), gaps.tolist()


def test_a_short_window_shows_less_than_its_steady_state() -> None:
    """50 exponential requests of 1 s at 90 %; p99 of M/M/1 is ln(100) / (1 - load)."""
    service = (-np.log(1 - (np.arange(50) + 0.5) / 50)).tolist()
    latencies, gaps = window(0.9, service)
    steady = observed_steady_state([(latencies, gaps)], 0.9, 1, 99.0)
    assert isinstance(steady, ObservedSteadyState)
    assert steady.utilisation == pytest.approx(0.9 * np.mean(service), rel=1e-6)
    assert steady.seconds is not None
    assert steady.seconds > 1.25 * max(latencies) / 1e9
    # the largest quantile of 50 is 4.6 s: without the exponential's tail the p99 is below that of M/M/1
    assert 25 < steady.seconds < math.log(100) / 0.1


def test_the_steady_state_of_a_pool_is_that_of_its_instances() -> None:
    """Two servers of 1 s each at 0.2 requests a second hardly wait."""
    latencies, gaps = window(0.2, [1.0] * 60, servers=2)
    steady = observed_steady_state([(latencies, gaps)], 0.2, 2, 50.0)
    assert isinstance(steady, ObservedSteadyState)
    assert steady.utilisation == pytest.approx(0.1)
    assert steady.seconds == pytest.approx(1.0)


def test_a_queue_that_only_grows_has_no_steady_state() -> None:
    """1 s at 1.2 a second."""
    steady = observed_steady_state([window(1.2, [1.0] * 30)], 1.2, 1, 99.0)
    assert isinstance(steady, ObservedSteadyState)
    assert (steady.seconds, steady.utilisation) == (None, pytest.approx(1.2))


@pytest.mark.parametrize(
    ("latencies", "gaps", "reason"),
    [
        ([10, 10], [0], "it has no arrival times"),
        ([20, 5], [0, -15], "not served in their order of arrival"),
        ([0, 0], [0, 1], "nothing was served"),
    ],
)
def test_what_shows_no_service_times_is_unavailable(
    latencies: list[int], gaps: list[int], reason: str
) -> None:
    """Each with its reason: the second request of the second case ends before the first."""
    result = observed_steady_state([(latencies, gaps)], 1.0, 1, 99.0)
    assert isinstance(result, Unavailable)
    assert reason in result.reason


def test_service_times_are_what_a_worker_reported_without_the_waiting() -> None:
    """To the nanosecond."""
    service = [0.5, 2.0, 0.25, 1.0]
    result = served_times([window(2.0, service)], 1)
    assert not isinstance(result, Unavailable)
    assert result[0] == pytest.approx(service, abs=2e-9)
