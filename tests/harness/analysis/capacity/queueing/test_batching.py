"""A batching server equals one that is followed request by request; theory and limits are met."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.capacity.queueing.batching import Batching, CallTimes, call_times, serve_batches
from harness.analysis.capacity.queueing.steady_state import Servers, steady_batched_latency, steady_latency
from harness.analysis.capacity.queueing.waiting import Seconds, waits_several
from harness.common.errors import UsageError


def by_hand(
    arrivals: list[float], times: list[float], batching: Batching, servers: int
) -> tuple[list[float], list[int]]:
    """Follow the collector: return when each request is answered, and the size of its batch.

    `times` holds the time of a call of 1, 2, ... requests.
    """
    free, waiting = [0.0] * servers, list(enumerate(arrivals))
    ends, sizes = [0.0] * len(arrivals), [0] * len(arrivals)
    while waiting:
        moment = heapq.heappop(free)
        oldest = waiting[0][1]
        full = waiting[batching.most - 1][1] if len(waiting) >= batching.most else math.inf
        begin = max(moment, min(full, oldest + batching.wait_s))
        batch = [request for request in waiting[: batching.most] if request[1] <= begin]
        waiting = waiting[len(batch) :]
        end = begin + times[len(batch) - 1]
        heapq.heappush(free, end)
        for number, _ in batch:
            ends[number], sizes[number] = end, len(batch)
    return ends, sizes


def flat(times: list[float]) -> CallTimes:
    """Return times of calls that are always the same."""
    return CallTimes(np.array([[times[0]], *([time] for time in times)]))


def served(
    gaps: list[float], times: list[float], batching: Batching, servers: int = 1
) -> tuple[list[float], list[int]]:
    rows = np.array([gaps])
    result = serve_batches(rows, np.zeros_like(rows), flat(times), batching, servers)
    return (result.latencies + np.cumsum(rows, axis=1))[0].tolist(), result.sizes[0].tolist()


def test_a_short_queue_by_hand() -> None:
    """Up to 2 or 5 s; calls of 1 and 2 take 3 and 4 s.

    Requests at 1 and 2 fill a batch: 2 to 6. One at 3 waits for it, and meanwhile one at 5 comes: 6 to 10.
    One at 20 waits alone until 25 and is answered at 28.
    """
    ends, sizes = served([1, 1, 1, 2, 15], [3, 4], Batching(2, 5.0))
    assert ends == [6, 6, 10, 10, 28]
    assert sizes == [2, 2, 2, 2, 1]


def test_a_second_server_takes_the_next_batch() -> None:
    """Requests at 1, 2, 3, 4, in twos: 2 to 6 on the first, 4 to 8 on the second."""
    assert served([1, 1, 1, 1], [3, 4], Batching(2, 5.0), 2)[0] == [6, 6, 8, 8]


moments = st.floats(0, 20).map(lambda value: round(value, 2))


@given(
    st.lists(moments, min_size=1, max_size=40),
    st.lists(moments, min_size=6, max_size=6).map(sorted),
    st.integers(1, 6),
    moments,
    st.integers(1, 3),
)
def test_latencies_are_those_of_a_collector_that_is_followed(
    gaps: list[float], times: list[float], most: int, wait_s: float, servers: int
) -> None:
    """Any gaps, times and waits, zeros included."""
    batching = Batching(most, wait_s)
    ends, sizes = served(gaps, times, batching, servers)
    by_requests = by_hand(np.cumsum(gaps).tolist(), times, batching, servers)
    assert ends == pytest.approx(by_requests[0], abs=1e-9)
    assert sizes == by_requests[1]


@given(st.lists(st.tuples(moments, moments), min_size=1, max_size=40), st.integers(1, 4))
def test_batches_of_one_are_a_queue(requests: list[tuple[float, float]], servers: int) -> None:
    """Kiefer and Wolfowitz's recursion, with a time for each request."""
    gaps, service = (np.array([column]) for column in zip(*requests, strict=True))
    count = service.shape[1]
    times = CallTimes(np.stack([service[0], service[0]]))
    shares = (np.arange(count)[None] + 0.5) / count
    batched = serve_batches(gaps, shares, times, Batching(1, 3.0), servers)
    expected = waits_several(gaps, service, servers) + service
    np.testing.assert_allclose(batched.latencies, expected, atol=1e-9)


def test_streams_do_not_affect_each_other() -> None:
    """Each row is what it is alone."""
    rng = np.random.default_rng(0)
    gaps, shares = rng.exponential(1, (3, 50)), rng.random((3, 50))
    times, batching = flat([1.0, 1.5, 2.0]), Batching(3, 0.5)
    together = serve_batches(gaps, shares, times, batching, 2).latencies
    for row in range(3):
        alone = serve_batches(gaps[row : row + 1], shares[row : row + 1], times, batching, 2).latencies
        np.testing.assert_array_equal(together[row], alone[0])


def test_times_between_measured_sizes_are_interpolated() -> None:
    """1 request 1 s, 5 requests 3 s: 3 take 2 s; quantiles are kept, and none is extrapolated below."""
    times = call_times([(1, np.array([1.0, 2.0])), (5, np.array([5.0, 3.0]))], 5)
    np.testing.assert_allclose(times.table[3], [2.0, 3.5])
    np.testing.assert_allclose(times.table[5], [3.0, 5.0])
    np.testing.assert_allclose(call_times([(4, np.array([7.0]))], 4).table[1], [7.0])
    assert times.mean(5) == 4.0


def bulk_service_root(load: float) -> float:
    """Return the ratio of the geometric number that waits behind a busy server which takes up to two.

    Arrivals at rate l, calls at rate 1: the root below 1 of z^3 - (1 + l) z + l = 0 (bulk service, Kleinrock
    1975, Queueing Systems I, 4.6), by bisection.
    """
    low, high = 0.0, 1.0 - 1e-9
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if middle**3 - (1 + load) * middle + load > 0 else (low, middle)
    return low


def test_the_mean_is_that_of_bulk_service() -> None:
    """Exponential calls of mean 1 whatever the size, at most 2, no wait: P(n in queue) falls geometrically.

    With l = 1.2 arrivals a second the queue behind a busy server has ratio z, and by Little's law the wait is
    the mean queue over l; a request that finds the server idle does not wait.
    """
    rate = 1.2
    root = bulk_service_root(rate)
    idle = 1 / (1 + rate / (1 - root))  # states: idle, or busy with n in queue: rate * idle * root^n
    queue = rate * idle * root / (1 - root) ** 2
    exponential = -np.log(1 - (np.arange(4_000) + 0.5) / 4_000)
    times = call_times([(1, exponential), (2, exponential)], 2)
    latency = steady_batched_latency(times, rate, Servers(1), Batching(2, 0.0), requests=600_000)
    assert latency.mean == pytest.approx(queue / rate + 1, rel=0.02)
    assert latency.utilisation == pytest.approx(1 - idle, rel=0.01)


def test_a_busy_collector_fills_its_batches_and_an_idle_one_waits() -> None:
    """90 % of the capacity in full batches of 4; and one request in a hundred seconds."""
    times = flat([1.0, 1.2, 1.4, 1.6])
    busy = steady_batched_latency(times, 0.9 * 4 / 1.6, Servers(1), Batching(4, 10.0), requests=200_000)
    assert busy.batch > 3.5
    alone = steady_batched_latency(times, 0.01, Servers(1), Batching(4, 2.0), requests=200_000)
    assert alone.percentile(50) == pytest.approx(2.0 + 1.0)
    assert alone.batch == pytest.approx(1.0, abs=0.05)


def test_batches_of_one_have_the_steady_state_of_the_queue() -> None:
    """The same p99, within the errors of both."""
    service = np.array([0.5, 0.5, 0.5, 2.5])
    times = call_times([(1, service)], 1)
    batched = steady_batched_latency(times, 0.6, Servers(1), Batching(1, 1.0), requests=1_000_000)
    single = steady_latency(service, 0.6, requests=1_000_000)
    assert batched.percentile(99) == pytest.approx(single.percentile(99), rel=0.03)
    assert batched.utilisation == pytest.approx(0.6, rel=0.01)


def test_one_queue_of_two_machines_waits_less_than_two_queues() -> None:
    """Both at the same load."""
    times, batching = flat([1.0, 1.2, 1.4, 1.6]), Batching(4, 1.0)
    rate = 0.8 * 2 * 4 / 1.6

    def p99(servers: Servers) -> float:
        return steady_batched_latency(times, rate, servers, batching, requests=200_000).percentile(99)

    assert p99(Servers(1, 2, "one-queue")) < p99(Servers(1, 2, "random"))


def test_what_is_not_simulated_is_refused() -> None:
    """The least loaded machine; more than the servers can answer."""
    times = flat([1.0, 1.2])
    with pytest.raises(UsageError, match="least-loaded"):
        steady_batched_latency(times, 0.1, Servers(1, 2, "least-loaded"), Batching(2, 1.0))
    with pytest.raises(UsageError, match="no steady state"):
        steady_batched_latency(times, 1.7, Servers(1), Batching(2, 1.0))


def test_waits_have_the_shape_of_their_gaps() -> None:
    """A type for arrays is no promise of a shape."""
    gaps: Seconds = np.ones((2, 7))
    result = serve_batches(gaps, np.zeros((2, 7)), flat([0.1, 0.1]), Batching(2, 0.0), 1)
    assert result.latencies.shape == result.sizes.shape == result.services.shape == (2, 7)
