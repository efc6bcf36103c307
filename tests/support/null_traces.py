"""Simulated traces of null tests, for tests of functions on traces."""

import numpy as np

from harness.studies.traces import Trace

REQUESTS = 8


def a_trace(noise: float, count: int = 60, seed: int = 0, condition: str = "quiet") -> Trace:
    """Return windows of eight requests of 10 ms, whose logarithms spread by `noise` and have heavy tails."""
    drawn = 1e4 * np.exp(noise * np.random.default_rng(seed).standard_t(2, (count, 2, REQUESTS)))
    requests = tuple((tuple(first.tolist()), tuple(second.tolist())) for first, second in drawn)
    zeros = (0,) * count
    return Trace(
        *("r1", "now", condition, "onnx", "cb", "m", "single-stream", 1, "cpu", zeros, zeros, zeros, zeros),
        wall_ns=tuple((round(1e3 * sum(first)), round(1e3 * sum(second))) for first, second in requests),
        asked_us=requests,
    )
