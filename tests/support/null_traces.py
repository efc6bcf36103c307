"""Traces of null tests that are drawn, for tests of what is done with traces."""

import numpy as np

from harness.studies.traces import Trace

REQUESTS = 8


def a_trace(noise: float, count: int = 60, seed: int = 0, condition: str = "quiet") -> Trace:
    """Return windows of eight requests of 10 ms, whose logarithms spread by `noise` and have heavy tails."""
    drawn = 1e4 * np.exp(noise * np.random.default_rng(seed).standard_t(2, (count, 2, REQUESTS)))
    asked = tuple((tuple(one.tolist()), tuple(other.tolist())) for one, other in drawn)
    zeros = (0,) * count
    return Trace(
        *("r1", "now", condition, "onnx", "cb", "m", "single-stream", 1, "cpu", zeros, zeros, zeros, zeros),
        wall_ns=tuple((round(1e3 * sum(one)), round(1e3 * sum(other))) for one, other in asked),
        asked_us=asked,
    )
