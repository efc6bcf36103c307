import pytest
from records import a_failure, three_variants

from harness.common.errors import UsageError
from reports.layout.table_model import Table
from reports.tables.cost import cost_tables
from reports.values.figures import figures_of_group
from reports.values.prices import Grid, Price, grid_of, prices_of

FRANCE = Grid(56.0, "France 2023")


def a_table(*prices: Price, grid: Grid | None = FRANCE, **changes: object) -> Table:
    records = three_variants(**changes)
    (table,) = cost_tables([figures_of_group(records)], prices or (Price(3.6, "a list"),), grid)
    return table


def test_money_and_carbon_are_products() -> None:
    """20 ms x 1e8 = 2e6 s = 555.6 h, at 3.6 USD: 2,000. 0.4 J x 1e8 / 3.6e6 = 11.1 kWh, at 56 g: 0.622 kg."""
    row = a_table().rows[0]
    assert [cell.text for cell in row] == ["pytorch-fixed", "2,000", "11.1", "0.622"]
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
    assert table.notes == ("because no intensity of a grid was given; use --carbon.",)


def test_a_failed_record_has_no_costs() -> None:
    """Its cells are `failed`."""
    (table,) = cost_tables(
        [figures_of_group([*three_variants(), a_failure("torch-bf16")])], (Price(1, "x"),), FRANCE
    )
    assert [cell.text for cell in table.rows[3]] == ["torch-bf16 (failed)", "failed", "failed", "failed"]


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
