import math

import numpy as np
import pytest

from harness.analysis.statistics.advice import PLANNED, Effort, advise, power, required_effort
from harness.analysis.statistics.ratios import PairedRounds, Ratio, paired_ratio
from harness.analysis.statistics.variance.model import Location, Part


def _ratio(value: float, location: Location | None) -> Ratio:
    return Ratio(value, 0.9, 1.2, 0.95, "by hand", 22, "torch", "speed-up", p=0.2, location=location)


def test_the_power_is_that_of_the_noncentral_t() -> None:
    """Rounds of 10 %, surely known: 100 of them find 5 % (5 standard errors) nearly always, 4 rarely.

    With 100 rounds the standard error is 1 %, and at 1 % the critical distance is 2.58: of 3.37 the power is
    P(z > 2.58 - 3.37) = 0.79.
    """
    sure = Location(0.0, Part(0.01 / 100, 1e6), (), 100, 1)
    assert power(sure, math.exp(0.0337), Effort(1, 100), level=0.01) == pytest.approx(0.79, abs=0.01)
    assert power(sure, 1.05, Effort(1, 100), level=0.01) > 0.98
    assert power(sure, 1.05, Effort(1, 4), level=0.01) < 0.1


def test_rounds_are_advised_where_rounds_are_lacking() -> None:
    """Launches hardly differ."""
    noisy = Location(0.05, Part(0.01 / 10, 9), (Part(1e-6, 30),), 10, 1)
    effort = required_effort(noisy, 1.05, level=0.01)
    assert effort is not None
    assert effort.total > 40
    assert effort.rounds >= 40


def test_launches_are_advised_where_launches_are_lacking() -> None:
    """Two processes differ by 3 %, which no number of rounds averages out."""
    apart = Location(0.05, Part(1e-6, 9), (Part(9e-4, 30),), 10, 1)
    effort = required_effort(apart, 1.05, level=0.01)
    assert effort is not None
    assert effort.launches > 3
    assert effort.rounds <= 10


def test_no_effort_is_advised_where_none_is_enough() -> None:
    """Rounds that spread by a factor of two do not tell 0.1 %."""
    wild = Location(0.001, Part(0.5, 5), (), 10, 1)
    assert required_effort(wild, 1.001, level=0.01) is None
    assert (
        advise(_ratio(1.05, wild)) == "no practical number of rounds would tell: measure on a quieter machine"
    )


def test_the_advice_names_its_options_and_the_difference_it_is_about() -> None:
    """The one that was seen, or 5 % where that is within the tolerance."""
    noisy = Location(0.05, Part(0.01 / 10, 9), (Part(1e-6, 30),), 10, 1)
    seen, unseen = advise(_ratio(1.06, noisy)), advise(_ratio(1.001, noisy))
    assert "would find a difference of this size in 80 % of cases" in seen
    assert f"would find a difference of {100 * (PLANNED - 1):.0f} % in 80 % of cases" in unseen
    assert "--rounds " in seen
    assert "--launches 1" in seen
    assert advise(_ratio(1.05, None)).startswith("no practical number of rounds")


def test_advice_comes_true_in_about_four_of_five_simulated_cases() -> None:
    """Eleven rounds of 5 % do not find 5 %: what they advise does, in 70 to 95 % of fresh draws."""
    random = np.random.default_rng(5)
    came_true = []
    for _ in range(150):
        first = paired_ratio(
            PairedRounds(np.exp(0.05 + 0.05 * random.standard_normal(11)), [0] * 11, "torch")
        )
        assert first.location is not None
        effort = required_effort(first.location, 1.05, level=0.01)
        if effort and (first.p or 0) > 0.01:
            drawn = np.exp(0.05 + 0.05 * random.standard_normal(effort.total))
            launches = np.repeat(range(effort.launches), effort.rounds).tolist()
            came_true.append((paired_ratio(PairedRounds(drawn, launches, "torch")).p or 0) <= 0.01)
    assert 0.7 <= np.mean(came_true) <= 0.95
