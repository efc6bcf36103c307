"""How many requests arrive together, and how often: what a user may choose, and what came of it.

--batch and --rate --> a cell for each        visits of scenario `server` --> what was offered, what answered
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.capacity.queueing.observed import Window, observed_steady_state
from harness.common.errors import UsageError
from harness.common.json_types import JsonObject
from harness.records.cell import Cell
from harness.records.estimate import Unavailable
from harness.records.journal import CellJournal
from harness.records.record import OfferedLoad, SteadyState
from harness.runs.planning.slo import nearest_rank, parse
from harness.workload.scenarios.server import is_overloaded

MOST_BATCH, MOST_RATE = 100_000, 1e6
"""Beyond these a number is a typing mistake."""

_PERCENTILE = 99.0
"""Of the steady state, where no SLO names another."""


@dataclass(frozen=True, slots=True)
class Load:
    """What distinguishes the cells of one scenario and variant: `rate` is in requests per second."""

    batch: int = 1
    rate: float = 0.0
    slo: str = ""


def check_load(scenarios: Sequence[str], batches: Sequence[int], rates: Sequence[float], slo: str) -> None:
    """Raise UsageError where an option lacks its scenario or the other way round, or a number is wrong."""
    if "batch" in scenarios and not batches:
        raise UsageError("scenario batch needs a batch size.", remedy="Add --batch 8, or several: 8,32.")
    if "server" in scenarios and not (rates or slo):
        raise UsageError(
            "scenario server needs a rate.",
            remedy="Add --rate 50 (requests per second), or --slo p99=20ms to search for the highest.",
        )
    if batches and not {"batch", "offline"} & set(scenarios):
        raise UsageError("--batch is for scenarios batch and offline.", remedy="Add --scenario batch.")
    if (rates or slo) and "server" not in scenarios:
        raise UsageError("--rate and --slo are for scenario server.", remedy="Add --scenario server.")
    if not all(1 <= size <= MOST_BATCH for size in batches) or len(set(batches)) < len(batches):
        raise UsageError(
            "--batch expects whole numbers from 1, each named once.", remedy="Write it as 8, or 8,32."
        )
    if not all(0 < rate <= MOST_RATE for rate in rates) or len(set(rates)) < len(rates):
        raise UsageError(
            "--rate expects requests per second above 0, each named once.", remedy="Write it as 50."
        )
    if slo:
        parse(slo)


def requested_load(
    batches: Sequence[int], rates: Sequence[float], slo: str, window_ms: int | None
) -> JsonObject:
    """Return the options that were given, for the record's configuration."""
    options = {"batches": list(batches), "rates": list(rates), "slo": slo, "window_ms": window_ms}
    return {name: value for name, value in options.items() if value}


def loads_of(scenario: str, batches: Sequence[int], rates: Sequence[float], slo: str) -> list[Load]:
    """Return the loads of one scenario: batch sizes, or rates."""
    if scenario in ("batch", "offline"):
        return [Load(batch=size) for size in batches or (1,)]
    if scenario == "server":
        return [Load(rate=rate, slo=slo) for rate in rates or (0.0,)]
    return [Load()]


def offered_load(cell: Cell, journal: CellJournal, seed: int) -> OfferedLoad | None:
    """Return what was offered to a cell of scenario `server` and what it answered; None for all others."""
    visits = [visit for _, visit in journal.visits]
    if cell.scenario != "server" or not visits:
        return None
    requests = sum(visit.requests for visit in visits)
    rate = 1e9 * requests / max(1, sum(visit.offered_ns or 0 for visit in visits))
    achieved = 1e9 * requests / sum(visit.wall_ns for visit in visits)
    search = journal.searched
    windows = [(visit.call_ns, visit.gap_ns) for visit in visits]
    percent = parse(cell.slo).percentile if cell.slo else _PERCENTILE
    return OfferedLoad(
        rate=rate,
        achieved=achieved,
        overloaded=is_overloaded(rate, achieved, [list(visit.call_ns) for visit in visits]),
        seed=seed,
        promise=cell.slo,
        highest_rate=search.highest_rate if search else None,
        capacity=search.capacity if search else None,
        trials=tuple(search.trials) if search else (),
        steady=steady_state_of(windows, rate, cell.instances, percent),
    )


def steady_state_of(windows: Sequence[Window], rate: float, instances: int, percent: float) -> SteadyState:
    """Return a percentile of the latency in steady state beside the measured one, at `rate` a second."""
    measured_ns = nearest_rank([call for calls, _ in windows for call in calls], percent)
    steady = observed_steady_state(windows, rate, instances, percent)
    if isinstance(steady, Unavailable):
        return SteadyState(percentile=percent, measured_ns=measured_ns, unavailable=steady.reason)
    if steady.seconds is None or steady.error is None:
        busy = f"{100 * steady.utilisation:.0f} %"
        reason = f"its instances are busy for {busy} of the time, so waits only grow"
        return SteadyState(
            percentile=percent, measured_ns=measured_ns, utilisation=steady.utilisation, unavailable=reason
        )
    return SteadyState(
        percentile=percent,
        measured_ns=measured_ns,
        value_ns=round(1e9 * steady.seconds),
        error_ns=round(1e9 * steady.error),
        utilisation=steady.utilisation,
    )
