"""What a machine costs and its energy emits: multiplications, each printed with its factor.

A price is for the whole machine that was measured: where another is rented, name its price. A grid's
intensity is of a place and a time: where the machine stands elsewhere, name that place.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.common.errors import UsageError
from harness.records.estimate import Estimate

REQUESTS = 1e8
"""The paper's unit: costs are of 100 million requests."""

_NS_PER_HOUR = 3600e9
_UJ_PER_KWH = 3.6e12

PRICES_EXAMPLE = "It is YAML: `source: ...` and `usd_per_hour:` with a price for each machine's name."
GRID_EXAMPLE = "It is YAML: `source: ...` and `grams_per_kwh:` with a number."


@dataclass(frozen=True, slots=True)
class Price:
    """USD for an hour of a machine, and whose price it is."""

    usd_per_hour: float
    source: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Grams of CO2 equivalent for a kWh of electricity, and where and when that holds."""

    grams_per_kwh: float
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


def prices_of(words: object, where: str) -> tuple[Price, ...]:
    """Return the prices of a price list as YAML holds it; UsageError, naming `where`, for anything else."""
    if not isinstance(words, Mapping) or set(words) - {"source", "usd_per_hour"}:
        raise UsageError("not a price list.", where=where, remedy=PRICES_EXAMPLE)
    machines = words.get("usd_per_hour")
    if not isinstance(machines, Mapping) or not machines:
        raise UsageError("the price list has no price.", where=where, remedy=PRICES_EXAMPLE)
    source = _source(words, where)
    return tuple(
        Price(_positive(price, f"the price of {name}", where), f"{name}; {source}")
        for name, price in machines.items()
    )


def grid_of(words: object, where: str) -> Grid:
    """Return a grid's intensity as YAML holds it; UsageError, naming `where`, for anything else."""
    if not isinstance(words, Mapping) or set(words) - {"source", "grams_per_kwh"}:
        raise UsageError("not the intensity of a grid.", where=where, remedy=GRID_EXAMPLE)
    return Grid(_positive(words.get("grams_per_kwh"), "grams_per_kwh", where), _source(words, where))


def usd(ns_per_request: float, price: Price) -> float:
    """Return USD for 100 million requests that follow one another on the whole machine."""
    return ns_per_request * REQUESTS / _NS_PER_HOUR * price.usd_per_hour


def usd_of(time: Estimate, price: Price) -> Estimate:
    """Return the same with the interval of the time, which is nanoseconds per request."""
    return _times(time, usd(1.0, price), "the price")


def kwh_of(energy: EnergyEstimate) -> Estimate:
    """Return kWh for 100 million requests."""
    return _times(energy.microjoules, REQUESTS / _UJ_PER_KWH, "100 million")


def kg_of(energy: EnergyEstimate, grid: Grid) -> Estimate:
    """Return kilograms of CO2 equivalent for 100 million requests."""
    factor = REQUESTS / _UJ_PER_KWH * grid.grams_per_kwh / 1e3
    return _times(energy.microjoules, factor, "the grid's intensity")


def _times(found: Estimate, factor: float, what: str) -> Estimate:
    value, low, high = (factor * number for number in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high, method=f"{found.method}, times {what}")


def _positive(found: Any, what: str, where: str) -> float:  # noqa: ANN401 -- whatever the user's file holds
    number = isinstance(found, int | float) and not isinstance(found, bool)
    if not (number and math.isfinite(found) and found > 0):
        raise UsageError(f"{what} is no number above zero: {found!r}.", where=where)
    return float(found)


def _source(words: Mapping[str, Any], where: str) -> str:
    source = words.get("source")
    if not isinstance(source, str) or not source.strip():
        raise UsageError(
            "it does not say whose figures these are.", where=where, remedy="Add a line `source: ...`."
        )
    return source.strip()
