"""A plan over records: which have service times, what machines they need, what a day of them draws."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from records import a_reading, a_record, rounds

from harness.analysis.capacity.demand import Demand, Segment, constant_demand
from harness.analysis.capacity.plan import CapacityPlan, DayEnergy, PlanOptions, PowerModel, make_plan
from harness.analysis.capacity.sizing import Objective
from harness.records.estimate import Unavailable
from harness.records.record import IdleEnergy, OfferedLoad, Record

CALM = PlanOptions(Objective(99, 1.0, 0.5))


def calls(seconds: float, count: int = 700) -> dict[str, Any]:
    """Return samples of requests that take the same time each, one after another."""
    return {
        "call_ns": np.full(count * 7, round(seconds * 1e9)),
        "call_round": np.repeat(np.arange(7), count),
        "gap_ns": np.zeros(count * 7, dtype=np.int64),
        "timed_example": np.tile(np.arange(count), 7),
    }


def named(variant: str, **changes: Any) -> Record:
    record = a_record(
        rounds=rounds([7_000.0] * 7, requests=700, joules=[14.0] * 7, reading={"span_ns": 7_000_000_000})
    )
    cell = record.cell.model_copy(update={"variant": variant, "scenario": "single-stream", **changes})
    return record.model_copy(update={"cell": cell})


def plan_of(*records: Record, options: PlanOptions = CALM, rate: float = 100.0) -> CapacityPlan:
    samples = {"slow": calls(0.020), "fast": calls(0.010), "few": calls(0.010, count=20)}
    demand = constant_demand(rate)
    return make_plan(records, lambda record: samples.get(record.cell.variant.split()[0]), demand, options)


def test_a_variant_twice_as_fast_takes_half_the_machines() -> None:
    """100 requests a second of 10 and 20 ms, at most half busy: 2 and 4 machines, the fewest first."""
    plan = plan_of(named("slow"), named("fast"))
    assert [(row.record.cell.variant, row.machines) for row in plan.rows] == [("fast", 2), ("slow", 4)]
    assert plan.rows[0].latency.utilisation == pytest.approx(0.5)


def test_spare_machines_serve_as_well() -> None:
    """Three machines instead of two are a third busy each."""
    (row,) = plan_of(named("fast"), options=replace(CALM, spare=1)).rows
    assert (row.sizing.machines, row.machines) == (2, 3)
    assert row.latency.utilisation == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instances": 2}, "do not show how long one takes while all 2 instances work"),
        ({"scenario": "offline"}, "scenario offline has no time of a single request"),
    ],
)
def test_a_record_without_service_times_is_refused(changes: dict[str, Any], reason: str) -> None:
    """With the scenario that shows them."""
    plan = plan_of(named("fast", **changes))
    assert not plan.rows
    assert reason in plan.refusals[0].reason


def test_a_record_without_samples_is_refused() -> None:
    """They may have been removed."""
    assert "raw samples" in plan_of(named("other")).refusals[0].reason


def test_a_percentile_of_few_requests_is_a_warning() -> None:
    """20 distinct requests show no p99."""
    (row,) = plan_of(named("few")).rows
    assert "20 distinct requests" in row.warnings[0]


def test_joules_of_a_day_are_those_of_its_requests_and_of_waiting() -> None:
    """20 mJ a request, idle 1 W measured: 8.64 M requests, 2 machines idle half of the day each."""
    idle = IdleEnergy(before=(a_reading(1_000_000),), after=(a_reading(1_000_000),))
    record = named("fast").model_copy(update={"idle": idle})
    energy = plan_of(record).rows[0].energy
    assert isinstance(energy, DayEnergy)
    assert energy.busy_j == pytest.approx(0.020 * 8_640_000)
    assert energy.idle_j == pytest.approx(1.0 * 86_400)
    assert energy.grade == "measured"


def test_the_joules_of_waiting_are_absent_where_idle_power_was_not_measured() -> None:
    """Never zero."""
    energy = plan_of(named("fast")).rows[0].energy
    assert isinstance(energy, DayEnergy)
    assert isinstance(energy.idle_j, Unavailable)


def test_a_published_curve_gives_both_and_is_called_modelled() -> None:
    """10 W idle and 30 W busy: 2 machines at half load draw 20 W each."""
    power = PowerModel(lambda load: 10 + 20 * load, "a table")
    energy = plan_of(named("fast"), options=replace(CALM, power=power)).rows[0].energy
    assert energy == DayEnergy(
        pytest.approx(2 * 10 * 86_400), pytest.approx(2 * 10 * 86_400), "modelled", "a table"
    )


def test_service_times_of_a_pool_are_those_without_waiting() -> None:
    """Two instances of 10 ms each; four requests at once: latencies 10, 10, 20 and 20 ms."""
    samples = {
        "call_ns": np.array([10, 10, 20, 20]) * 1_000_000,
        "call_round": np.zeros(4, dtype=int),
        "gap_ns": np.array([0, -10, -10, -20]) * 1_000_000,
        "timed_example": np.arange(4),
    }
    load = OfferedLoad(rate=100.0, achieved=100.0, overloaded=False, seed=0)
    record = named("pool", scenario="server", instances=2).model_copy(
        update={"load": load, "rounds": rounds([40.0], requests=4)}
    )
    demand = Demand((Segment(10.0, 100.0),), "a little")
    (row,) = make_plan([record], lambda _: samples, demand, CALM).rows
    assert row.times.all.tolist() == pytest.approx([0.010] * 4)
    assert row.times.utilisation == pytest.approx(0.5)
    assert row.times.source == "server at 100/s (50 % busy)"
