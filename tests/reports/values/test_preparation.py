from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import a_step

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.ratios import Ratio
from harness.records.estimate import Estimate, Unavailable
from reports.values.preparation import (
    BreakEven,
    Joules,
    break_even,
    energy_break_even,
    money_break_even,
    preparation_cost,
)

MEASURED = ("measured", "package", "powercap")


def an_estimate(value: float) -> Estimate:
    return Estimate(value, value, value, 0.95, "median of rounds", 7)


def an_energy(joules: float, grade: Any = "measured") -> EnergyEstimate:
    return EnergyEstimate(an_estimate(joules * 1e6), grade, "package", "powercap")


def a_ratio(value: float, low: float | None = None, high: float | None = None) -> Ratio:
    ends = (value if low is None else low, value if high is None else high)
    return Ratio(value, *ends, 0.95, "median", 7, over="fixed", quantity="speed-up")


def test_the_steps_of_a_preparation_add_up() -> None:
    """100 s at 20 W and 50 s of 300 J: 150 s, 2,300 J."""
    cost = preparation_cost({"preparation": [a_step("distil", 100.0), a_step("prune", 50.0, 300.0)]})
    assert cost.seconds == 150
    assert cost.energy == Joules(2300.0, MEASURED)


def test_a_step_counts_once() -> None:
    """The same key is the same artifact."""
    cost = preparation_cost({"preparation": [a_step("a", 100.0), a_step("b", 1.0), a_step("a", 100.0)]})
    assert cost.seconds == 101


def test_no_steps_are_no_time_and_no_joules() -> None:
    """The user's own model needs no preparation: its cost is zero, not absent."""
    cost = preparation_cost({"preparation": []})
    assert cost.seconds == 0
    assert cost.energy == Joules(0.0, None)


def test_zones_of_a_step_are_summed_as_readings_are() -> None:
    """Two packages are one machine; a zone within another is not counted twice by `total`."""
    two = a_step("distil", 10.0)["energy"] + a_step("distil", 10.0, zone="package-1")["energy"]
    cost = preparation_cost({"preparation": [{**a_step("distil", 10.0), "energy": two}]})
    assert isinstance(cost.energy, Joules)
    assert cost.energy.value == 400


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({}, "its preparation was not recorded"),
        ({"preparation": "none"}, "its preparation was not recorded"),
        ({"preparation": [3]}, "its preparation was not recorded"),
    ],
)
def test_a_manifest_without_steps_leaves_both_unknown(manifest: dict[str, Any], reason: str) -> None:
    """An artifact of an older version has unknown costs, not zero."""
    cost = preparation_cost(manifest)
    assert cost.seconds == cost.energy == Unavailable(reason)


@pytest.mark.parametrize(
    ("energy", "reason"),
    [
        ("unavailable, because nobody measured it", "nobody measured it"),
        (None, "no meter was read"),
        ([], "no meter was read"),
        ([{"zone": "package-0"}], "the energy of a step cannot be read"),
        (7, "the energy of a step cannot be read"),
        (a_step("x", 1.0, -5.0)["energy"], "the energy of a step cannot be read"),
        (
            a_step("x", 1.0, microjoules=None, grade="unavailable", reason="permission was denied")["energy"],
            "package-0: permission was denied",
        ),
    ],
)
def test_one_step_without_joules_leaves_no_sum(energy: Any, reason: str) -> None:
    """Without the energy of a training there is no sum of joules; the seconds are still known."""
    cost = preparation_cost(
        {"preparation": [a_step("distil", 5.0), {**a_step("prune", 5.0), "energy": energy}]}
    )
    assert cost.energy == Unavailable(reason)
    assert cost.seconds == 10


def test_steps_of_different_grades_have_no_sum() -> None:
    """A student that was distilled on another machine may have another meter."""
    steps = [a_step("distil", 5.0), a_step("prune", 5.0, grade="modelled")]
    cost = preparation_cost({"preparation": steps})
    assert cost.energy == Unavailable("its steps were read by different meters or at different grades")


@pytest.mark.parametrize("seconds", [None, "long", -1.0, float("nan")])
def test_a_step_without_a_time_leaves_the_time_unknown(seconds: Any) -> None:
    """It is not estimated."""
    cost = preparation_cost({"preparation": [{**a_step("distil", 5.0), "seconds": seconds}]})
    assert cost.seconds == Unavailable("the time of a step was not recorded")


@pytest.mark.parametrize(
    ("cost", "saved", "requests"),
    [
        (3600.0, 0.018, 200_000),  # 3,600 / 0.018, which is slightly larger in floating point
        (10.0, 3.0, 4),  # after 3 requests 9 are saved
        (0.0, 0.5, 0),  # no cost is paid for at once
        (0.0, 0.0, None),
        (10.0, 0.0, None),
        (10.0, -0.5, None),
        (10.0, float("nan"), None),
        (1e300, 1e-300, None),
    ],
)
def test_break_even_is_the_least_number_of_requests_that_save_the_cost(
    cost: float, saved: float, requests: int | None
) -> None:
    """Without a saving there is none."""
    assert break_even(cost, saved) == BreakEven(requests)


@given(st.just(0.0) | st.floats(1e-6, 1e12), st.floats(-1e9, 1e9))
def test_break_even_is_never_negative_and_covers_the_cost(cost: float, saved: float) -> None:
    """For any saving and cost; one request fewer would not cover it."""
    requests = break_even(cost, saved).requests
    if requests is None:
        return
    assert requests >= 0
    assert saved > 0
    assert requests * saved >= cost * (1 - 1e-9)
    assert max(requests - 1, 0) * saved <= cost * (1 + 1e-9)


def test_joules_break_even_by_the_saving_over_the_first_rung() -> None:
    """72,000 J over 0.40 - 0.04 J per request: 200,000 requests."""
    cost = preparation_cost({"preparation": [a_step("distil", 3600.0)]})
    requests = energy_break_even(cost, an_energy(0.04), an_energy(0.4), a_ratio(10))
    assert requests == BreakEven(200_000)


def test_money_breaks_even_by_machine_time() -> None:
    """3,600 s over 20 - 2 ms per request: 200,000 requests, at any price; a slower rung never does."""
    cost = preparation_cost({"preparation": [a_step("distil", 3600.0)]})
    assert money_break_even(cost, an_estimate(2e6), an_estimate(20e6), a_ratio(10)) == BreakEven(200_000)
    assert money_break_even(cost, an_estimate(30e6), an_estimate(20e6), a_ratio(0.67)) == BreakEven(None)


def test_joules_of_different_kinds_are_not_compared() -> None:
    """Modelled in preparation and measured per request: the reason names the grade."""
    cost = preparation_cost({"preparation": [a_step("distil", 3600.0, grade="modelled")]})
    refused = energy_break_even(cost, an_energy(0.04), an_energy(0.4), a_ratio(10))
    assert isinstance(refused, NotComparable)
    assert refused.field == "grade"
    assert (
        refused.reason == "the grade of the energy differs: modelled in preparation and measured per request"
    )


def test_a_saving_that_is_too_noisy_has_no_break_even() -> None:
    """The interval includes both no change and 40 %: the quotient would be noise."""
    cost = preparation_cost({"preparation": [a_step("distil", 3600.0)]})
    noisy = a_ratio(1.1, 0.9, 1.4)
    for requests in (
        energy_break_even(cost, an_energy(0.36), an_energy(0.4), noisy),
        money_break_even(cost, an_estimate(18e6), an_estimate(20e6), noisy),
    ):
        assert requests == Unavailable("it is too noisy to say whether it saves anything")


def test_an_absent_break_even_keeps_its_reason() -> None:
    """Of the preparation, of the ratio, of either rung."""
    cost = preparation_cost({"preparation": [a_step("distil", 3600.0)]})
    absent, refused = Unavailable("no meter was read"), NotComparable("the seed differs: 0 and 1", "seed")
    assert energy_break_even(preparation_cost({}), an_energy(1), an_energy(2), a_ratio(2)) == Unavailable(
        "its preparation was not recorded"
    )
    assert energy_break_even(cost, an_energy(1), an_energy(2), refused) == refused
    assert energy_break_even(cost, absent, an_energy(2), a_ratio(2)) == absent
    assert energy_break_even(cost, an_energy(1), absent, a_ratio(2)) == absent
    assert money_break_even(cost, absent, an_estimate(2), a_ratio(2)) == absent
    assert money_break_even(cost, an_estimate(1), absent, a_ratio(2)) == absent
