"""The search for a cell's highest rate within an SLO, and the rate that all cells are then offered."""

from collections.abc import Callable, Iterable
from dataclasses import asdict

from harness.records.journal_entries import RateSearch, VisitResult
from harness.records.record import RateTrial
from harness.runs.planning.slo import LEAST, LatencyObjective, TriedRate, highest_rate, nearest_rank
from harness.workload.scenarios.server import is_overloaded

Visit = Callable[[float, str], VisitResult]
"""Offers the whole sample at a rate (0: all at once), with arrivals drawn from a seed."""


def search(visit: Visit, objective: LatencyObjective, seed: int) -> RateSearch:
    """Return the highest rate within the SLO, the capacity below which it was searched, and every trial."""
    at_once = visit(0.0, "")
    capacity = 1e9 * at_once.requests / at_once.wall_ns

    def trial(rate: float) -> TriedRate:
        return _trial(visit(rate, f"{seed} trial"), objective, rate)

    highest, trials = highest_rate(trial, capacity)
    counts = {"needed": objective.needed, "have": len(at_once.answers)}
    return RateSearch(
        highest_rate=highest,
        capacity=capacity,
        trials=[RateTrial(**asdict(trial), **counts) for trial in trials],
    )


def common_rate(searches: Iterable[RateSearch]) -> float:
    """Return the rate that all systems are offered: the highest that each which keeps the SLO can serve.

    Where none keeps it, a rate at which none waits long; 0 without a search.
    """
    results = list(searches)
    kept = [result.highest_rate for result in results if result.highest_rate]
    return min(kept or [LEAST * result.capacity for result in results], default=0.0)


def _trial(visit: VisitResult, objective: LatencyObjective, rate: float) -> TriedRate:
    achieved = 1e9 * visit.requests / visit.wall_ns
    value_ns = nearest_rank(visit.call_ns, objective.percentile)
    overloaded = is_overloaded(rate, achieved, [list(visit.call_ns)])
    kept = value_ns <= objective.bound_ns and not overloaded
    return TriedRate(rate, achieved, visit.requests, value_ns, overloaded, kept)
