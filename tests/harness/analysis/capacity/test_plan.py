"""A plan over records: which have service times, what machines they need, what a day of them draws."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from quick_plans import few_requests
from records import a_reading, a_record, rounds

from harness.analysis.capacity.demand import Demand, Segment, constant_demand
from harness.analysis.capacity.energy import DayEnergy
from harness.analysis.capacity.machine_types import MachineType, PowerModel
from harness.analysis.capacity.plan import CapacityPlan, PlanOptions, make_plan
from harness.analysis.capacity.queueing.batching import Batching
from harness.analysis.capacity.service_times import ServiceTimes
from harness.analysis.capacity.sizing import Objective
from harness.common.errors import UsageError
from harness.records.estimate import Unavailable
from harness.records.record import IdleEnergy, OfferedLoad, PlacementFacts, Record

MEASURED = MachineType("", 0.5, "a list")
CALM = PlanOptions(Objective(99, 1.0, 0.5), (MEASURED,))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    few_requests(monkeypatch)


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
    options = replace(CALM, machines=(replace(MEASURED, power=power),))
    energy = plan_of(named("fast"), options=options).rows[0].energy
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
    assert isinstance(row.service, ServiceTimes)
    assert row.service.all.tolist() == pytest.approx([0.010] * 4)
    assert row.service.utilisation == pytest.approx(0.5)
    assert row.service.source == "server at 100/s (50 % busy)"


def offered(rate: float, seconds: float, *, overloaded: bool = False) -> tuple[Record, dict[str, Any]]:
    """Return a record of scenario `server` with requests that take the same time each and never wait."""
    load = OfferedLoad(rate=rate, achieved=rate, overloaded=overloaded, seed=0)
    record = named("own", scenario="server", id=f"own-{rate:g}").model_copy(
        update={"load": load, "rounds": rounds([1e6 / rate] * 7, requests=1_000)}
    )
    samples = calls(seconds, 1_000)
    return record, {**samples, "gap_ns": np.full(7_000, round(1e9 * (1 / rate - seconds)))}


def test_times_under_load_come_before_those_of_requests_without_a_pause() -> None:
    """8 ms one after another, 12 ms at 20 a second and 10 ms at 40: the plan rests on the busiest.

    A load between is compared with the nearest one; an overloaded system shows no times to plan by.
    """
    slow, busy, crowded = offered(20.0, 0.012), offered(40.0, 0.010), offered(60.0, 0.016, overloaded=True)
    single = named("own"), calls(0.008)
    by_id = {record.cell.id: samples for record, samples in (single, slow, busy, crowded)}
    records = [record for record, _ in (single, slow, crowded, busy)]
    demand = constant_demand(40.0)
    (row,) = make_plan(records, lambda record: by_id[record.cell.id], demand, CALM).rows
    assert isinstance(row.measured, ServiceTimes)
    assert row.measured.mean == pytest.approx(0.010)
    assert row.measured.near(31.0).mean == pytest.approx(0.010)
    assert row.measured.near(29.0).mean == pytest.approx(0.012)
    assert not any("without a pause" in warning for warning in row.warnings)


def test_a_much_lower_load_than_the_measured_one_is_a_warning() -> None:
    """40 % busy when measured: 30 % are near enough, and at 10 % pauses are longer."""
    record, samples = offered(40.0, 0.010)

    def warnings(rate: float) -> str:
        (row,) = make_plan([record], lambda _: samples, constant_demand(rate), CALM).rows
        return " ".join(row.warnings)

    assert "measure it at a lower --rate" not in warnings(30.0)
    assert "were 40 % busy while this was measured, and are 10 % here" in warnings(10.0)


def test_a_machine_draws_no_more_than_its_published_most() -> None:
    """10 ms at 20 a second, and 50 ms of CPU time each, of threads that poll: 2 CPUs for 10 ms are the most.

    A curve of 10 W idle and 30 W busy: 2 machines of 2 vCPUs at half load draw 20 W each.
    """
    record, samples = offered(20.0, 0.010)
    polling = tuple(replace(item, cpu_ns=50_000_000 * item.requests) for item in record.rounds)
    record = record.model_copy(update={"rounds": polling})
    machine = replace(MEASURED, power=PowerModel(lambda load: 10 + 20 * load, "a table", 2))
    options = replace(CALM, machines=(machine,))
    (row,) = make_plan([record], lambda _: samples, constant_demand(100.0), options).rows
    assert isinstance(row.energy, DayEnergy)
    assert (row.machines, row.energy.busy_j) == (2, pytest.approx(2 * 10 * 86_400))


def test_joules_that_hold_waiting_are_no_joules_of_requests() -> None:
    """20 % busy in `server`, and idle power was not measured."""
    record, samples = offered(20.0, 0.010)
    (row,) = make_plan([record], lambda _: samples, constant_demand(20.0), CALM).rows
    assert isinstance(row.energy, Unavailable)
    assert "its joules hold those of waiting, 80 % of the time in server" in row.energy.reason


def test_a_system_that_reads_no_input_is_no_choice() -> None:
    """It shows what the harness costs, and would be the cheapest."""
    record = named("fast")
    placed = PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"reads_input": False})
    plan = plan_of(record.model_copy(update={"placement": placed}), named("slow"))
    assert [row.record.cell.variant for row in plan.rows] == ["slow"]
    assert plan.refusals[0].reason.startswith("it does not read its input")


def test_answers_out_of_order_are_named_where_single_requests_stand_for_them() -> None:
    """Nobody is told to measure in `server` again."""
    record, samples = offered(20.0, 0.010)
    crossed = samples | {
        "call_ns": np.tile([30_000_000, 1_000_000], 3_500),
        "gap_ns": np.full(7_000, -25_000_000),
    }
    by_id = {record.cell.id: crossed, "own": calls(0.010)}
    (row,) = make_plan(
        [named("own", id="own"), record], lambda own: by_id[own.cell.id], constant_demand(20.0), CALM
    ).rows
    (warning,) = row.warnings
    assert "does not show that, because its requests were not served in their order of arrival" in warning


def test_times_of_requests_without_a_pause_are_a_warning() -> None:
    """After a pause threads have to wake up, and caches hold other data."""
    (row,) = plan_of(named("fast")).rows
    assert isinstance(row.measured, ServiceTimes)
    assert row.measured.near(1.0) is row.measured
    assert any("followed one another without a pause" in warning for warning in row.warnings)


def small(name: str, vcpus: int, usd: float, watts: float = 10.0) -> MachineType:
    """Return a machine type that draws the same watts at any load."""
    return MachineType(name, usd, "a list", vcpus, PowerModel(lambda _: watts, "a table", vcpus), ("A",))


def test_a_machine_type_holds_as_many_of_the_measured_machine_as_its_cpus() -> None:
    """Measured on 2 CPUs: 8 vCPUs hold 4, so 100 requests of 10 ms a second need half of one; 2 USD a day."""
    (row,) = plan_of(named("fast"), options=replace(CALM, machines=(small("big", 8, 1 / 12),))).rows
    assert (row.machines, row.service.instances, row.measured.instances) == (1, 4, 1)
    assert row.latency.utilisation == pytest.approx(0.25)
    assert row.usd_per_day == pytest.approx(2.0)
    assert isinstance(row.energy, DayEnergy)
    assert row.energy.idle_j == pytest.approx(10 * 86_400)


def test_a_machine_type_smaller_than_the_measured_machine_is_left_out() -> None:
    """Nothing shows how fast it is."""
    plan = plan_of(
        named("fast"), options=replace(CALM, machines=(small("tiny", 1, 1.0), small("as", 2, 1.0)))
    )
    assert [row.machine.name for row in plan.rows] == ["as"]
    assert plan.refusals[0].reason.startswith("tiny has 1 vCPUs, and it was measured on 2")


def test_rows_come_by_cost_and_name_the_next_cheaper_choice() -> None:
    """Half busy: 2 machines of 2 CPUs at 1 USD, or 1 of 4 CPUs at 1.5; one of the first is too busy."""
    types = (small("two", 2, 1.0), small("four", 4, 1.5))
    plan = plan_of(named("fast"), options=replace(CALM, machines=types))
    assert [(row.machine.name, row.machines) for row in plan.rows] == [("four", 1), ("two", 2)]
    too_busy = "100 % busy at the peak, above the headroom of 50 %"
    assert plan.rows[0].next_cheaper == f"1 x two: {too_busy}"
    assert plan.rows[1].next_cheaper == "1 x four: cheaper, and in this table"
    (alone,) = plan_of(named("fast"), rate=10.0).rows
    assert alone.next_cheaper == "none"


def test_a_variant_is_planned_once_by_the_record_that_waits_least() -> None:
    """Offline and single-stream of a ladder: the first shows no time of a request, and needs no mention."""
    offline = named("fast", scenario="offline", id="fast-offline")
    plan = plan_of(offline, named("fast"))
    assert [row.record.cell.scenario for row in plan.rows] == ["single-stream"]
    assert not plan.refusals


def test_a_refused_variant_has_the_cost_of_machines_that_never_wait() -> None:
    """20 ms on a machine of 0.5 USD an hour: 100 million x 0.020 s / 3600 x 0.5."""
    plan = plan_of(named("slow"), named("fast"), options=replace(CALM, objective=Objective(99, 0.015, 0.5)))
    assert [row.record.cell.variant for row in plan.rows] == ["fast"]
    assert plan.refusals[0].always_busy_usd == pytest.approx(1e8 * 0.020 / 3600 * 0.5)


@pytest.mark.parametrize("seconds", [0.001, 0.020])
def test_no_row_breaks_its_promise_and_a_wide_interval_is_a_warning(seconds: float) -> None:
    """The simulation that decides is the one that is shown."""
    rng = np.random.default_rng(0)
    samples = calls(1.0) | {"call_ns": (1e9 * rng.exponential(seconds, 4900)).astype(int)}
    options = replace(CALM, objective=Objective(99, 5 * seconds, 0.98))
    (row,) = make_plan([named("fast")], lambda _: samples, constant_demand(0.9 / seconds), options).rows
    latency = row.latency.percentiles[99.0]
    assert latency.value <= 5 * seconds
    assert (latency.high > 5 * seconds) == any(
        "within its interval p99 may be" in text for text in row.warnings
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": "another"}, "measured on 2 unlike machines"),
        ({"task": "rte"}, "of several tasks \\(boolq, rte\\)"),
    ],
)
def test_records_that_no_plan_joins_are_refused(changes: dict[str, str], message: str) -> None:
    """One machine, one task."""
    other = named("slow", **{key: value for key, value in changes.items() if key != "host"})
    if "host" in changes:
        other = other.model_copy(update={"host": other.host.model_copy(update={"fingerprint": "f" * 64})})
    with pytest.raises(UsageError, match=message):
        plan_of(named("fast"), other)


def batch_calls(size: int, seconds: float, requests: int = 700) -> dict[str, Any]:
    """Return samples of seven rounds of calls of so many requests."""
    each = -(-requests // size)
    return {
        "call_ns": np.full(each * 7, round(seconds * 1e9)),
        "call_round": np.repeat(np.arange(7), each),
        "gap_ns": np.zeros(each * 7, dtype=np.int64),
        "timed_example": np.tile(np.arange(requests), 7),
    }


def batched(variant: str, size: int) -> Record:
    return named(variant, scenario="batch", batch=size, id=f"{variant}-batch-{size}")


def test_a_collector_of_batches_needs_fewer_machines() -> None:
    """One by one 10 ms; 8 in 20 ms are 2.5 ms each: at 400 a second half busy 8 machines, or 2."""
    samples = {"single-stream": calls(0.010), "batch": batch_calls(8, 0.020)}
    records = [named("fast"), batched("fast", 8)]
    options = replace(CALM, batchings=(Batching(8, 0.050),))
    plan = make_plan(records, lambda record: samples[record.cell.scenario], constant_demand(400.0), options)
    assert [(row.service.how, row.machines) for row in plan.rows] == [
        ("batches up to 8 or 50 ms", 2),
        ("", 8),
    ]
    assert plan.rows[0].service.source == "single-stream of 1, batch of 8"
    assert 5 < plan.rows[0].latency.batch <= 8


def test_batches_that_are_not_full_cost_the_joules_of_their_longer_service() -> None:
    """16 W while busy: calls of one request take 10 ms each, and a full batch of 8 takes 20 ms.

    At 0.01 a second nobody shares a batch, so that a request costs 160 mJ, not 40.
    """
    samples = {"single-stream": calls(0.010), "batch": batch_calls(8, 0.020)}
    own = rounds([1_750.0] * 7, requests=700, joules=[28.0] * 7, reading={"span_ns": 1_750_000_000})
    records = [named("fast"), batched("fast", 8).model_copy(update={"rounds": own})]
    options = replace(CALM, batchings=(Batching(8, 0.005),))
    plan = make_plan(records, lambda record: samples[record.cell.scenario], constant_demand(0.01), options)
    (row,) = (row for row in plan.rows if row.service.how)
    assert isinstance(row.energy, DayEnergy)
    assert row.energy.busy_j == pytest.approx(0.160 * 864, rel=0.01)


def test_a_short_rest_of_a_slice_is_no_full_batch() -> None:
    """700 requests in calls of 64: ten full ones and one of 60, whose time is left out."""
    samples = batch_calls(64, 0.100)
    samples["call_ns"] = np.tile([100_000_000] * 10 + [1_000_000], 7)
    arrays = {"single-stream": calls(0.010), "batch": samples}
    options = replace(CALM, batchings=(Batching(64, 0.050),))
    plan = make_plan(
        [named("fast"), batched("fast", 64)],
        lambda record: arrays[record.cell.scenario],
        constant_demand(9.0),
        options,
    )
    (row,) = (row for row in plan.rows if row.service.how)
    assert row.service.mean == pytest.approx(0.100 / 64)


@pytest.mark.parametrize(
    ("records", "batching", "reason"),
    [
        ([named("fast")], Batching(8, 0.01), "no batch was measured"),
        ([named("fast"), batched("fast", 8)], Batching(16, 0.01), "and the largest is 8"),
        ([batched("fast", 8)], Batching(8, 0.01), "the smallest batch is 8"),
        ([named("fast"), batched("fast", 8)], Batching(8, 2.0), "without any queue, above 1e+03 ms"),
        ([named("fast", instances=2), batched("fast", 8)], Batching(8, 0.01), "a pool divides a batch"),
    ],
)
def test_batches_that_were_not_measured_are_refused(
    records: list[Record], batching: Batching, reason: str
) -> None:
    """With the option that measures them; a first request that waits longer than the promise keeps none."""
    samples = {"single-stream": calls(0.010), "batch": batch_calls(8, 0.020)}
    options = replace(CALM, batchings=(batching,))
    plan = make_plan(records, lambda record: samples[record.cell.scenario], constant_demand(50.0), options)
    assert any(reason in refusal.reason for refusal in plan.refusals), plan.refusals
