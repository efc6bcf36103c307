"""Scenario `server` on a fake clock: latencies are computed by hand, to the nanosecond."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measurement.energy.fake import FakeMeter
from harness.measurement.timing.loop import timed_window
from harness.measurement.timing.server_loop import serve_arrivals, sleep_ns
from harness.systems.interface import OnAnswer, Predictions
from harness.testing.clock import FakeClock
from harness.workload.scenarios.server import arrival_times_ns, is_overloaded, passes_within, queue_grew

MS = 1_000_000


def no_predictions() -> Predictions:
    return Predictions(np.zeros((0, 0), dtype=np.float32), np.zeros(1, dtype=np.int64))


class SerialSystem:
    """A system with a fixed service time per call."""

    def __init__(self, clock: FakeClock, service_ns: int) -> None:
        self.clock, self.service_ns = clock, service_ns

    def predict(self, requests: Sequence[Any]) -> Predictions:
        del requests
        self.clock.advance(self.service_ns)
        return no_predictions()


class PooledSystem:
    """A pool of instances in simulated time; `sleep` delivers the answers that are due, in order."""

    def __init__(self, clock: FakeClock, service_ns: int, instances: int) -> None:
        self.clock, self.service_ns = clock, service_ns
        self._free_at_ns = [0] * instances
        self._pending: list[tuple[int, Callable[[], None]]] = []
        self.error: Exception | None = None

    def predict(self, requests: Sequence[Any]) -> Predictions:
        raise AssertionError(requests)

    def submit(self, requests: Sequence[Any], done: OnAnswer) -> None:
        del requests
        first = self._free_at_ns.index(min(self._free_at_ns))
        end = max(self._free_at_ns[first], self.clock.now_ns) + self.service_ns
        self._free_at_ns[first] = end
        self._pending.append((end, lambda: done(self.error or no_predictions())))

    def sleep(self, nanoseconds: int) -> None:
        until = self.clock.now_ns + nanoseconds
        for end, answer in sorted(self._pending, key=lambda pending: pending[0]):
            if end <= until:
                self.clock.advance(end - self.clock.now_ns)
                answer()
        self._pending = [pending for pending in self._pending if pending[0] > until]
        self.clock.advance(until - self.clock.now_ns)


def test_latency_counts_from_the_scheduled_arrival() -> None:
    """Arrivals at 0, 10, 20 ms, service 15 ms: answers at 15, 30, 45, so latencies of 15, 20, 25 ms."""
    clock = FakeClock(start_ns=7)
    system = SerialSystem(clock, 15 * MS)
    timed = serve_arrivals(system, [()] * 3, [0, 10 * MS, 20 * MS], 30 * MS, clock=clock, sleep=clock.advance)
    (only_pass,) = timed.passes
    latencies = [end - begin for begin, end in zip(only_pass.begins, only_pass.ends, strict=True)]
    assert latencies == [15 * MS, 20 * MS, 25 * MS]
    assert timed.end_ns - timed.begin_ns == 45 * MS
    assert timed.late_ns == []


def test_a_free_system_is_called_when_the_request_arrives() -> None:
    """Arrivals at 0, 10, 20 ms, service 4 ms: no queue; the window ends when a 4th would arrive."""
    clock = FakeClock()
    system = SerialSystem(clock, 4 * MS)
    timing = timed_window(
        lambda: serve_arrivals(
            system, [()] * 3, [0, 10 * MS, 20 * MS], 30 * MS, clock=clock, sleep=clock.advance
        ),
        cpu_clock=clock,
        meter=FakeMeter(20.0, clock),
    )
    assert timing.call_ns == (4 * MS,) * 3
    assert timing.wall_ns == 30 * MS
    assert timing.late_ns == (0, 0)
    # 20 W for 30 ms are 0.6 J: idle time between requests is part of the offered load
    assert timing.readings[0].microjoules == 600_000


def test_waking_up_late_is_part_of_the_latency_and_is_reported() -> None:
    """Each sleep takes 1 ms too long: the second call is made at 11, not 10, and answered at 15."""
    clock = FakeClock()

    def oversleep(nanoseconds: int) -> None:
        clock.advance(nanoseconds + MS)

    timed = serve_arrivals(
        SerialSystem(clock, 4 * MS), [()] * 2, [0, 10 * MS], 20 * MS, clock=clock, sleep=oversleep
    )
    (only_pass,) = timed.passes
    assert only_pass.ends[1] - only_pass.begins[1] == 5 * MS
    assert timed.late_ns == [MS]


def test_submitted_requests_are_answered_in_parallel() -> None:
    """Two instances, service 15 ms, arrivals at 0, 10, 20 ms.

    The first works from 0 to 15, the second from 10 to 25, the first again from 20 to 35: no queue.
    """
    clock = FakeClock()
    pool = PooledSystem(clock, 15 * MS, instances=2)
    timed = serve_arrivals(pool, [()] * 3, [0, 10 * MS, 20 * MS], 40 * MS, clock=clock, sleep=pool.sleep)
    (only_pass,) = timed.passes
    assert [end - begin for begin, end in zip(only_pass.begins, only_pass.ends, strict=True)] == [15 * MS] * 3
    assert timed.end_ns - timed.begin_ns == 40 * MS


def test_submitted_requests_queue_for_a_single_instance() -> None:
    """The same arrivals on one instance: 15, 20, 25 ms, as without submitting."""
    clock = FakeClock()
    pool = PooledSystem(clock, 15 * MS, instances=1)
    timed = serve_arrivals(pool, [()] * 3, [0, 10 * MS, 20 * MS], 50 * MS, clock=clock, sleep=pool.sleep)
    (only_pass,) = timed.passes
    assert [end - begin for begin, end in zip(only_pass.begins, only_pass.ends, strict=True)] == [
        15 * MS,
        20 * MS,
        25 * MS,
    ]


def test_an_error_of_a_submitted_request_is_raised() -> None:
    """It is not counted as an answer."""
    clock = FakeClock()
    pool = PooledSystem(clock, MS, instances=1)
    pool.error = ValueError("it broke")
    with pytest.raises(ValueError, match="it broke"):
        serve_arrivals(pool, [()], [0], 10 * MS, clock=clock, sleep=pool.sleep)


def test_a_real_sleep_is_at_least_as_long_as_requested() -> None:
    """By the worker's clock."""
    import time

    begin = time.perf_counter_ns()
    sleep_ns(2 * MS)
    assert time.perf_counter_ns() - begin >= 2 * MS


@settings(deadline=None)
@given(
    count=st.integers(1, 400),
    rate=st.floats(0.01, 1e5, allow_nan=False),
    seed=st.text(max_size=8),
)
def test_every_window_has_exactly_the_offered_rate(count: int, rate: float, seed: str) -> None:
    """The first arrives at 0, the others in order within the window, which lasts count / rate seconds."""
    due, span = arrival_times_ns(count, rate, seed)
    assert len(due) == count
    assert due[0] == 0
    assert due == sorted(due)
    assert due[-1] <= span
    assert span == round(count / rate * 1e9)
    assert arrival_times_ns(count, rate, seed) == (due, span)


def test_arrivals_are_poisson() -> None:
    """Gaps are exponential: the standard deviation equals the mean, and the median is ln 2 of it."""
    due, span = arrival_times_ns(20_000, 100.0, "7 0")
    gaps = [later - earlier for earlier, later in zip(due, [*due[1:], span], strict=True)]
    mean = statistics.mean(gaps)
    assert mean == pytest.approx(10 * MS)
    assert statistics.pstdev(gaps) == pytest.approx(mean, rel=0.05)
    assert statistics.median(gaps) == pytest.approx(0.693 * mean, rel=0.05)
    assert arrival_times_ns(20_000, 100.0, "7 1")[0] != due


def test_without_a_rate_all_arrive_at_once() -> None:
    """This measures the highest throughput of a system."""
    assert arrival_times_ns(3, 0.0, "") == ([0, 0, 0], 0)


@pytest.mark.parametrize(
    ("window_ms", "requests", "rate", "passes"),
    # 32 requests at 100 a second take 0.32 s
    [(0, 32, 100.0, 1), (320, 32, 100.0, 1), (321, 32, 100.0, 2), (1000, 32, 100.0, 4), (1000, 32, 0.0, 1)],
)
def test_a_window_at_a_rate_is_filled_with_whole_passes(
    window_ms: int, requests: int, rate: float, passes: int
) -> None:
    """As many as needed, at least one."""
    assert passes_within(window_ms * MS, requests, rate) == passes


def served(count: int, rate: float, service_ns: int, seed: str) -> tuple[float, list[int]]:
    """Return throughput and latencies of one server with a service time of `service_ns`."""
    clock = FakeClock()
    due, span = arrival_times_ns(count, rate, seed)
    timed = serve_arrivals(
        SerialSystem(clock, service_ns), [()] * count, due, span, clock=clock, sleep=clock.advance
    )
    (only_pass,) = timed.passes
    latency = [end - begin for begin, end in zip(only_pass.begins, only_pass.ends, strict=True)]
    return 1e9 * count / (timed.end_ns - timed.begin_ns), latency


@pytest.mark.parametrize(
    ("rate", "overloaded"), [(10.0, False), (50.0, False), (80.0, False), (115.0, True), (300.0, True)]
)
def test_a_system_that_falls_behind_is_overloaded(rate: float, *, overloaded: bool) -> None:
    """10 ms per request allow 100 requests per second: 80 are within capacity, 115 are not."""
    windows = [served(200, rate, 10 * MS, str(seed)) for seed in range(7)]
    achieved = statistics.harmonic_mean([throughput for throughput, _ in windows])
    assert is_overloaded(rate, achieved, [latency for _, latency in windows]) is overloaded


def test_latencies_of_a_queue_agree_with_theory() -> None:
    """One server, 10 ms, 50 requests per second: a utilisation of 0.5.

    Pollaczek and Khinchine: the mean wait is 0.5 * 10 / (2 * 0.5) = 5 ms, so the mean latency is 15 ms.
    """
    latencies = [ns for seed in range(20) for ns in served(1000, 50.0, 10 * MS, str(seed))[1]]
    assert statistics.mean(latencies) == pytest.approx(15 * MS, rel=0.03)


def test_a_window_of_two_requests_has_no_growing_queue() -> None:
    """Two latencies have no first and last third."""
    assert not queue_grew([1, 100])
    assert queue_grew([1, 2, 3, 4, 5, 6])
    assert not queue_grew([5, 5, 5, 5, 5, 5])
