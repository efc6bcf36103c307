"""A server that collects requests into batches: up to a number of them, or for a time.

    arrivals --a batch is full, or its first has waited--> batches --time of a call of that size--> ends

A batch begins when a server is free and it is full or its first request has waited `wait_s`. It takes the
requests that wait at that moment, up to `most`, in their order of arrival. NVIDIA Triton's dynamic batcher
and similar collectors work like this. All times are in seconds; arrays are [streams, requests].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.capacity.queueing.waiting import Seconds

_LEVELS = 4096
"""The most quantiles that a distribution of times is tabulated at."""


@dataclass(frozen=True, slots=True)
class Batching:
    """The most requests of a batch, and how long its first request waits for others."""

    most: int
    wait_s: float

    def __str__(self) -> str:
        """Return both as the command line takes them: `8:5ms`."""
        return f"{self.most}:{1e3 * self.wait_s:g}ms"


@dataclass(frozen=True, slots=True, eq=False)
class CallTimes:
    """Quantiles of the time of a call by its number of requests: row n of `table` is for n of them."""

    table: Seconds

    def draw(self, sizes: npt.NDArray[np.int64], shares: Seconds) -> Seconds:
        """Return a time for each size, at this share (from 0, below 1) of its distribution."""
        levels = self.table.shape[1]
        times: Seconds = self.table[sizes, (shares * levels).astype(np.int64)]
        return times

    def mean(self, size: int) -> float:
        """Return the mean time of a call of so many requests."""
        return float(self.table[size].mean())


def call_times(measured: Sequence[tuple[int, Seconds]], most: int) -> CallTimes:
    """Return the times of calls of 1 to `most` requests.

    `measured` holds a few sizes in ascending order, each with the times of its calls. Between two sizes the
    quantiles are interpolated linearly in the size. A call of fewer requests than the smallest size takes as
    long as one of that size. `most` is at most the largest size.
    """
    levels = min(_LEVELS, max(len(times) for _, times in measured))
    shares = (np.arange(levels) + 0.5) / levels
    quantiles = [np.sort(times)[(shares * len(times)).astype(np.int64)] for _, times in measured]
    sizes = np.arange(most + 1)
    known = np.array([size for size, _ in measured])
    upper = np.minimum(np.searchsorted(known, sizes), len(known) - 1)
    lower = np.maximum(upper - 1, 0)
    gaps = np.maximum(known[upper] - known[lower], 1)
    weights = np.clip((sizes - known[lower]) / gaps, 0.0, 1.0)[:, None]
    stacked = np.stack(quantiles)
    table: Seconds = (1 - weights) * stacked[lower] + weights * stacked[upper]
    return CallTimes(table)


@dataclass(frozen=True, slots=True, eq=False)
class BatchedRequests:
    """Of each request [streams, requests]: the latency, the size of its batch, and the time of its call."""

    latencies: Seconds
    sizes: npt.NDArray[np.int64]
    services: Seconds


def serve_batches(
    gaps: Seconds, shares: Seconds, times: CallTimes, batching: Batching, servers: int
) -> BatchedRequests:
    """Return the latencies of a queue whose servers take batches; `gaps` precede the requests.

    `shares` [streams, requests] place the time of a call within the distribution for its size: a batch uses
    that of its first request. All servers are idle at first.
    """
    streams, requests = gaps.shape
    arrivals = np.cumsum(gaps, axis=1)
    padded = np.concatenate([arrivals, np.full((streams, batching.most), np.inf)], axis=1)
    ends, sizes, services = np.empty_like(gaps), np.empty(gaps.shape, dtype=np.int64), np.empty_like(gaps)
    free, first = np.zeros((streams, servers)), np.zeros(streams, dtype=np.int64)
    rows = np.arange(streams)
    while len(rows):
        start = first[rows]
        full, oldest = padded[rows, start + batching.most - 1], padded[rows, start]
        begin = np.maximum(free[rows, 0], np.minimum(full, oldest + batching.wait_s))
        count = _arrived(padded, rows, start, begin, batching.most)
        service = times.draw(count, shares[rows, start])
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        where = np.repeat(rows, count), np.repeat(start, count) + within
        ends[where] = np.repeat(begin + service, count)
        sizes[where] = np.repeat(count, count)
        services[where] = np.repeat(service, count)
        free[rows, 0] = begin + service
        if servers > 1:
            free[rows] = np.sort(free[rows], axis=1)
        first[rows] = start + count
        rows = rows[first[rows] < requests]
    return BatchedRequests(ends - arrivals, sizes, services)


def _arrived(
    arrivals: Seconds, rows: npt.NDArray[np.int64], start: npt.NDArray[np.int64], moments: Seconds, most: int
) -> npt.NDArray[np.int64]:
    """Return how many requests from `start` on have arrived by a moment, 1 to `most`, by bisection."""
    low, high = np.ones(len(rows), dtype=np.int64), np.full(len(rows), most)
    for _ in range(most.bit_length()):
        middle = (low + high + 1) // 2
        here = arrivals[rows, start + middle - 1] <= moments
        low, high = np.where(here, middle, low), np.where(here, high, middle - 1)
    return low
