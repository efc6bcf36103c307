"""Simulated traces of null tests, for tests of functions on traces."""

import numpy as np

from harness.studies.traces import Trace

REQUESTS = 8


def a_trace(
    noise: float,
    count: int = 60,
    seed: int = 0,
    condition: str = "quiet",
    cells: int = 2,
    rounds: int | None = None,
) -> Trace:
    """Return windows of eight requests of 10 ms, whose logarithms spread by `noise` and have heavy tails.

    `cells` are measured side by side, in launches of `rounds` rounds each (one launch of all by default).
    """
    drawn = 1e4 * np.exp(noise * np.random.default_rng(seed).standard_t(2, (count, cells, REQUESTS)))
    return Trace(
        *(
            "r1",
            "2026-01-01T00:00:00+00:00",
            condition,
            ("onnx",) * cells,
            "cb",
            "m",
            "single-stream",
            1,
            "cpu",
        ),
        requests=((REQUESTS,) * cells,) * count,
        launch=tuple(at // (rounds or count) for at in range(count)),
        slice=(0,) * count,
        wall_ns=tuple(tuple(round(1e3 * sum(cell)) for cell in visits) for visits in drawn),
        asked_us=tuple(tuple(map(tuple, visits)) for visits in drawn.tolist()),
    )


def slowed(trace: Trace, cell: int, factors: list[float]) -> Trace:
    """Return a trace in which one cell takes this many times as long in each round."""
    from dataclasses import replace

    def scaled(visits: tuple[tuple[float, ...], ...], factor: float) -> tuple[tuple[float, ...], ...]:
        return tuple(
            tuple(time * factor for time in times) if at == cell else times for at, times in enumerate(visits)
        )

    rounds = list(zip(factors, trace.wall_ns, trace.asked_us, strict=True))
    return replace(
        trace,
        wall_ns=tuple(
            tuple(round(ns * factor) if at == cell else ns for at, ns in enumerate(walls))
            for factor, walls, _ in rounds
        ),
        asked_us=tuple(scaled(asked, factor) for factor, _, asked in rounds),
    )
