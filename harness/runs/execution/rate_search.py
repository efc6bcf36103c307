"""The search for a cell's highest rate that keeps a promise, and the rate all cells are then offered."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.runs.planning.slo import LEAST, LatencyObjective, TriedRate, highest_rate, nearest_rank
from harness.workload.scenarios.server import is_overloaded

Visit = Callable[[float, str], Mapping[str, Any]]
"""Offers the whole sample at a rate (0: all at once), arrivals drawn from a seed; returns what was seen."""


def search(visit: Visit, promise: LatencyObjective, seed: int) -> dict[str, Any]:
    """Return the highest rate within the promise, the capacity it was searched below, and every trial."""
    full = visit(0.0, "")
    capacity = 1e9 * full["requests"] / full["wall_ns"]

    def trial(rate: float) -> TriedRate:
        return _tried(visit(rate, f"{seed} trial"), promise, rate)

    highest, trials = highest_rate(trial, capacity)
    distinct = len(full["answers"])
    return {
        "highest_rate": highest,
        "capacity": capacity,
        "trials": [{**asdict(each), "needed": promise.needed, "have": distinct} for each in trials],
    }


def common_rate(found: Iterable[Mapping[str, Any]]) -> float:
    """Return the rate that all systems are offered: the highest that each which keeps the promise can bear.

    Where none keeps it, a rate at which none waits long; 0 of no search.
    """
    entries = list(found)
    kept = [entry["highest_rate"] for entry in entries if entry["highest_rate"]]
    return min(kept or [LEAST * entry["capacity"] for entry in entries], default=0.0)


def _tried(seen: Mapping[str, Any], promise: LatencyObjective, rate: float) -> TriedRate:
    latency: Sequence[int] = seen["call_ns"]
    achieved = 1e9 * seen["requests"] / seen["wall_ns"]
    value = nearest_rank(latency, promise.percentile)
    behind = is_overloaded(rate, achieved, [list(latency)])
    kept = value <= promise.bound_ns and not behind
    return TriedRate(rate, achieved, seen["requests"], value, behind, kept)
