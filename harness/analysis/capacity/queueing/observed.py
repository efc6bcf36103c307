"""A queue that was observed: when its requests began, how long each was served, and its steady state.

latencies and gaps of a window --first come, first served--> service times
service times, rate ----------------------------------------> percentile in steady state
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.capacity.queueing.measured_order import MeasuredOrder
from harness.analysis.capacity.queueing.steady_state import (
    MAX_UTILISATION,
    Servers,
    steady_latency,
    utilisation_of,
)
from harness.analysis.capacity.queueing.waiting import Seconds
from harness.records.estimate import Unavailable

Nanoseconds = Sequence[int] | npt.NDArray[np.int64] | npt.NDArray[np.float64]
Window = tuple[Nanoseconds, Nanoseconds]
"""Latencies and gaps of the requests of a window, in nanoseconds."""

_REQUESTS = 2_000_000
_NS = 1e9


@dataclass(frozen=True, slots=True)
class ObservedSteadyState:
    """The percentile of the latency in steady state, in seconds, with the standard error of the simulation.

    `seconds` is None where the servers are busy for so much of the time that there is no steady state.
    """

    seconds: float | None
    error: float | None
    utilisation: float


def begun_at(arrivals: Sequence[float] | Seconds, ends: Sequence[float] | Seconds, servers: int) -> Seconds:
    """Return when each request began, where `servers` take requests in their order of arrival.

    A request begins when it arrives, or when all but `servers` - 1 of the earlier ones are done.
    """
    begun = np.empty(len(arrivals))
    latest: list[float] = []  # the last `servers` ends among the earlier requests, the first of them on top
    for number, (arrival, end) in enumerate(zip(arrivals, ends, strict=True)):
        begun[number] = max(arrival, latest[0]) if len(latest) == servers else arrival
        if len(latest) < servers:
            heapq.heappush(latest, end)
        else:
            heapq.heappushpop(latest, end)
    return begun


def served_times(windows: Sequence[Window], servers: int) -> tuple[Seconds, ...] | Unavailable:
    """Return the service times in seconds of each window, or why its requests do not show them."""
    by_window = []
    for latencies, gaps in windows:
        if len(gaps) != len(latencies):
            return Unavailable("it has no arrival times: an earlier version measured it")
        calls = np.asarray(latencies, dtype=np.float64)
        ends = np.cumsum(calls + np.asarray(gaps, dtype=np.float64))
        times = (ends - begun_at(ends - calls, ends, servers)) / _NS
        if times.min(initial=0.0) < 0:
            return Unavailable("its requests were not served in their order of arrival")
        by_window.append(times)
    return tuple(by_window)


def observed_steady_state(
    windows: Sequence[Window], rate: float, servers: int, percent: float
) -> ObservedSteadyState | Unavailable:
    """Return the steady state of the service times of these windows at a rate, in requests per second.

    They keep their order, so that requests queue in the slow phases that the windows show.
    """
    by_window = served_times(windows, servers)
    if isinstance(by_window, Unavailable):
        return by_window
    order = MeasuredOrder(by_window)
    times = order.all
    if times.size == 0 or times.max() <= 0:
        return Unavailable("nothing was served")
    busy = utilisation_of(times, rate, servers)
    if busy > MAX_UTILISATION:
        return ObservedSteadyState(None, None, busy)
    steady = steady_latency(order, rate, Servers(servers), requests=_REQUESTS)
    return ObservedSteadyState(steady.percentile(percent), steady.error(percent), busy)
