"""The capacity plan as text, Markdown, a page and JSON: costs by hand, absent values with their reasons."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hostile import HOSTILE
from quick_plans import few_requests
from records import a_record

from harness.analysis.capacity.demand import constant_demand
from harness.analysis.capacity.energy import DayEnergy
from harness.analysis.capacity.machine_types import MachineType, always_busy_usd
from harness.analysis.capacity.plan import CapacityPlan, PlanOptions, PlanRow, Refusal, make_plan
from harness.analysis.capacity.service_times import ServiceTimes
from harness.analysis.capacity.sizing import Latency, Objective, Sizing
from harness.analysis.capacity.validation import ValidatedLoad
from harness.common.errors import UsageError
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.documents.capacity import plots, render
from reports.documents.capacity_values import cost_of, front_of
from reports.plots import as_svg, data_csv
from reports.values.prices import AZURE_F16S_V2, Grid

GRID = Grid(100.0, "a grid")
MEASURED = MachineType("", 0.5, "a list")

TABLE_3 = {
    "fixed": (734.35, 4223),
    "dynamic": (209.29, 1204),
    "distilled": (22.50, 129),
    "int8": (9.97, 57),
    "multi-instance": (5.68, 33),
    "pruned-9h-900": (4.11, 24),
    "pruned-8h-600": (3.14, 18),
}
"""Seconds for 3,270 questions, and USD for 100 million: Kim and Hassan Awadalla 2020, Table 3."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    few_requests(monkeypatch)


def an_estimate(value: float) -> Estimate:
    return Estimate(value, 0.9 * value, 1.1 * value, 0.95, "m", 7)


def a_row(variant: str, machines: int, **changes: Any) -> PlanRow:
    record = a_record()
    record = record.model_copy(
        update={"cell": record.cell.model_copy(update={"variant": variant, "id": f"boolq-{variant}"})}
    )
    service = ServiceTimes(record, (np.array([0.010]),), 1, 700)
    facts: dict[str, Any] = {
        "measured": service,
        "service": service,
        "machine": MEASURED,
        "sizing": Sizing(machines, "90 % busy at the peak, above the headroom of 70 %"),
        "machines": machines,
        "latency": Latency(
            {50.0: an_estimate(0.010), 90.0: an_estimate(0.020), 99.0: an_estimate(0.040)}, 0.6
        ),
        "day_p99_s": 0.035,
        "energy": DayEnergy(3.6e6, 7.2e6, "measured", "RAPL"),
        "next_cheaper": f"{machines - 1} machines: 90 % busy at the peak, above the headroom of 70 %",
    }
    return PlanRow(**facts | changes)


def a_plan(*rows: PlanRow) -> CapacityPlan:
    record = a_record("slowest")
    refusal = Refusal(record, "p99 is 60 ms without any queue, above 50 ms", always_busy_usd=833.0)
    return CapacityPlan(
        rows, (refusal,), constant_demand(100.0), PlanOptions(Objective(99, 0.050), (MEASURED,))
    )


def test_costs_by_hand() -> None:
    """Two machines of 0.50 USD: 24 USD a day; of 8.64 M requests; 3 kWh at 100 g."""
    row = a_row("fast", 2)
    cost = cost_of(row, a_plan(row), GRID)
    assert cost.usd_per_day == 24
    assert cost.usd_per_month == pytest.approx(24 * 365.25 / 12)
    assert cost.usd_per_100m == pytest.approx(24 / 8.64e6 * 1e8)
    assert cost.kg_per_day == pytest.approx(0.3)
    assert cost.kg_per_month == pytest.approx(0.3 * 365.25 / 12)
    assert cost.kg_per_100m == pytest.approx(0.3 / 8.64e6 * 1e8)


@pytest.mark.parametrize(("seconds", "cost"), TABLE_3.values())
def test_every_cost_of_the_paper_follows_from_its_time_and_price(seconds: float, cost: int) -> None:
    """To the dollar, on machines that never wait."""
    assert round(always_busy_usd(seconds / 3270, AZURE_F16S_V2.usd_per_hour)) == cost


def test_a_plan_gives_the_papers_two_figures() -> None:
    """FastFormers: 100 million requests for 4,223 USD with the first rung, and for 18 USD with the last.

    The records have the paper's times. The first rung cannot keep 50 ms, and its cost is stated all the same.
    """
    base = a_record(wall_ms=(500.0,) * 7)
    names = ("fixed", "pruned-8h-600")
    cells = [
        base.cell.model_copy(update={"variant": name, "id": name, "scenario": "single-stream"})
        for name in names
    ]

    def samples(record: Record) -> dict[str, Any]:
        call_ns = TABLE_3[record.cell.variant][0] / 3270 * 1e9
        rounds = np.repeat(np.arange(7), 100)
        return {"call_ns": np.full(700, call_ns), "call_round": rounds, "timed_example": np.arange(700)}

    azure = MachineType("", AZURE_F16S_V2.usd_per_hour, AZURE_F16S_V2.source)
    records = [base.model_copy(update={"cell": cell}) for cell in cells]
    demand = constant_demand(1e8 / 86_400)
    plan = make_plan(records, samples, demand, PlanOptions(Objective(99, 0.050), (azure,)))
    assert [row.record.cell.variant for row in plan.rows] == ["pruned-8h-600"]
    text = render(plan, "markdown", None)
    assert "100 million requests cost 4,223 USD with fixed and 18 USD with pruned-8h-600" in text


def test_the_text_states_what_was_refused_and_every_factor() -> None:
    """In Markdown, where no cell is folded."""
    text = " ".join(render(a_plan(a_row("fast", 2), a_row("slow", 4)), "markdown", GRID).split())
    for part in (
        "Machines for 100 requests a second, all day, with p99 at most 50 ms",
        "1 machines: 90 % busy at the peak, above the headroom of 70 %",
        "They are computed, not measured",
        "one like the measured 0.5 (a list)",
        "100 g CO2e per kWh (a grid)",
        "p99 is 60 ms without any queue, above 50 ms.",
        "measured busy MJ/day",
        "The dearest that keeps it, slow (1 x 2 threads), needs 4 machines",
    ):
        assert part in text


def test_the_verdict_states_the_percentile_of_the_objective() -> None:
    """p90 at most 50 ms, and its own figure; one machine is no plural."""
    plan = a_plan(a_row("fast", 1), a_row("slow", 1))
    plan = replace(plan, options=PlanOptions(Objective(90, 0.050), (MEASURED,)))
    verdict = json.loads(render(plan, "json", None))["verdict"]
    assert "with p90 at most 50 ms on 1 machine, 60 % busy" in verdict
    assert "Computed there: p90 20.0 ms, 18.0 ms to 22.0 ms" in verdict
    assert "slow (1 x 2 threads), needs 1 machine and" in verdict


def test_energy_that_is_unknown_is_no_number() -> None:
    """Neither are the kilograms that follow from it."""
    energy = DayEnergy(1.0, Unavailable("idle power was not measured"), "modelled", "CPU time")
    fields = json.loads(render(a_plan(a_row("fast", 2, energy=energy)), "json", GRID))
    (row,) = fields["rows"]
    assert row["energy"]["idle_j_per_day"] == "unavailable, because idle power was not measured"
    assert row["kg_co2e_per_day"].startswith("unavailable, because the energy of waiting machines")


def test_json_has_the_plan() -> None:
    """With its front: the slower variant with more machines is dominated."""
    fields = json.loads(render(a_plan(a_row("fast", 2), a_row("slow", 4)), "json", None))
    assert [(row["variant"], row["machines"], row["on_front"]) for row in fields["rows"]] == [
        ("fast", 2, True), ("slow", 4, False),
    ]  # fmt: skip
    assert fields["demand"]["requests_per_day"] == 8_640_000
    assert fields["refused"][0]["usd_per_100m_requests_always_busy"] == 833.0


def test_a_dearer_row_is_on_the_front_if_it_answers_sooner() -> None:
    """Quality, cost and p99: none of the two is worse in all."""
    sooner = replace(a_row("slow", 4).latency, percentiles={99.0: an_estimate(0.030)})
    plan = a_plan(a_row("fast", 2), a_row("slow", 4, latency=sooner))
    assert [row.record.cell.variant for row in front_of(plan)] == ["fast", "slow"]


def test_an_interval_without_an_end_says_so() -> None:
    """Some resampled rounds keep the servers busy all the time."""
    percentiles = {99.0: replace(an_estimate(0.040), high=float("inf"))}
    row = a_row("fast", 2, latency=Latency(percentiles, 0.6))
    assert "endless]" in render(a_plan(row), "markdown", None)
    assert "endless]" in render(a_plan(row), "html", None)
    (fields,) = json.loads(render(a_plan(row), "json", None))["rows"]
    assert fields["latency_s"]["p99"]["high"] is None


def test_the_page_opens_with_the_answer_and_folds_the_rest() -> None:
    """Headline, tiles, plot and one table; the others are details. Nothing is loaded from elsewhere."""
    page = render(a_plan(a_row("fast", 2), a_row("slow", 4)), "html", GRID)
    head, _, folded = page.partition("<details id=")
    assert '<h1 id="headline">fast on 2 machines: 24 USD a day</h1>' in head
    for part in ("p99 at the peak, computed", "USD for 100 million requests", "<svg ", "next cheaper choice"):
        assert part in head, part
    for part in ("Energy, money and carbon", "Left out", "Method", "Records (3)"):
        assert part in folded, part
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_text_on_the_page(text: str) -> None:
    """No markup of theirs."""
    page = render(a_plan(a_row(text, 2)), "html", None)
    assert "<script>alert" not in page
    assert "<img" not in page


def test_the_plot_has_a_point_for_each_choice_with_its_p99() -> None:
    """Cost for 100 million requests by hand: 2 machines of 0.5 USD for 8.64 M requests a day."""
    (plot,) = plots(a_plan(a_row("fast", 2), a_row("slow", 4)))
    assert plot.columns[1] == "USD for 100 million requests"
    assert plot.rows[0][1] == pytest.approx(24 / 8.64e6 * 1e8)
    assert [row[-1] for row in plot.rows] == ["yes", "no"]
    assert as_svg(plot) == as_svg(plot)
    assert "\nfast," in data_csv(plot)


def test_without_quality_the_plot_is_of_latency() -> None:
    """An untrained model has none."""
    row = a_row("fast", 2)
    untrained = row.record.model_copy(update={"quality": None})
    service = replace(row.measured, record=untrained)  # type: ignore[type-var]
    (plot,) = plots(a_plan(replace(row, measured=service, service=service)))
    assert plot.columns[2] == "p99 at the peak, ms"


def a_load(**changes: Any) -> ValidatedLoad:
    facts: dict[str, Any] = {
        "rate": 30.0,
        "utilisation": 0.3,
        "busy": 0.31,
        "source": "server at 25/s (26 % busy)",
        "percent": 99.0,
        "predicted": an_estimate(0.040),
        "window": an_estimate(0.038),
        "measured": 0.039,
        "agreeing": 18,
        "expected": 0.76,
        "covered": 19,
        "windows": 20,
        "requests": 1408,
        "run": "r2",
    }
    return ValidatedLoad(**facts | changes)


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_predicted_and_measured_stand_side_by_side(form: str) -> None:
    """With how many windows agree, and the coverage of the interval."""
    rendered = render(a_plan(a_row("fast", 2)), form, None, (a_load(),), width=400)
    assert "\n|  |" not in rendered  # a grid without columns
    text = " ".join(rendered.split())
    for part in (
        "Predicted and measured: fast (1 x 2 threads) in run r2",
        "18 of 20",
        "15 of 20",
        "19 of 20, 95 %",
    ):
        assert part in text


def test_a_load_whose_requests_took_longer_names_the_run_to_plan_by() -> None:
    """45 % busy where 30 % were predicted: 1.5 times as long; 31 % is within the tolerance."""
    sentence = "At 30.0 requests/s a request took 1.50 times as long as in server at 25/s (26 % busy)"
    plan = a_plan(a_row("fast", 2))
    assert sentence in " ".join(render(plan, "text", None, (a_load(busy=0.45),), width=400).split())
    assert "times as long" not in render(plan, "text", None, (a_load(),), width=400)


def test_windows_that_do_not_show_how_busy_they_were_say_why() -> None:
    """A pool that answers out of order, for instance."""
    reason = "its requests were not served in their order of arrival"
    loads = (a_load(busy=Unavailable(reason)),)
    assert f"because {reason}" in " ".join(
        render(a_plan(a_row("fast", 2)), "text", None, loads, width=400).split()
    )
    assert (
        reason in json.loads(render(a_plan(a_row("fast", 2)), "json", None, loads))["validation"][0]["busy"]
    )


def test_another_format_is_refused() -> None:
    """With the formats that there are."""
    plan = a_plan(a_row("fast", 2))
    with pytest.raises(UsageError, match="xml"):
        render(plan, "xml", GRID)
