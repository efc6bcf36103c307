"""The cost of a machine and the emissions of its energy: products, each printed with its factors.

A price is for the whole machine that was measured: to rent another, use its price. A grid's intensity is for
one place and time: for a machine elsewhere, use the intensity there.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.common.errors import UsageError
from harness.common.json_types import JsonValue
from harness.records.estimate import Estimate

REQUESTS = 1e8
"""The paper's unit: costs of 100 million requests."""

_NS_PER_HOUR = 3600e9
UJ_PER_KWH = 3.6e12

PRICES_EXAMPLE = "Write YAML: `source: ...` and `usd_per_hour:` with a price for each machine's name."
GRID_EXAMPLE = "Write YAML: `source: ...` and `grams_per_kwh:` with a number."


@dataclass(frozen=True, slots=True)
class Price:
    """USD per hour of a machine, and the source of the price."""

    usd_per_hour: float
    source: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Grams of CO2 equivalent per kWh of electricity, and the source, with place and time."""

    grams_per_kwh: float
    source: str


AZURE_F16S_V2 = Price(0.677, "Azure F16s_v2, 16 vCPU, 32 GB; as in the FastFormers paper's cost column, 2020")
"""Derived from Table 3 of the paper: at this price its times give each of its costs, to the dollar."""

DEFAULT_PRICE = AZURE_F16S_V2


def price_of(usd_per_hour: float | None) -> Price:
    """Return the user's own price, or the default for None; raises UsageError unless it is above zero."""
    if usd_per_hour is None:
        return DEFAULT_PRICE
    if not (math.isfinite(usd_per_hour) and usd_per_hour > 0):
        raise UsageError(
            f"--price-per-hour must be above zero, got {usd_per_hour:g}.", remedy="Give USD per hour."
        )
    return Price(usd_per_hour, "--price-per-hour")


def prices_of(price_list: object, where: str) -> tuple[Price, ...]:
    """Return the prices of a parsed YAML price list; raises UsageError at `where` for anything else."""
    return tuple(prices_by_name(price_list, where).values())


def prices_by_name(price_list: object, where: str) -> dict[str, Price]:
    """Return the prices of a parsed YAML price list by machine; UsageError at `where` for anything else."""
    fields = checked_fields(price_list, ["usd_per_hour"], "a price list", where, PRICES_EXAMPLE)
    machines = fields.get("usd_per_hour")
    if not isinstance(machines, Mapping) or not machines:
        raise UsageError("the price list has no prices.", where=where, remedy=PRICES_EXAMPLE)
    source = source_of(fields, where)
    return {
        str(name): Price(positive(price, f"the price of {name}", where), f"{name}; {source}")
        for name, price in machines.items()
    }


def grid_of(intensity: object, where: str) -> Grid:
    """Return the intensity of a grid from parsed YAML; raises UsageError at `where` for anything else."""
    fields = checked_fields(intensity, ["grams_per_kwh"], "the intensity of a grid", where, GRID_EXAMPLE)
    return Grid(positive(fields.get("grams_per_kwh"), "grams_per_kwh", where), source_of(fields, where))


def usd(ns_per_request: float, price: Price) -> float:
    """Return USD for 100 million requests that follow one another on the whole machine."""
    return ns_per_request * REQUESTS / _NS_PER_HOUR * price.usd_per_hour


def usd_of(time: Estimate, price: Price) -> Estimate:
    """Return USD with the interval of the time, which is in nanoseconds per request."""
    return scaled(time, usd(1.0, price), "the price")


def kwh_of(energy: EnergyEstimate) -> Estimate:
    """Return kWh for 100 million requests."""
    return scaled(energy.microjoules, REQUESTS / UJ_PER_KWH, "100 million")


def kg_of(energy: EnergyEstimate, grid: Grid) -> Estimate:
    """Return kilograms of CO2 equivalent for 100 million requests."""
    factor = REQUESTS / UJ_PER_KWH * grid.grams_per_kwh / 1e3
    return scaled(energy.microjoules, factor, "the grid's intensity")


def scaled(estimate: Estimate, factor: float, factor_name: str) -> Estimate:
    """Return an estimate and its interval times a factor."""
    ends = (factor * estimate.value, factor * estimate.low, factor * estimate.high)
    return Estimate(*ends, estimate.confidence, _times(estimate.method, factor_name), estimate.count)


@lru_cache(maxsize=64)
def _times(method: str, factor_name: str) -> str:
    """Return the name of a method; thousands of estimates share the text."""
    return f"{method}, times {factor_name}"


def checked_fields(
    document: object, names: Collection[str], kind: str, where: str, example: str
) -> Mapping[str, JsonValue]:
    """Return a mapping with no other fields than `source` and these; UsageError at `where` for another."""
    if not isinstance(document, Mapping) or set(document) - {"source", *names}:
        raise UsageError(f"not {kind}.", where=where, remedy=example)
    return document


def positive(number: JsonValue, name: str, where: str) -> float:
    """Return a number above zero; UsageError at `where` for anything else."""
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not (is_number and math.isfinite(number) and number > 0):
        raise UsageError(f"{name} must be a number above zero, got {number!r}.", where=where)
    return float(number)


def source_of(fields: Mapping[str, JsonValue], where: str) -> str:
    """Return the source of figures; UsageError at `where` without one."""
    source = fields.get("source")
    if not isinstance(source, str) or not source.strip():
        raise UsageError(
            "the source of the figures is missing.", where=where, remedy="Add a line `source: ...`."
        )
    return source.strip()
