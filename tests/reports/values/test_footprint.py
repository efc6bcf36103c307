import pytest

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.common.errors import UsageError
from harness.records.estimate import Estimate
from reports.values.footprint import (
    Embodied,
    Water,
    embodied_kg_of,
    embodied_of,
    litres_of,
    sci_of,
    water_of,
)
from reports.values.prices import Grid

SERVER = Embodied(1261.44, 4.0, 0.5, "a data sheet")
"""1,261,440 g x 0.5 over 4 x 365 x 86,400 = 126,144,000 s: 5 mg a second."""

TIME = Estimate(36e6, 18e6, 72e6, 0.95, "median of rounds", 7)
ENERGY = EnergyEstimate(
    Estimate(3.6e6, 1.8e6, 7.2e6, 0.95, "median of rounds", 7), "measured", "package", "RAPL"
)


def test_embodied_emissions_are_those_of_the_rented_share_of_a_lifetime() -> None:
    """36 ms x 5 mg/s x 100 million are 18 kg; the interval scales too."""
    assert SERVER.grams_per_second == pytest.approx(0.005)
    kilograms = embodied_kg_of(TIME, SERVER)
    assert (kilograms.value, kilograms.low, kilograms.high) == pytest.approx((18, 9, 36))


def test_water_is_litres_for_each_kilowatt_hour() -> None:
    """3.6 J are a millionth of a kWh: 100 kWh of 100 million, at 1.8 litres."""
    litres = litres_of(ENERGY, Water(1.8, "our operator"))
    assert (litres.value, litres.low, litres.high) == pytest.approx((180, 90, 360))


def test_the_software_carbon_intensity_is_energy_times_intensity_plus_embodied() -> None:
    """1e-6 kWh x 50 g are 50 ug, and 36 ms x 5 mg/s are 180 ug; the ends of both intervals add up."""
    sci = sci_of(ENERGY, TIME, Grid(50.0, "a grid"), SERVER)
    assert (sci.value, sci.low, sci.high) == pytest.approx((230, 115, 460))
    assert "plus embodied emissions" in sci.method


def test_the_factors_are_read_with_their_source() -> None:
    """The format of the documentation."""
    document = {"source": "s", "kg_co2e": 1200, "lifetime_years": 4, "share": 0.25}
    assert embodied_of(document, "f.yaml") == Embodied(1200.0, 4.0, 0.25, "s")
    assert water_of({"source": "s", "litres_per_kwh": 1.8}, "f.yaml") == Water(1.8, "s")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "not embodied emissions"),
        ({"kg": 1}, "not embodied emissions"),
        ({"source": "s", "kg_co2e": 1, "lifetime_years": 4}, "share must be a number above zero, got None"),
        (
            {"source": "s", "kg_co2e": 1, "lifetime_years": 0, "share": 1},
            "lifetime_years must be a number above zero",
        ),
        ({"source": "s", "kg_co2e": 1, "lifetime_years": 4, "share": 2}, "share must be at most 1, got 2"),
        ({"kg_co2e": 1, "lifetime_years": 4, "share": 1}, "the source of the figures is missing"),
    ],
)
def test_a_document_that_is_no_server_is_refused(document: object, message: str) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=f"f.yaml: .*{message}"):
        embodied_of(document, "f.yaml")


@pytest.mark.parametrize(
    "document", [[], {"litres_per_kwh": 1}, {"source": "s"}, {"source": "s", "litres": 1}]
)
def test_a_document_that_is_no_use_of_water_is_refused(document: object) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=r"f\.yaml"):
        water_of(document, "f.yaml")
