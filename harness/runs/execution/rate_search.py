"""The search for a cell's highest rate within an SLO, and the rate that all cells are then offered."""

from collections.abc import Callable, Iterable
from dataclasses import asdict

from harness.records.journal_entries import RateSearch, VisitResult
from harness.records.record import RateTrial
from harness.runs.planning.offered_load import steady_state_of
from harness.runs.planning.slo import LEAST, LatencyObjective, TriedRate, highest_rate
from harness.workload.scenarios.server import is_overloaded

Visit = Callable[[float, str], VisitResult]
"""Offers the whole sample at a rate (0: all at once), with arrivals drawn from a seed."""


def search(visit: Visit, objective: LatencyObjective, seed: int, instances: int = 1) -> RateSearch:
    """Return the highest rate within the SLO, the capacity below which it was searched, and every trial.

    The SLO must hold in the measured window and in steady state, which the service times of the window give.
    """
    at_once = visit(0.0, "")
    capacity = 1e9 * at_once.requests / at_once.wall_ns

    def trial(rate: float) -> TriedRate:
        return _trial(visit(rate, f"{seed} trial"), objective, rate, instances)

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


def _trial(visit: VisitResult, objective: LatencyObjective, rate: float, instances: int) -> TriedRate:
    achieved = 1e9 * visit.requests / visit.wall_ns
    steady = steady_state_of([(visit.call_ns, visit.gap_ns)], rate, instances, objective.percentile)
    overloaded = is_overloaded(rate, achieved, [list(visit.call_ns)])
    endless = steady.utilisation is not None and steady.value_ns is None
    longest_ns = max(steady.measured_ns, steady.value_ns or 0)
    return TriedRate(
        rate,
        achieved,
        visit.requests,
        steady.measured_ns,
        overloaded,
        kept=longest_ns <= objective.bound_ns and not (overloaded or endless),
        steady_ns=steady.value_ns,
        utilisation=steady.utilisation,
    )
