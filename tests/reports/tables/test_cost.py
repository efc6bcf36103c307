import pytest
from records import a_failure, three_variants

from harness.common.errors import UsageError
from harness.records.record import EnergyFacts
from reports.layout.table_model import Table
from reports.tables.cost import cost_tables
from reports.values.figures import figures_of_group
from reports.values.footprint import CostFactors, Embodied, Water
from reports.values.prices import Grid, Price, grid_of, prices_of

FRANCE = Grid(56.0, "France 2023")


SERVER = Embodied(1261.44, 4.0, 0.5, "a data sheet")
"""1,261,440 g x 0.5 over 4 x 31,536,000 s: 5 mg a second."""

WATER = Water(1.8, "our operator")


def a_table(
    *prices: Price,
    grid: Grid | None = FRANCE,
    embodied: Embodied | None = None,
    water: Water | None = None,
    **changes: object,
) -> Table:
    records = three_variants(**changes)
    factors = CostFactors(prices or (Price(3.6, "a list"),), grid, embodied, water)
    (table,) = cost_tables([figures_of_group(records)], factors)
    return table


def test_money_and_carbon_are_products() -> None:
    """20 ms x 1e8 = 2e6 s = 555.6 h, at 3.6 USD: 2,000. 0.4 J x 1e8 / 3.6e6 = 11.1 kWh, at 56 g: 0.622 kg."""
    row = a_table().rows[0]
    assert [cell.text for cell in row[:4]] == ["pytorch-fixed", "2,000", "11.1", "0.622"]
    assert row[1].value == pytest.approx(2000)
    assert row[3].value == pytest.approx(0.4e8 / 3.6e6 * 0.056)


def test_every_factor_is_printed() -> None:
    """With its source, and with what it multiplies."""
    remarks = " ".join(a_table(Price(1.0, "one"), Price(2.5, "two")).remarks)
    assert "Price 1: 1 USD an hour (one)." in remarks
    assert "Price 2: 2.5 USD an hour (two)." in remarks
    assert "kg CO2e = kWh x 56 g/kWh / 1,000 (France 2023)." in remarks
    assert "scope: package" in remarks


def test_each_price_of_a_list_has_a_column() -> None:
    """Its number is in the heading, and the remarks explain the number."""
    table = a_table(Price(1.0, "one"), Price(2.0, "two"))
    assert [column.heading for column in table.columns[1:3]] == ["USD/100M, price 1", "USD/100M, price 2"]
    assert table.rows[0][2].value == pytest.approx(2 * (table.rows[0][1].value or 0))


def test_modelled_joules_make_modelled_carbon() -> None:
    """In the headings and in a remark."""
    table = a_table(reading={"grade": "modelled"})
    assert [column.heading for column in table.columns[2:]] == [
        "modelled kWh/100M",
        "modelled kg CO2e/100M",
    ]
    assert table.remarks[-1] == "Joules are modelled: CPU time in other units."


def test_without_a_grid_carbon_is_not_available() -> None:
    """It is not shown as zero."""
    table = a_table(grid=None)
    assert table.rows[0][3].text == "n/a"
    assert table.notes[0] == "because no intensity of a grid was given; use --carbon."


def test_a_failed_record_has_no_costs() -> None:
    """Its cells are `failed`."""
    (table,) = cost_tables(
        [figures_of_group([*three_variants(), a_failure("torch-bf16")])],
        CostFactors((Price(1, "x"),), FRANCE, SERVER, WATER),
    )
    assert [cell.text for cell in table.rows[3]] == ["torch-bf16 (failed)", *["failed"] * 6]


def test_embodied_emissions_water_and_sci_are_products_of_their_factors() -> None:
    """20 ms x 5 mg/s are 100 ug: 10 kg of 100 million. 11.1 kWh x 1.8 l. 0.4 J x 56 g/kWh are 6.22 ug."""
    table = a_table(embodied=SERVER, water=WATER)
    assert [column.heading for column in table.columns[4:]] == [
        "modelled embodied kg CO2e/100M",
        "modelled SCI, ug CO2e/request",
        "litres/100M",
    ]
    assert [cell.text for cell in table.rows[0][4:]] == ["10.0", "106", "20.0"]
    assert table.rows[0][5].value == pytest.approx(100 + 0.4 / 3.6e6 * 56e6)


def test_embodied_emissions_and_water_print_their_factors() -> None:
    """With their sources, and what E of the SCI leaves out."""
    remarks = " ".join(a_table(embodied=SERVER, water=WATER).remarks)
    assert "1261.44 kg of the server x 0.5 of it x seconds / 4 years of 365 days (a data sheet)" in remarks
    assert "Litres of water = kWh x 1.8 l/kWh (our operator)." in remarks
    assert "SCI = (E x I + M) per request (ISO/IEC 21031)" in remarks


def test_without_a_factor_a_figure_is_unavailable() -> None:
    """No server and no water is assumed; the SCI also needs a grid."""
    table = a_table()
    assert len(table.columns) == 4
    assert table.remarks[-2:] == (
        "Embodied emissions and SCI: unavailable, because no factor was given; use --embodied.",
        "Water: unavailable, because no factor was given; use --water.",
    )
    assert a_table(grid=None, embodied=SERVER).rows[0][5].text == "n/a"


def test_the_range_of_a_power_curve_is_printed() -> None:
    """2 CPUs of 1 to 4 W at most for 2 s are 16 J of 40; 2 s of CPU time x (3 - 0.5) W are 5 J."""
    energy = EnergyFacts(
        meter="modelled",
        describe={
            "vcpus": 2,
            "lowest_watts": {"0 %": 0.5, "100 %": 3.0},
            "highest_watts": {"0 %": 1.0, "100 %": 40.0},
        },
        skipped=(),
    )
    reading = {"grade": "modelled", "scope": "machine share", "source": "power curve of 2 vCPUs of X (Y)"}
    remarks = a_table(reading=reading, energy=energy).remarks
    assert remarks[-2] == "Joules are modelled: power curve of 2 vCPUs of X (Y)."
    assert remarks[-1].startswith("The curve allows 0.12 to 4 times as many joules")


def test_a_price_list_names_its_machines_and_its_source() -> None:
    """The format of the documentation."""
    document = {"source": "my contract", "usd_per_hour": {"small": 0.5, "large": 2}}
    assert prices_of(document, "f.yaml") == (
        Price(0.5, "small; my contract"),
        Price(2.0, "large; my contract"),
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "not a price list"),
        ({"usd": 1}, "not a price list"),
        ({"source": "x"}, "has no price"),
        ({"source": "x", "usd_per_hour": {}}, "has no price"),
        ({"usd_per_hour": {"a": 1}}, "the source of the figures is missing"),
        ({"source": "x", "usd_per_hour": {"a": 0}}, "must be a number above zero, got"),
        ({"source": "x", "usd_per_hour": {"a": True}}, "must be a number above zero, got"),
        ({"source": "x", "usd_per_hour": {"a": float("nan")}}, "must be a number above zero, got"),
        ({"source": "x", "usd_per_hour": {"a": "1"}}, "must be a number above zero, got"),
    ],
)
def test_a_document_that_is_not_a_price_list_is_rejected(document: object, message: str) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=f"f.yaml: .*{message}"):
        prices_of(document, "f.yaml")


@pytest.mark.parametrize("document", [[], {"grams_per_kwh": 5}, {"source": "x"}, {"source": "x", "grams": 5}])
def test_a_document_that_is_not_a_grid_is_rejected(document: object) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=r"f\.yaml"):
        grid_of(document, "f.yaml")
    assert grid_of({"source": "x", "grams_per_kwh": 5}, "f.yaml") == Grid(5.0, "x")
