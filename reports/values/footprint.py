"""What a request costs beyond money and electricity: embodied emissions, water, and both forms of carbon.

    embodied = emissions of making the server x its share that is rented x time of a request / lifetime
    water    = kWh x litres per kWh
    SCI      = E x I + M, per request          (Software Carbon Intensity, ISO/IEC 21031:2024)

E is the energy of a request, I the grid's intensity, M its embodied emissions. Each is a product of factors
that the user gives with their source; none is guessed.
"""

from dataclasses import dataclass, replace

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.common.errors import UsageError
from harness.records.estimate import Estimate
from reports.values.prices import (
    DEFAULT_PRICE,
    REQUESTS,
    UJ_PER_KWH,
    Grid,
    Price,
    checked_fields,
    positive,
    scaled,
    source_of,
)

SECONDS_PER_YEAR = 365 * 24 * 3600.0

EMBODIED_EXAMPLE = (
    "Write YAML: `source: ...`, `kg_co2e:` of making the server, `lifetime_years:`, and `share:` of the "
    "server that the machine is (1 for all of it)."
)
WATER_EXAMPLE = "Write YAML: `source: ...` and `litres_per_kwh:` with a number."


@dataclass(frozen=True, slots=True)
class Embodied:
    """Emissions of making a server, the years it is used, the share of it that is rented, and the source."""

    kg_co2e: float
    lifetime_years: float
    share: float
    source: str

    @property
    def grams_per_second(self) -> float:
        """Grams of CO2 equivalent for each second of the machine."""
        return 1e3 * self.kg_co2e * self.share / (self.lifetime_years * SECONDS_PER_YEAR)


@dataclass(frozen=True, slots=True)
class Water:
    """Litres of water per kWh of electricity, and the source, with what it covers."""

    litres_per_kwh: float
    source: str


def embodied_of(document: object, where: str) -> Embodied:
    """Return the embodied emissions of parsed YAML; raises UsageError at `where` for anything else."""
    names = ("kg_co2e", "lifetime_years", "share")
    fields = checked_fields(document, names, "embodied emissions", where, EMBODIED_EXAMPLE)
    kg_co2e, years, share = (positive(fields.get(name), name, where) for name in names)
    if share > 1:
        raise UsageError(
            f"share must be at most 1, got {share:g}.",
            where=where,
            remedy="Write the rented share of the server.",
        )
    return Embodied(kg_co2e, years, share, source_of(fields, where))


def water_of(document: object, where: str) -> Water:
    """Return the water per kWh of parsed YAML; raises UsageError at `where` for anything else."""
    fields = checked_fields(document, ["litres_per_kwh"], "a use of water", where, WATER_EXAMPLE)
    return Water(positive(fields.get("litres_per_kwh"), "litres_per_kwh", where), source_of(fields, where))


def embodied_kg_of(time: Estimate, embodied: Embodied) -> Estimate:
    """Return kilograms of CO2 equivalent for 100 million requests; the time is in nanoseconds a request."""
    return scaled(
        time, REQUESTS / 1e9 * embodied.grams_per_second / 1e3, "the emissions of making the server"
    )


def litres_of(energy: EnergyEstimate, water: Water) -> Estimate:
    """Return litres of water for 100 million requests."""
    return scaled(energy.microjoules, REQUESTS / UJ_PER_KWH * water.litres_per_kwh, "litres per kWh")


def sci_of(energy: EnergyEstimate, time: Estimate, grid: Grid, embodied: Embodied) -> Estimate:
    """Return micrograms of CO2 equivalent for one request: E x I + M.

    Its interval adds the ends of both intervals: it holds where both hold.
    """
    used = scaled(energy.microjoules, 1e6 / UJ_PER_KWH * grid.grams_per_kwh, "the grid's intensity")
    made = scaled(time, 1e6 / 1e9 * embodied.grams_per_second, "embodied emissions")
    return replace(
        used,
        value=used.value + made.value,
        low=used.low + made.low,
        high=used.high + made.high,
        method=f"{used.method}, plus embodied emissions by {time.method}",
        count=min(used.count, made.count),
    )


@dataclass(frozen=True, slots=True)
class CostFactors:
    """The factors of time and energy: prices, of which ladders use the first, a grid, a server, water."""

    prices: tuple[Price, ...] = (DEFAULT_PRICE,)
    grid: Grid | None = None
    embodied: Embodied | None = None
    water: Water | None = None
