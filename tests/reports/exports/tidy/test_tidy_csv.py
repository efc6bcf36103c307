import csv
import io
import math

import pytest
from hostile import hostile_texts
from hypothesis import given, settings
from hypothesis import strategies as st
from records import a_failure, a_ladder, a_record, three_variants

from harness.records.record import Record
from reports import CostFactors, Grid, Price, build_report
from reports.exports.tidy.tidy_csv import COLUMNS, as_csv
from reports.layout.escaping import safe


def rows(records: list[Record], factors: CostFactors = CostFactors()) -> list[dict[str, str]]:  # noqa: B008 -- frozen
    return list(csv.DictReader(io.StringIO(as_csv(build_report(records, factors)))))


def row_of(table: list[dict[str, str]], variant: str, quantity: str, over: str = "") -> dict[str, str]:
    (row,) = [
        row for row in table if (row["variant"], row["quantity"], row["over"]) == (variant, quantity, over)
    ]
    return row


def test_every_row_has_value_interval_unit_and_method() -> None:
    """20 ms in nanoseconds, from seven rounds."""
    row = row_of(rows(three_variants()), "pytorch-fixed", "time_per_request")
    assert tuple(row) == COLUMNS
    assert [float(row[name]) for name in ("value", "low", "high")] == pytest.approx([20e6] * 3)
    assert (row["unit"], row["run"], row["cell"]) == ("ns", "r1", "boolq-pytorch-fixed")
    assert "trimmed mean of rounds, t interval over rounds" in row["footnote"]


def test_ratios_name_their_reference_and_verdict() -> None:
    """20 ms over 4 ms."""
    row = row_of(rows(three_variants()), "onnx-int8", "speed_up", "pytorch-fixed")
    assert float(row["value"]) == pytest.approx(5)
    assert row["footnote"].startswith("faster; ")


@pytest.mark.parametrize("grade", ["measured", "modelled"])
def test_every_quantity_of_joules_has_their_grade_and_source(grade: str) -> None:
    """Modelled ones have a footnote too."""
    factors = CostFactors((Price(1.0, "x"),), Grid(56.0, "France"))
    table = rows(three_variants(reading={"grade": grade}), factors)
    names = ("energy_per_request", "energy_of_100m_requests", "carbon_of_100m_requests", "energy_reduction")
    energies = [row for row in table if row["quantity"] in names and row["value"]]
    assert {row["quantity"] for row in energies} == set(names)
    assert all(row["grade"] == grade and "package, powercap" in row["source"] for row in energies)
    assert all(("CPU time in other units" in row["footnote"]) == (grade == "modelled") for row in energies)
    carbon = row_of(table, "pytorch-fixed", "carbon_of_100m_requests")
    assert float(carbon["value"]) == pytest.approx(0.4e8 / 3.6e6 * 0.056)
    assert (carbon["unit"], carbon["source"]) == ("kg CO2e", "package, powercap; 56 g/kWh: France")


def test_an_absent_quantity_has_a_reason_and_no_value() -> None:
    """It is neither zero nor NaN."""
    table = rows([*three_variants(), a_failure("torch-bf16")])
    row = row_of(table, "torch-bf16", "time_per_request")
    assert (row["value"], row["low"], row["status"]) == ("", "", "failed")
    assert row["footnote"].startswith("unavailable, because torch-bf16 failed: the process ran out of memory")


def test_a_ladder_has_its_steps_and_break_even() -> None:
    """int8 is twice as fast as distilled and 20 times as fast as the first."""
    table = rows(a_ladder())
    assert float(row_of(table, "int8", "speed_up_step", "distilled")["value"]) == pytest.approx(2)
    assert float(row_of(table, "int8", "speed_up_cumulative", "fixed")["value"]) == pytest.approx(20)
    assert row_of(table, "int8", "break_even_money", "fixed")["value"] == "190000"
    assert row_of(table, "int8", "preparation_energy")["grade"] == "measured"


@given(hostile_texts)
@settings(deadline=None, max_examples=60)
def test_no_text_is_a_formula_or_breaks_a_row(text: str) -> None:
    """Rows keep their columns, and no cell begins like a formula."""
    lines = list(csv.reader(io.StringIO(as_csv(build_report([a_record(text, wall_ms=())], CostFactors())))))
    assert {len(row) for row in lines} == {len(COLUMNS)}
    assert not [cell for row in lines for cell in row if cell.lstrip()[:1] in ("=", "+", "@")]
    assert all(cell.isprintable() for row in lines for cell in row)


@given(st.text())
def test_a_safe_text_differs_only_by_an_apostrophe(text: str) -> None:
    """A printable line loses nothing."""
    assert safe(text) in (safe(text).removeprefix("'"), f"'{safe(text)[1:]}")
    assert safe(text).lstrip()[:1] not in ("=", "+", "-", "@")


def test_negative_numbers_stay_numbers() -> None:
    """The apostrophe is for texts."""
    records = a_ladder()
    values = [row["value"] for row in rows(records) if row["value"]]
    assert all(math.isfinite(float(value)) for value in values if value != "never")
