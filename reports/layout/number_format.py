"""Number formats: at most three significant digits, and no digit finer than the interval supports.

One unit serves a whole column, so that its numbers can be compared; the heading names the unit.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_DIGITS = 3
_INTERVAL_DIGITS = 2
"""Half the width of the interval keeps two significant digits; the value is shown no finer than that."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's name and its size in base units."""

    name: str
    size: float


TIMES = (Unit("s", 1e9), Unit("ms", 1e6), Unit("us", 1e3), Unit("ns", 1.0))
"""Base unit: nanoseconds."""

ENERGIES = (Unit("J", 1e6), Unit("mJ", 1e3), Unit("uJ", 1.0))
"""Base unit: microjoules."""

COUNTS = (Unit("", 1.0),)

MEMORIES = (Unit("GiB", 2.0**30), Unit("MiB", 2.0**20), Unit("KiB", 2.0**10))
"""Base unit: bytes."""

_QUANTITIES = {TIMES: "time", ENERGIES: "energy"}
"""What a column in these units holds, for a heading such as `{}/request` without its unit."""


def unit_for(values: Sequence[float], units: Sequence[Unit]) -> Unit:
    """Return the largest unit that the median of the values reaches, else the smallest unit."""
    if not values:
        return units[0]
    median = abs(statistics.median(values))
    return next((unit for unit in units if median >= unit.size), units[-1])


def without_unit(heading: str, units: Sequence[Unit]) -> str:
    """Return the heading of a column that has no value, and so no unit: `{}` stands for the unit."""
    quantity = _QUANTITIES.get(tuple(units), "")
    return heading.replace("{}/", f"{quantity}/").replace(" {}", "")


def decimals(value: float, low: float | None = None, high: float | None = None) -> int:
    """Return how many decimal places to show; negative places round to tens, hundreds, ...

    Raises ValueError for a number that is not finite: absent values are shown in another way.
    """
    if not all(map(math.isfinite, [number for number in (value, low, high) if number is not None])):
        raise ValueError(f"expected finite numbers, got {value} [{low}, {high}]")
    own = _places(value, _DIGITS)
    if low is None or high is None or high <= low:
        return own
    if not value:
        return _places(high - low, _INTERVAL_DIGITS)
    return min(own, _places((high - low) / 2, _INTERVAL_DIGITS))


def fixed(number: float, places: int) -> str:
    """Return a number with that many decimals and separated thousands, never in exponent notation."""
    if places >= 0 and number > 0:
        return f"{number:,.{places}f}"
    rounded = round(number, places) + 0.0  # adding zero turns -0.0 into 0.0
    return f"{rounded:,.{max(places, 0)}f}"


def shown(value: float) -> str:
    """Return a number that has no interval."""
    return fixed(value, decimals(value))


def with_interval(value: float, low: float, high: float, *, finest: int | None = None) -> tuple[str, str]:
    """Return a number and its interval, `5.41` and `[5.32, 5.50]`, with equal decimals, at most `finest`.

    An end that would round to zero keeps a digit of its own: 1.6 of `30 [1.6, 700]` is not 0.
    """
    places = decimals(value, low, high)
    if finest is not None:
        places = min(places, finest)
        return fixed(value, places), f"[{fixed(low, places)}, {fixed(high, places)}]"
    return fixed(value, places), f"[{_end(low, places)}, {_end(high, places)}]"


def _end(number: float, places: int) -> str:
    """Return an end of an interval; one that rounds to zero, and is not, with two significant digits."""
    return fixed(number, places if round(number, places) or not number else _places(number, _INTERVAL_DIGITS))


def _places(number: float, digits: int) -> int:
    """Return the decimals that show so many significant digits; rounding may add a digit: 9.996 is 10.0."""
    if not number:
        return 0
    places = digits - 1 - math.floor(math.log10(abs(number)))
    rounded = round(abs(number), places)
    return digits - 1 - math.floor(math.log10(rounded)) if rounded else places
