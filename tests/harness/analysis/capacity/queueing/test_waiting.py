"""Waits equal those of a queue that is followed by hand, for one server and for several."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.capacity.queueing.waiting import waits_several, waits_single


def by_hand(gaps: list[float], service: list[float], servers: int) -> list[float]:
    """Follow each server's time of becoming free."""
    free, now, waits = [0.0] * servers, 0.0, []
    for gap, time in zip(gaps, service, strict=True):
        now += gap
        start = max(now, heapq.heappop(free))
        waits.append(start - now)
        heapq.heappush(free, start + time)
    return waits


def test_a_short_queue_by_hand() -> None:
    """Requests at 1, 2, 3 and 10 s of 3 s each: the second waits 2 s, the third 4 s, the last not at all."""
    gaps, service = np.array([[1.0, 1, 1, 7]]), np.full((1, 4), 3.0)
    assert waits_single(gaps, service).tolist() == [[0, 2, 4, 0]]
    assert waits_several(gaps, service, 2).tolist() == [[0, 0, 1, 0]]


times = st.floats(0, 100).map(lambda value: round(value, 3))


@given(st.lists(st.tuples(times, times), min_size=1, max_size=40), st.integers(1, 5))
def test_waits_are_those_of_servers_that_take_the_next_request(
    requests: list[tuple[float, float]], servers: int
) -> None:
    """Any gaps and service times, zeros included."""
    gaps, service = [list(column) for column in zip(*requests, strict=True)]
    waits = waits_several(np.array([gaps]), np.array([service]), servers)
    assert waits[0] == pytest.approx(by_hand(gaps, service, servers), abs=1e-9)


def test_streams_do_not_affect_each_other() -> None:
    """Each row is what it is alone."""
    rng = np.random.default_rng(0)
    gaps, service = rng.exponential(1, (3, 50)), rng.exponential(1.5, (3, 50))
    together = waits_several(gaps, service, 2)
    for row in range(3):
        alone = waits_several(gaps[row : row + 1], service[row : row + 1], 2)
        np.testing.assert_array_equal(together[row], alone[0])
