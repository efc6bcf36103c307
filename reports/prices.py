"""What a machine costs, and what requests cost on it: money is a multiplication, printed with its factor.

A price is for the whole machine that was measured: where another is rented, name its price.
"""

import math
from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.estimate import Estimate

REQUESTS = 1e8
"""The paper's unit: costs are of 100 million requests."""

_NS_PER_HOUR = 3600e9


@dataclass(frozen=True, slots=True)
class Price:
    """USD for an hour of a machine, and whose price it is."""

    usd_per_hour: float
    source: str


AZURE_F16S_V2 = Price(0.677, "Azure F16s_v2, 16 vCPU, 32 GB; as in the FastFormers paper's cost column, 2020")
"""Worked out from Table 3 of the paper: at this price its times give each of its costs, to the dollar."""

DEFAULT_PRICE = AZURE_F16S_V2


def price_of(usd_per_hour: float | None) -> Price:
    """Return the user's own price, or the default; UsageError unless it is above zero."""
    if usd_per_hour is None:
        return DEFAULT_PRICE
    if not (math.isfinite(usd_per_hour) and usd_per_hour > 0):
        raise UsageError(
            f"--price-per-hour {usd_per_hour:g} is no price.", remedy="It is USD an hour, above zero."
        )
    return Price(usd_per_hour, "--price-per-hour")


def usd(ns_per_request: float, price: Price) -> float:
    """Return USD for 100 million requests that follow one another on the whole machine."""
    return ns_per_request * REQUESTS / _NS_PER_HOUR * price.usd_per_hour


def usd_of(time: Estimate, price: Price) -> Estimate:
    """Return the same with the interval of the time, which is nanoseconds per request."""
    value, low, high = (usd(ns, price) for ns in (time.value, time.low, time.high))
    return replace(time, value=value, low=low, high=high, method=f"{time.method}, times the price")
