"""Service times are what is left of latencies when waiting is taken away."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import a_record

from harness.analysis.capacity.service_times import begun_at, service_times
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


@pytest.mark.parametrize("rounds", [[0, 0, 1, 1], [0, 1, 2, 9]])
def test_samples_of_other_rounds_show_no_service_times(rounds: list[int]) -> None:
    """A record of three rounds; the samples lack one, or hold a fourth."""
    record = a_record(wall_ms=(500.0, 510.0, 520.0))
    calls = {"call_ns": np.arange(1, 5), "call_round": np.array(rounds), "timed_example": np.arange(4)}
    result = service_times(record, calls)
    assert isinstance(result, Unavailable)
    assert result.reason == "its raw samples are of other rounds than the record's"


def test_samples_without_rounds_show_no_service_times() -> None:
    """What is missing is named."""
    result = service_times(a_record(wall_ms=(500.0, 510.0)), {"call_ns": np.arange(4)})
    assert isinstance(result, Unavailable)
    assert result.reason == "its raw samples lack call_round, timed_example"
