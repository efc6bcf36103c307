import math

import pytest

from harness.common.errors import UsageError
from harness.records.estimate import Estimate
from reports.values.prices import AZURE_F16S_V2, Price, price_of, usd, usd_of


@pytest.mark.parametrize(
    ("seconds", "cost"),
    [(734.35, 4223), (209.29, 1204), (22.50, 129), (9.97, 57), (5.68, 33), (4.11, 24), (3.14, 18)],
)
def test_the_default_price_gives_the_costs_of_the_paper_to_the_dollar(seconds: float, cost: int) -> None:
    """Table 3: seconds over 3,270 questions, and USD for 100 million of them."""
    assert round(usd(seconds * 1e9 / 3270, AZURE_F16S_V2)) == cost


def test_a_cost_is_seconds_times_requests_times_the_price_of_an_hour() -> None:
    """36 ms x 100 million = 3.6 million seconds = 1,000 hours at 2 USD; the interval scales too."""
    time = Estimate(36e6, 18e6, 72e6, 0.95, "median of rounds", 7)
    cost = usd_of(time, Price(2.0, "a test"))
    assert (cost.value, cost.low, cost.high) == (2000, 1000, 4000)
    assert (cost.confidence, cost.count) == (0.95, 7)


def test_the_default_price_has_a_source_and_a_number_is_the_users() -> None:
    """Each has its source."""
    assert price_of(None) == AZURE_F16S_V2
    assert "Azure F16s_v2" in AZURE_F16S_V2.source
    assert "2020" in AZURE_F16S_V2.source
    assert price_of(1.25) == Price(1.25, "--price-per-hour")


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_not_above_zero_is_rejected(wrong: float) -> None:
    """A machine without cost would make every break-even immediate."""
    with pytest.raises(UsageError, match="must be above zero, got"):
        price_of(wrong)
