"""The capacity plan as text, Markdown and JSON: costs by hand, absent values with their reasons."""

import json
from typing import Any

import numpy as np
import pytest
from records import a_record

from harness.analysis.capacity.demand import constant_demand
from harness.analysis.capacity.plan import CapacityPlan, DayEnergy, PlanOptions, PlanRow, Refusal
from harness.analysis.capacity.service_times import ServiceTimes
from harness.analysis.capacity.sizing import Latency, Objective, Sizing
from harness.common.errors import UsageError
from harness.records.estimate import Estimate, Unavailable
from reports.documents.capacity import cost_of, render
from reports.values.prices import Grid, Price

PRICE, GRID = Price(0.5, "a list"), Grid(100.0, "a grid")


def an_estimate(value: float) -> Estimate:
    return Estimate(value, 0.9 * value, 1.1 * value, 0.95, "m", 7)


def a_row(variant: str, machines: int, **changes: Any) -> PlanRow:
    record = a_record()
    record = record.model_copy(update={"cell": record.cell.model_copy(update={"variant": variant})})
    facts: dict[str, Any] = {
        "times": ServiceTimes(record, (np.array([0.010]),), 1, 700),
        "sizing": Sizing(machines, "90 % busy at the peak, above the headroom of 70 %"),
        "machines": machines,
        "latency": Latency(
            {50.0: an_estimate(0.010), 90.0: an_estimate(0.020), 99.0: an_estimate(0.040)}, 0.6
        ),
        "day_p99_s": 0.035,
        "energy": DayEnergy(3.6e6, 7.2e6, "measured", "RAPL"),
    }
    return PlanRow(**facts | changes)


def a_plan(*rows: PlanRow) -> CapacityPlan:
    refusal = Refusal(a_record(), "p99 is 60 ms without any waiting, above 50 ms")
    return CapacityPlan(rows, (refusal,), constant_demand(100.0), PlanOptions(Objective(99, 0.050)))


def test_costs_by_hand() -> None:
    """Two machines of 0.50 USD: 24 USD a day; of 8.64 M requests; 3 kWh at 100 g."""
    row = a_row("fast", 2)
    cost = cost_of(row, a_plan(row), PRICE, GRID)
    assert cost.usd_per_day == 24
    assert cost.usd_per_month == pytest.approx(24 * 365.25 / 12)
    assert cost.usd_per_100m == pytest.approx(24 / 8.64e6 * 1e8)
    assert cost.kg_per_day == pytest.approx(0.3)


def test_the_seeds_two_figures_follow_from_its_own_times_and_price() -> None:
    """FastFormers: 225 and 0.960 ms on a machine of 0.677 USD: 4,223 and 18 USD for 100 million."""
    azure = Price(0.677, "Azure F16s_v2")
    for milliseconds, usd in ((224.56, 4223), (0.960, 18)):
        row = a_row("rung", 1)
        rate = 1000 / milliseconds  # busy all the time, as the paper counts
        plan = CapacityPlan((row,), (), constant_demand(rate), PlanOptions(Objective(99, 1.0)))
        assert cost_of(row, plan, azure, None).usd_per_100m == pytest.approx(usd, rel=0.005)


def test_the_table_states_what_was_refused_and_every_factor() -> None:
    """In Markdown, where no cell is folded."""
    text = " ".join(render(a_plan(a_row("fast", 2), a_row("slow", 4)), "markdown", PRICE, GRID).split())
    for part in (
        "Machines for 100 requests a second, all day, with p99 at most 50 ms",
        "90 % busy at the peak, above the headroom of 70 %",
        "They are computed, not measured",
        "0.5 USD an hour (a list)",
        "100 g CO2e per kWh (a grid)",
        "because p99 is 60 ms without any waiting, above 50 ms.",
        "measured busy MJ/day",
    ):
        assert part in text


def test_energy_that_is_unknown_is_no_number() -> None:
    """Neither are the kilograms that follow from it."""
    energy = DayEnergy(1.0, Unavailable("idle power was not measured"), "modelled", "CPU time")
    fields = json.loads(render(a_plan(a_row("fast", 2, energy=energy)), "json", PRICE, GRID))
    (row,) = fields["rows"]
    assert row["energy"]["idle_j_per_day"] == "unavailable, because idle power was not measured"
    assert row["kg_co2e_per_day"].startswith("unavailable, because the energy of waiting machines")


def test_json_has_the_plan() -> None:
    """With its front: the slower variant with more machines is dominated."""
    fields = json.loads(render(a_plan(a_row("fast", 2), a_row("slow", 4)), "json", PRICE, None))
    assert [(row["variant"], row["machines"], row["on_front"]) for row in fields["rows"]] == [
        ("fast", 2, True), ("slow", 4, False),
    ]  # fmt: skip
    assert fields["demand"]["requests_per_day"] == 8_640_000
    assert fields["refused"][0]["reason"].startswith("p99 is 60 ms")


def test_markdown_is_a_table_and_another_format_is_refused() -> None:
    """With the formats that there are."""
    plan = a_plan(a_row("fast", 2))
    assert "| variant" in render(plan, "markdown", PRICE, GRID)
    assert "one machine" in " ".join(render(plan, "text", PRICE, GRID, width=100).split())
    with pytest.raises(UsageError, match="xml"):
        render(plan, "xml", PRICE, GRID)
