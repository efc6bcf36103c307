"""Service times in their measured order: a queue of them waits for the slow phases of a machine."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.capacity.queueing.measured_order import MeasuredOrder
from harness.analysis.capacity.queueing.steady_state import steady_latency


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 120))
def test_a_stream_is_made_of_pieces_of_rounds(lengths: list[int], streams: int, requests: int) -> None:
    """Request k of a round is followed by request k + 1, or by the first where it was the last."""
    starts = np.cumsum(lengths) - lengths
    rounds = tuple(
        np.arange(start, start + length, dtype=float) for start, length in zip(starts, lengths, strict=True)
    )
    order = MeasuredOrder(rounds)
    drawn = order.draw((streams, requests), np.random.default_rng(0))
    assert drawn.shape == (streams, requests)
    following = {
        int(times[at]): int(times[(at + 1) % len(times)]) for times in rounds for at in range(len(times))
    }
    for stream in drawn.astype(int).tolist():
        for place, (first, second) in enumerate(pairwise(stream), 1):
            assert place % order.block == 0 or following[first] == second


def test_times_without_slow_phases_have_the_tail_of_the_exact_queue() -> None:
    """M/M/1 at 60 %: the 99th percentile is ln 100 x 10 ms / 0.4, whatever the order of its times."""
    rng = np.random.default_rng(7)
    rounds = tuple(rng.exponential(0.010, 20_000) for _ in range(20))
    steady = steady_latency(MeasuredOrder(rounds), 60.0)
    assert steady.percentile(99.0) == pytest.approx(0.010 * np.log(100) / 0.4, rel=0.04)
    assert steady.utilisation == pytest.approx(0.6, rel=0.01)


def test_requests_queue_in_slow_phases() -> None:
    """8 ms for 500 requests, then 14 ms for 100: drawn one by one they hardly ever wait for long."""
    phases = np.concatenate([np.full(500, 0.008), np.full(100, 0.014)] * 4)
    mixed = steady_latency(phases, 80.0).percentile(99.0)
    ordered = steady_latency(MeasuredOrder((phases,)), 80.0).percentile(99.0)
    assert ordered > 2 * mixed
