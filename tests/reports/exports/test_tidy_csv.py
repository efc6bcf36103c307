import csv
import io
import math

import pytest
from hostile import words
from hypothesis import given, settings
from hypothesis import strategies as st
from records import a_failure, a_ladder, a_record, three_variants

from harness.records.record import Record
from reports import CostFactors, Grid, Price, build_report
from reports.exports.tidy_csv import COLUMNS, as_csv
from reports.layout.escaping import safe


def rows(records: list[Record], factors: CostFactors = CostFactors()) -> list[dict[str, str]]:  # noqa: B008 -- frozen
    return list(csv.DictReader(io.StringIO(as_csv(build_report(records, factors)))))


def one(found: list[dict[str, str]], variant: str, quantity: str, over: str = "") -> dict[str, str]:
    (row,) = [
        row for row in found if (row["variant"], row["quantity"], row["over"]) == (variant, quantity, over)
    ]
    return row


def test_every_row_has_value_interval_unit_and_how_it_came_about() -> None:
    """20 ms, in nanoseconds, of seven rounds."""
    row = one(rows(three_variants()), "pytorch-fixed", "time_per_request")
    assert tuple(row) == COLUMNS
    assert [float(row[name]) for name in ("value", "low", "high")] == [20e6, 20e6, 20e6]
    assert (row["unit"], row["run"], row["cell"]) == ("ns", "r1", "boolq-pytorch-fixed")
    assert "median of rounds, bootstrap over rounds" in row["footnote"]


def test_ratios_name_their_reference_and_verdict() -> None:
    """20 ms over 4 ms."""
    row = one(rows(three_variants()), "onnx-int8", "speed_up", "pytorch-fixed")
    assert float(row["value"]) == pytest.approx(5)
    assert row["footnote"].startswith("faster; ")


@pytest.mark.parametrize("grade", ["measured", "modelled"])
def test_everything_made_of_joules_says_their_grade_and_source(grade: str) -> None:
    """And that modelled ones are CPU time in other units."""
    factors = CostFactors((Price(1.0, "x"),), Grid(56.0, "France"))
    found = rows(three_variants(reading={"grade": grade}), factors)
    names = ("energy_per_request", "energy_of_100m_requests", "carbon_of_100m_requests", "energy_reduction")
    made = [row for row in found if row["quantity"] in names and row["value"]]
    assert {row["quantity"] for row in made} == set(names)
    assert all(row["grade"] == grade and "package, powercap" in row["source"] for row in made)
    assert all(("CPU time in other units" in row["footnote"]) == (grade == "modelled") for row in made)
    carbon = one(found, "pytorch-fixed", "carbon_of_100m_requests")
    assert float(carbon["value"]) == pytest.approx(0.4e8 / 3.6e6 * 0.056)
    assert (carbon["unit"], carbon["source"]) == ("kg CO2e", "package, powercap; 56 g/kWh: France")


def test_what_is_absent_has_no_value_and_says_why() -> None:
    """Never a zero or a NaN."""
    found = rows([*three_variants(), a_failure("torch-bf16")])
    row = one(found, "torch-bf16", "time_per_request")
    assert (row["value"], row["low"], row["status"]) == ("", "", "failed")
    assert row["footnote"].startswith("unavailable, because torch-bf16 failed: the process ran out of memory")


def test_a_ladder_has_its_steps_and_break_even() -> None:
    """int8 is twice as fast as distilled and 20 times as fast as the first."""
    found = rows(a_ladder())
    assert float(one(found, "int8", "speed_up_step", "distilled")["value"]) == pytest.approx(2)
    assert float(one(found, "int8", "speed_up_cumulative", "fixed")["value"]) == pytest.approx(20)
    assert one(found, "int8", "break_even_money", "fixed")["value"] == "190000"
    assert one(found, "int8", "preparation_energy")["grade"] == "measured"


@given(words)
@settings(deadline=None, max_examples=60)
def test_no_text_is_a_formula_or_breaks_a_row(text: str) -> None:
    """Whatever a name holds: rows keep their columns, and no cell begins as a formula does."""
    found = list(csv.reader(io.StringIO(as_csv(build_report([a_record(text, wall_ms=())], CostFactors())))))
    assert {len(row) for row in found} == {len(COLUMNS)}
    assert not [cell for row in found for cell in row if cell.lstrip()[:1] in ("=", "+", "@")]
    assert all(cell.isprintable() for row in found for cell in row)


@given(st.text())
def test_a_safe_text_is_its_own_but_for_an_apostrophe(text: str) -> None:
    """Nothing is lost of a printable line."""
    assert safe(text) in (safe(text).removeprefix("'"), f"'{safe(text)[1:]}")
    assert safe(text).lstrip()[:1] not in ("=", "+", "-", "@")


def test_negative_numbers_stay_numbers() -> None:
    """The guard is for texts."""
    records = a_ladder()
    values = [row["value"] for row in rows(records) if row["value"]]
    assert all(math.isfinite(float(value)) for value in values if value != "never")
