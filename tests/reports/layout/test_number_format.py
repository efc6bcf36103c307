import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.layout.number_format import COUNTS, ENERGIES, MEMORIES, TIMES, shown, unit_for, with_interval

NUMBERS = st.floats(1e-6, 1e12)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.4132, "5.41"),
        (54.132, "54.1"),
        (541.32, "541"),
        (12_345, "12,300"),
        (9.996, "10.0"),
        (0.012345, "0.0123"),
        (1, "1.00"),
        (0, "0"),
        (-0.0, "0"),
        (-5.4132, "-5.41"),
    ],
)
def test_a_number_keeps_three_significant_digits(value: float, text: str) -> None:
    """Rounding up may add a digit before the point; then one behind it is dropped."""
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (5.4132, 5.3212, 5.5049, "5.41 [5.32, 5.50]"),
        (88.23, 86.14, 90.11, "88.2 [86.1, 90.1]"),  # half-width 1.99: one decimal
        (85.71, 66.2, 93.3, "86 [66, 93]"),  # half-width 13.6: none
        (5.4132, 5.4131, 5.4133, "5.41 [5.41, 5.41]"),  # never more than three digits
        (5.4132, 5.4132, 5.4132, "5.41 [5.41, 5.41]"),
        (2.4, 0.4, 61.0, "2 [0.40, 61]"),  # an end that is not zero is not shown as zero
        (33.7, 1.627, 696.4, "30 [1.6, 700]"),
        (0.2, -40.0, 61.0, "0 [-40, 61]"),
        (0, 0, 0.3456, "0.00 [0.00, 0.35]"),
        (12_345, 11_000, 14_000, "12,300 [11,000, 14,000]"),
        (-8.0, -11.61, -4.39, "-8.0 [-11.6, -4.4]"),
    ],
)
def test_an_interval_decides_how_fine_a_number_is_shown(
    value: float, low: float, high: float, text: str
) -> None:
    """Half the interval's width keeps two significant digits; all three numbers have equal decimals."""
    assert " ".join(with_interval(value, low, high)) == text


@pytest.mark.parametrize(
    ("finest", "text"), [(None, "-0.0100 [-0.0110, -0.0090]"), (2, "-0.01 [-0.01, -0.01]"), (0, "0 [0, 0]")]
)
def test_a_number_is_shown_no_finer_than_requested(finest: int | None, text: str) -> None:
    """A number that rounds to zero has no sign."""
    assert " ".join(with_interval(-0.01, -0.01099, -0.00901, finest=finest)) == text


@given(NUMBERS)
def test_a_shown_number_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    """It is never in exponent notation."""
    text = shown(value)
    assert set(text) <= set("0123456789.,")
    third = 10 ** (math.floor(math.log10(value)) - 2)
    assert abs(float(text.replace(",", "")) - value) <= 0.5000001 * third


@given(NUMBERS, st.floats(0, 1), st.floats(0, 3))
def test_a_shown_interval_holds_the_shown_value(value: float, below: float, above: float) -> None:
    """Rounding keeps the order of low, value and high."""
    text, interval = with_interval(value, value * (1 - below), value * (1 + above))
    low, _, high = interval.strip("[]").partition(", ")
    numbers = [float(part.replace(",", "")) for part in (low, text, high)]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_an_error(bad: float) -> None:
    """Absent values are shown in another way; a NaN in a table is a bug."""
    with pytest.raises(ValueError, match="expected finite numbers"):
        shown(bad)
    with pytest.raises(ValueError, match="expected finite numbers"):
        with_interval(1.0, 0.5, bad)


@pytest.mark.parametrize(
    ("values", "units", "name"),
    [
        ([5e6, 9e6, 2e6], TIMES, "ms"),
        ([2e9], TIMES, "s"),
        ([300.0], TIMES, "ns"),
        ([52_000.0, 900.0, 104_000.0], ENERGIES, "mJ"),
        ([0.2], ENERGIES, "uJ"),
        ([6e8], MEMORIES, "MiB"),
        ([], TIMES, "s"),
        ([0.1], COUNTS, ""),
    ],
)
def test_a_column_has_the_largest_unit_that_its_median_reaches(
    values: list[float], units: tuple[object, ...], name: str
) -> None:
    """A median below all units has the smallest."""
    assert unit_for(values, units).name == name  # type: ignore[arg-type]
